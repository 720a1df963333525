use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use p2p_wire::{Answer, DatabaseClaim, Holding, Kind, MAX_GET_BYTES, Pointer, club_id};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

mod calls;
mod hostile;
mod places;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_here_coming_or_absent_is_told_as_it_is() {
    let shelf = TestShelf { coming: BTreeSet::from([id(2)]), ..TestShelf::with(id(1), 10) };
    let pair = Pair::meet(TestShelf::default(), shelf, Asker::Local).await;
    let mut replies = pair.left.ask(&[id(1), id(2), id(3)], Wishes::default());
    let reply = replies.next().await.expect("an answer");
    assert_eq!(reply.answers, [Answer::Here(Holding::default()), Answer::Coming, Answer::Absent]);
    assert_eq!(reply.neighbour.peer_id, peer_id(2));
    assert!(replies.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_thousands_is_asked_about_whole() {
    let pair = Pair::meet(TestShelf::default(), TestShelf::with(id(1), 10), Asker::Local).await;
    let mut ids = vec![id(2); 3_000];
    ids[2_999] = id(1);
    let (mut replies, mut answers) = (pair.left.ask(&ids, Wishes::default()), Vec::new());
    while let Some(reply) = replies.next().await {
        answers.extend(reply.answers);
    }
    assert_eq!(answers.len(), 3_000);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Answer::Here(_))).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_asked_in_vain_is_known_for_ten_minutes_and_hears_of_the_arrival() {
    let shelf = TestShelf { coming: BTreeSet::from([id(2)]), ..TestShelf::with(id(1), 10) };
    let pair = Pair::meet(TestShelf::default(), shelf, Asker::Local).await;
    let mut arrivals = pair.left.arrivals();
    pair.left.ask(&[id(1), id(2), id(3)], Wishes::default()).next().await.expect("an answer");
    let asker = (pair.right.list()[0].id, peer_id(1), Asker::Local);
    for (asked, expected) in [(1, vec![]), (2, vec![asker]), (3, vec![asker]), (4, vec![])] {
        assert_eq!(pair.right.asked_by(&id(asked)), expected, "{asked}");
    }
    pair.right.tell_arrived(&[id(1), id(3)], Asker::Remote);
    assert_eq!(arrivals.recv().await.expect("told"), (pair.left.list()[0].id, id(3)));
    tokio::time::sleep(Duration::from_mins(8)).await;
    pair.left.ask(&[id(2)], Wishes::default()).next().await.expect("an answer");
    tokio::time::sleep(Duration::from_mins(8)).await;
    assert_eq!(pair.right.asked_by(&id(3)), []);
    assert_eq!(pair.right.asked_by(&id(2)), [asker], "who asks again is known for ten minutes more");
    pair.right.tell_arrived(&[id(2)], Asker::Remote);
    assert_eq!(arrivals.recv().await.expect("told"), (pair.left.list()[0].id, id(2)));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_tells_of_the_databases_of_every_club_that_it_is_in_and_of_no_other() {
    let shelf = TestShelf { databases: vec![database()], pointers: vec![pointer()], ..TestShelf::default() };
    let pair = Pair::meet(TestShelf::default(), shelf, Asker::Remote).await;
    let extra = club_id("extra", "x86_64");
    assert!(pair.left.recent(extra).next().await.is_none());
    pair.right.join(vec![club(), extra]);
    let recent = pair.left.recent(extra).next().await.expect("an answer");
    assert_eq!((recent.databases, recent.pointers), (vec![database()], vec![pointer()]));
    assert_eq!(recent.neighbour.id, pair.left.list()[0].id);
}

#[tokio::test(start_paused = true)]
async fn a_large_file_comes_by_several_gets_and_whole() {
    let length = 2 * MAX_GET_BYTES + 100_001;
    let pair = Pair::meet(TestShelf::default(), TestShelf::with(id(1), length), Asker::Local).await;
    let from = pair.left.list()[0].id;
    let got = read(pair.left.get_file(from, what(Kind::Database), length)).await;
    assert!(got == file(length), "{} bytes came", got.len());
    let got = read(pair.left.get_file(from, what(Kind::Database), length + MAX_GET_BYTES)).await;
    assert_eq!(got.len() as u64, length, "and where it is shorter than that, what there is");
    assert_eq!(read(pair.left.get_file(from, what(Kind::Database), 0)).await, []);
    assert_eq!(read(pair.left.get(NeighbourId(77), what(Kind::Database), 0..9)).await, [], "nobody is there");
}

#[tokio::test(start_paused = true)]
async fn a_fifth_get_is_sent_when_the_first_has_ended_and_so_are_those_behind_it() {
    let pair = Pair::meet(TestShelf::default(), TestShelf::with(id(1), 400_000), Asker::Local).await;
    let from = pair.left.list()[0].id;
    let mut transfers: Vec<Transfer> =
        (1..=40).map(|number| pair.left.get(from, what(Kind::Package), 0..number * 10_000)).collect();
    drop(transfers.drain(8..16));
    for (transfer, length) in transfers.into_iter().zip((1..=8).chain(17..=40).map(|number| number * 10_000)) {
        let got = read(transfer).await;
        assert!(got == file(length), "{} bytes of {length} came", got.len());
    }
}

#[tokio::test(start_paused = true)]
async fn where_uploads_rest_only_those_without_limits_get_packages() {
    for (traffic, expected) in [(Traffic::Unlimited, 10), (Traffic::Limited, 0)] {
        let shelf = TestShelf { is_paused: true, ..TestShelf::with(id(1), 10) };
        // Near by trust, as who is on a provider's network with us.
        let pair = Pair::meet_by(TestShelf::default(), shelf, Asker::Local, traffic).await;
        let from = pair.left.list()[0].id;
        let mut transfer = pair.left.get(from, what(Kind::Package), 0..10);
        let got = transfer.next().await.map_or(0, |bytes| bytes.len());
        assert_eq!((got, transfer.is_too_busy()), (expected, expected == 0), "which is said as such");
        assert_eq!(read(pair.left.get(from, what(Kind::Info), 0..10)).await.len(), 10, "which is no package");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_brought_up_to_date_before_anything_is_told_or_given() {
    let shelf = TestShelf { is_stale: true, databases: vec![database()], ..TestShelf::with(id(1), 10) };
    let pair = Pair::meet(TestShelf::default(), shelf, Asker::Remote).await;
    let from = pair.left.list()[0].id;
    let reply = pair.left.ask(&[id(1)], Wishes::default()).next().await.expect("an answer");
    assert_eq!(reply.answers, [Answer::Here(Holding::default())]);
    assert!(pair.left.recent(club()).next().await.is_some());
    assert_eq!(read(pair.left.get(from, what(Kind::Package), 0..10)).await.len(), 10);
}

/// Two daemons that are neighbours. The left one has dialled.
struct Pair {
    left: Neighbours,
    right: Neighbours,
    _ends: [JoinHandle<End>; 2],
}

impl Pair {
    async fn meet(left: TestShelf, right: TestShelf, asker: Asker) -> Self {
        Self::meet_by(left, right, asker, Traffic::Limited).await
    }

    async fn meet_by(left: TestShelf, right: TestShelf, asker: Asker, traffic: Traffic) -> Self {
        let (left, right) = (daemon(1, left), daemon(2, right));
        let ends = connect(&left, &right, (ip(asker, 1), ip(asker, 2)), (asker, traffic)).await;
        until(|| left.count() == 1 && right.count() == 1).await;
        Self { left, right, _ends: ends }
    }
}

/// One that answers as the test has it.
#[derive(Default)]
struct TestShelf {
    here: BTreeMap<Sha256, u64>,
    coming: BTreeSet<Sha256>,
    databases: Vec<DatabaseClaim>,
    pointers: Vec<Pointer>,
    is_paused: bool,
    /// Nobody may ask before a refresh, each time.
    is_stale: bool,
    refreshed: Arc<AtomicUsize>,
}

impl TestShelf {
    fn with(id: Sha256, length: u64) -> Self {
        Self { here: BTreeMap::from([(id, length)]), ..Self::default() }
    }

    fn assert_fresh(&self) {
        assert!(!self.is_stale || self.refreshed.swap(0, Ordering::SeqCst) > 0, "nobody has refreshed the shelf");
    }
}

impl Shelf for TestShelf {
    fn refresh(&self, _asker: Asker) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let refreshed = Arc::clone(&self.refreshed);
        Box::pin(async move {
            refreshed.fetch_add(1, Ordering::SeqCst);
        })
    }

    fn look(&self, ids: &[Sha256], _wishes: Wishes, _asker: Asker) -> Vec<Option<Holding>> {
        self.assert_fresh();
        ids.iter().map(|id| self.here.contains_key(id).then(Holding::default)).collect()
    }

    fn is_coming(&self, id: &Sha256, _asker: Asker) -> bool {
        self.coming.contains(id)
    }

    fn recent(&self, _club: InfoHash, _asker: Asker) -> (Vec<DatabaseClaim>, Vec<Pointer>) {
        self.assert_fresh();
        (self.databases.clone(), self.pointers.clone())
    }

    fn gives(&self, traffic: Traffic) -> bool {
        traffic == Traffic::Unlimited || !self.is_paused
    }

    fn read(&self, what: What, range: Range<u64>, _asker: Asker) -> io::Result<Option<Bytes>> {
        self.assert_fresh();
        let length = self.here.get(&what.id).copied().unwrap_or_default();
        let range = range.start..range.end.min(length);
        Ok((!range.is_empty()).then(|| range.map(byte_at).collect::<Vec<u8>>().into()))
    }
}

fn daemon(number: u8, shelf: TestShelf) -> Neighbours {
    let options = NeighbourOptions { peer_id: peer_id(number), listen_port: 6881, seed: number.into() };
    let neighbours = Neighbours::new(options, Arc::new(shelf));
    neighbours.join(vec![club()]);
    neighbours
}

/// Both sides of a connection that `left` has dialled, each as the other sees it.
async fn connect(
    left: &Neighbours,
    right: &Neighbours,
    (left_at, right_at): (SocketAddr, SocketAddr),
    (asker, traffic): (Asker, Traffic),
) -> [JoinHandle<End>; 2] {
    let (mut here, there) = duplex(64 * 1024);
    let handshake = |of: &Neighbours| Handshake::ours(club(), peer_id_of(of));
    let caller = Caller { handshake: handshake(left), address: left_at, asker, dialled_by_us: false, traffic };
    let right_end = serve(right, there, caller);
    // The gate has read it.
    here.read_exact(&mut [0; Handshake::BYTES]).await.expect("a handshake");
    let called = Caller { handshake: handshake(right), address: right_at, asker, dialled_by_us: true, traffic };
    [serve(left, here, called), right_end]
}

fn serve(neighbours: &Neighbours, stream: DuplexStream, caller: Caller) -> JoinHandle<End> {
    let serving = neighbours.clone();
    tokio::spawn(async move { serving.serve(stream, caller, || {}).await })
}

fn peer_id_of(neighbours: &Neighbours) -> PeerId {
    neighbours.0.options.peer_id
}

async fn read(mut transfer: Transfer) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(part) = transfer.next().await {
        bytes.extend_from_slice(&part);
    }
    bytes
}

/// Waits until something is true that no event tells of.
async fn until(condition: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let soon = async {
        while !condition() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(20 * SECOND, soon).await.expect("it becomes true");
}

fn ip(asker: Asker, number: u8) -> SocketAddr {
    match asker {
        Asker::Local => ([192, 168, 1, number], 6881).into(),
        Asker::Remote => ([203, 0, number, 7], 6881).into(),
    }
}

fn peer_id(number: u8) -> PeerId {
    PeerId::ours([number; 12])
}

fn club() -> InfoHash {
    club_id("core", "x86_64")
}

fn id(number: u8) -> Sha256 {
    Sha256::from_bytes([number; 32])
}

fn what(kind: Kind) -> What {
    What { id: id(1), kind }
}

fn database() -> DatabaseClaim {
    DatabaseClaim { id: id(8), length: 118_000, signature: Bytes::from_static(b"signed") }
}

fn pointer() -> Pointer {
    Pointer { key: [1; 32], seq: 7, signature: [2; 64], value: Bytes::from_static(b"2:it") }
}

fn byte_at(at: u64) -> u8 {
    u8::try_from((at ^ at >> 8 ^ at >> 16) & 0xff).expect("a byte")
}

fn file(length: u64) -> Vec<u8> {
    (0..length).map(byte_at).collect()
}
