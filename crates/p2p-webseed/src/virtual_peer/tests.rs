use std::fs::File;

use p2p_engine::{Engine, EngineOptions, Stage, Swarm, SwarmProgress};
use p2p_package::{Hasher, Info};

use p2p_wire::{Handshake, Message, PieceSet};

use super::*;
use crate::fake_mirror::{Behaviour, FakeMirror};
use crate::{MirrorFault, MirrorOptions, Mirrors};

const SIZE: usize = 10_000_000;
const PIECE: usize = 256 * 1024;

fn package() -> (Vec<u8>, Info) {
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n * n / 7919).to_le_bytes()[0]).collect();
    let mut hasher = Hasher::new(SIZE as u64).expect("a package's size");
    hasher.update(&bytes);
    let hashed = hasher.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package name")).expect("all bytes");
    (bytes, hashed.info)
}

struct Download {
    engine: Engine,
    info: Info,
    file: File,
    swarm: Swarm,
    mirrors: Mirrors,
}

impl Download {
    async fn start(info: &Info, spooled: &[u8]) -> Self {
        let options = EngineOptions { peer_id: *b"-P20100-engineengine", proxy: None };
        let engine = Engine::start(options).await.expect("an engine on loopback");
        let mut file = tempfile::tempfile().expect("a temporary file");
        io::Write::write_all(&mut file, spooled).expect("room for the content");
        let handle = file.try_clone().expect("a second handle");
        let swarm = engine.join(info.clone(), handle).await.expect("a swarm");
        let options = MirrorOptions { stall_timeout: Duration::from_millis(300), ..MirrorOptions::default() };
        let mirrors = Mirrors::new(options).expect("an HTTP client");
        Self { engine, info: info.clone(), file, swarm, mirrors }
    }

    fn call(&self, mirror: &FakeMirror) -> VirtualPeer {
        self.call_for(mirror, None)
    }

    fn call_for(&self, mirror: &FakeMirror, share: Option<PieceSet>) -> VirtualPeer {
        let (info, engine) = (self.info.clone(), self.engine.listen_addr());
        VirtualPeer::call(self.mirrors.clone(), mirror.url(), info, engine, share)
    }

    async fn finish(self) -> Vec<u8> {
        until(self.swarm.progress(), |progress: &SwarmProgress| matches!(progress.stage, Stage::Complete)).await;
        self.swarm.leave().await;
        let mut bytes = vec![0; SIZE];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut bytes, 0).expect("the whole file");
        bytes
    }
}

async fn until<T: Clone>(mut state: watch::Receiver<T>, reached: impl FnMut(&T) -> bool) -> T {
    let reached = tokio::time::timeout(Duration::from_secs(20), state.wait_for(reached)).await;
    reached.expect("it gets there in time").expect("it still exists").clone()
}

fn has_ended(state: &VirtualPeerState) -> bool {
    state.ended
}

/// Pieces `from` to `until` of the package.
fn share(info: &Info, pieces: std::ops::Range<u32>) -> PieceSet {
    let mut share = PieceSet::none(u32::try_from(info.pieces().len()).expect("a few pieces"));
    assert!(pieces.into_iter().all(|piece| share.insert(piece)));
    share
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shares_are_asked_for_one_by_each_and_no_byte_twice() {
    let (bytes, info) = package();
    let one = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let two = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let download = Download::start(&info, b"").await;
    let peers =
        (download.call_for(&one, Some(share(&info, 0..10))), download.call_for(&two, Some(share(&info, 10..39))));
    assert!(download.finish().await == bytes);
    let fetched = [&peers.0, &peers.1].map(|peer| peer.state().borrow().fetched_bytes);
    assert_eq!(fetched, [10 * PIECE as u64, (SIZE - 10 * PIECE) as u64]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mirrors_divide_the_same_share() {
    let (bytes, info) = package();
    let slow = Behaviour::Slow(Duration::from_millis(10));
    let one = FakeMirror::start(bytes.clone(), slow.clone()).await;
    let two = FakeMirror::start(bytes.clone(), slow).await;
    let download = Download::start(&info, b"").await;
    let (info, rest) = (download.info.clone(), FakeMirror::start(bytes.clone(), Behaviour::Good).await);
    let peers = [&one, &two].map(|mirror| download.call_for(mirror, Some(share(&info, 0..30))));
    let _rest = download.call_for(&rest, Some(share(&info, 30..39)));
    assert!(download.finish().await == bytes);
    let fetched: u64 = peers.iter().map(|peer| peer.state().borrow().fetched_bytes).sum();
    assert!(fetched <= 33 * PIECE as u64, "{fetched} bytes of {}", 30 * PIECE);
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_change_in_the_midst_of_a_range_do_not_have_it_fetched_anew() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Slow(Duration::from_millis(10))).await;
    let download = Download::start(&info, b"").await;
    let peer = download.call_for(&mirror, Some(share(&info, 0..30)));
    for (pieces, last) in [(5, 29), (10, 28), (15, 27)] {
        until(download.swarm.progress(), |progress| progress.verified_bytes >= pieces * PIECE as u64).await;
        peer.set_share(Some(share(&info, 0..last)));
    }
    peer.set_share(None);
    assert!(download.finish().await == bytes);
    let fetched = peer.state().borrow().fetched_bytes;
    assert!(fetched <= SIZE as u64 * 13 / 10, "{fetched} bytes of {SIZE}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_serves_its_share_and_the_rest_when_it_may() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let download = Download::start(&info, b"").await;
    let peer = download.call_for(&mirror, Some(share(&info, 4..9)));
    let served = 5 * PIECE as u64;
    let state = until(peer.state(), |state| state.served_bytes == served && state.waiting).await;
    assert_eq!(state.fetched_bytes, served, "{:#?}", mirror.requests());
    peer.set_share(None);
    assert!(download.finish().await == bytes);
    let fetched = peer.state().borrow().fetched_bytes;
    assert!(fetched <= SIZE as u64 * 11 / 10, "{fetched} bytes of {SIZE}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_alone_completes_a_package() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let download = Download::start(&info, b"").await;
    let peer = download.call(&mirror);
    assert!(download.finish().await == bytes);
    let state = until(peer.state(), |state| state.served_bytes == SIZE as u64).await;
    assert_eq!(
        (state.fetched_bytes, state.contradiction),
        (SIZE as u64, None),
        "no byte is fetched twice: {:#?}",
        mirror.requests()
    );
    assert!(mirror.requests().len() < 10, "{} requests", mirror.requests().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_plain_http_has_brought_is_not_fetched_again() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let download = Download::start(&info, &bytes[..3_000_000]).await;
    let peer = download.call(&mirror);
    assert!(download.finish().await == bytes);
    let state = peer.state().borrow().clone();
    assert_eq!(state.fetched_bytes, (SIZE - 3_000_000 / PIECE * PIECE) as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mirrors_share_the_work() {
    let (bytes, info) = package();
    let (one, two) = (
        FakeMirror::start(bytes.clone(), Behaviour::Good).await,
        FakeMirror::start(bytes.clone(), Behaviour::Good).await,
    );
    let download = Download::start(&info, b"").await;
    let peers = (download.call(&one), download.call(&two));
    assert!(download.finish().await == bytes);
    let served = [&peers.0, &peers.1].map(|peer| peer.state().borrow().served_bytes);
    assert!(served.iter().all(|bytes| *bytes > 0), "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_mirror_finishes_what_a_stalled_one_began() {
    let (bytes, info) = package();
    let stalled = FakeMirror::start(bytes.clone(), Behaviour::Stalls(300_000)).await;
    let good = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let download = Download::start(&info, b"").await;
    let first = download.call(&stalled);
    let ended = until(first.state(), has_ended).await;
    assert!(matches!(ended.fault.as_deref(), Some(MirrorFault::Stalled)), "{ended:?}");
    let _second = download.call(&good);
    assert!(download.finish().await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_contradicts_the_torrent_names_the_piece_and_serves_no_more() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes, Behaviour::Corrupts(3 * PIECE + 5)).await;
    let download = Download::start(&info, b"").await;
    let peer = download.call(&mirror);
    let ended = until(peer.state(), has_ended).await;
    assert_eq!(ended.contradiction, Some(3));
    assert!(ended.fault.is_none());
    let progress = download.swarm.progress().borrow().clone();
    assert!(progress.contiguous_bytes <= 3 * PIECE as u64, "{progress:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_without_the_file_or_without_ranges_ends_the_virtual_peer() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Answers("404 Not Found\r\n".to_owned())).await;
    let download = Download::start(&info, &bytes[..3_000_000]).await;
    let ended = until(download.call(&mirror).state(), has_ended).await;
    assert!(matches!(ended.fault.as_deref(), Some(MirrorFault::Lacks(404))), "{ended:?}");
    mirror.becomes(Behaviour::IgnoresRanges);
    let ended = until(download.call(&mirror).state(), has_ended).await;
    assert!(matches!(ended.fault.as_deref(), Some(MirrorFault::NoRanges)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_closes_connections_now_and_then_is_still_good() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Truncates(1_500_000)).await;
    let download = Download::start(&info, b"").await;
    let peer = download.call(&mirror);
    assert!(download.finish().await == bytes);
    assert!(peer.state().borrow().fault.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_to_the_mirror_is_enough() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let mut download = Download::start(&info, b"").await;
    download.mirrors = Mirrors::new(MirrorOptions { connections: 1, ..MirrorOptions::default() }).expect("a client");
    let _peers = (download.call(&mirror), download.call(&mirror));
    assert!(download.finish().await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_virtual_peer_frees_its_pieces_for_another() {
    let (bytes, info) = package();
    let stalled = FakeMirror::start(bytes.clone(), Behaviour::Stalls(0)).await;
    let good = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let mut download = Download::start(&info, b"").await;
    download.mirrors = Mirrors::new(MirrorOptions::default()).expect("a client");
    let first = download.call(&stalled);
    until(first.state(), |state| !state.waiting).await;
    drop(first);
    let _second = download.call(&good);
    assert!(download.finish().await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_peer_ends_when_the_engine_has_everything() {
    let (bytes, info) = package();
    let mirror = FakeMirror::start(bytes.clone(), Behaviour::Good).await;
    let download = Download::start(&info, &bytes).await;
    until(download.swarm.progress(), |progress| matches!(progress.stage, Stage::Complete)).await;
    let ended = until(download.call(&mirror).state(), has_ended).await;
    assert_eq!((ended.fetched_bytes, ended.fault.is_none()), (0, true));
}

fn caller(info: &Info) -> Caller {
    let url = "http://127.0.0.1:9/a".parse().expect("a URL");
    let mirrors = Mirrors::new(MirrorOptions::default()).expect("an HTTP client");
    let (state, _) = watch::channel(VirtualPeerState::default());
    let engine = ([127, 0, 0, 1], 9).into();
    let (_, shares) = watch::channel(None);
    let supply = Supply::new(mirrors, url, info.clone());
    Caller { info: info.clone(), engine, supply, shares, state, served_before: 0 }
}

#[tokio::test]
async fn only_an_engine_that_has_everything_ends_the_calls() {
    let (_, info) = package();
    let mut caller = caller(&info);
    let begin = Instant::now();
    let connection = || {
        let torrent = SeedTorrent::whole(info.clone());
        SeedConnection::new(torrent, Role::Caller, SeedOptions::new(PeerId::within(*b"test")), begin)
            .expect("no handshake yet")
    };
    let mut greeting = Handshake::ours(info.info_hash(), PeerId::ours(*b"engineengine")).encode().to_vec();

    let mut unanswered = connection();
    unanswered.handle_timeout(begin + Duration::from_mins(1));
    let mut silent = connection();
    silent.handle_bytes(&greeting, begin).expect("a handshake");
    silent.handle_timeout(begin + Duration::from_hours(1));
    for mut connection in [unanswered, silent] {
        let ending = caller.pump(&mut connection, &mut Outbox::default());
        assert!(matches!(ending, ControlFlow::Break(Ending::Lost)), "{ending:?}");
    }

    let mut seed = connection();
    greeting.extend_from_slice(&Message::HaveAll.encode());
    seed.handle_bytes(&greeting, begin).expect("a handshake and a message");
    let ending = caller.pump(&mut seed, &mut Outbox::default());
    assert!(matches!(ending, ControlFlow::Break(Ending::Finished)), "{ending:?}");
}
