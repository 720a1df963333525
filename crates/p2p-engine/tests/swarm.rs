//! Two engines, brought together as the gate does it: by somebody who dials both and passes the bytes on.

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use p2p_engine::{Engine, EngineError, EngineOptions, PEER_SILENCE, Stage, Swarm, SwarmFault, SwarmProgress, Waker};
use p2p_package::{Hasher, Info};
use p2p_wire::{Framer, Handshake, Message, PeerId, PieceSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

const SIZE: usize = 3_000_000;
const PIECE: u64 = 256 * 1024;

fn package() -> (Vec<u8>, Info) {
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n * n / 7919).to_le_bytes()[0]).collect();
    let mut hasher = Hasher::new(SIZE as u64).expect("a package's size");
    hasher.update(&bytes);
    let hashed = hasher.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package name")).expect("all bytes");
    (bytes, hashed.info)
}

fn spool(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    std::io::Write::write_all(&mut file, content).expect("room for the content");
    file
}

fn content(file: &File) -> Vec<u8> {
    let length = usize::try_from(file.metadata().expect("an open file").len()).expect("a small file");
    let mut bytes = vec![0; length];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).expect("the whole file");
    bytes
}

async fn engine(name: u8) -> Engine {
    let options = EngineOptions { peer_id: [name; 20], proxy: None };
    Engine::start(options).await.expect("an engine on loopback")
}

async fn until(swarm: &Swarm, reached: impl FnMut(&SwarmProgress) -> bool) -> SwarmProgress {
    let mut progress = swarm.progress();
    let reached = tokio::time::timeout(Duration::from_secs(20), progress.wait_for(reached)).await;
    reached.expect("the swarm gets there in time").expect("the swarm still exists").clone()
}

fn complete(progress: &SwarmProgress) -> bool {
    matches!(progress.stage, Stage::Complete)
}

/// Shakes hands with the first engine in the name of the second, and with the second in the name of the first.
async fn introduce(info: &Info, first: SocketAddr, second: SocketAddr) {
    let mut first = TcpStream::connect(first).await.expect("a listening engine");
    let mut second = TcpStream::connect(second).await.expect("a listening engine");
    let mut handshake =
        [b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\0".as_slice(), info.info_hash().as_bytes(), &[9; 20]].concat();
    first.write_all(&handshake).await.expect("an open connection");
    first.read_exact(&mut handshake).await.expect("an answer");
    second.write_all(&handshake).await.expect("an open connection");
    second.read_exact(&mut handshake).await.expect("an answer");
    tokio::spawn(async move { copy_bidirectional(&mut first, &mut second).await });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_goes_from_one_engine_to_the_other() {
    let (bytes, info) = package();
    let (seeder, leecher) = (engine(1).await, engine(2).await);
    let whole = seeder.join(info.clone(), spool(&bytes)).await.expect("a swarm");
    assert_eq!(until(&whole, complete).await.contiguous_bytes, SIZE as u64);

    let file = spool(b"");
    let swarm = leecher.join(info.clone(), file.try_clone().expect("a second handle")).await.expect("a swarm");
    introduce(&info, seeder.listen_addr(), leecher.listen_addr()).await;
    let done = until(&swarm, complete).await;
    assert_eq!((done.verified_bytes, done.contiguous_bytes), (SIZE as u64, SIZE as u64));
    swarm.leave().await;
    assert_eq!(content(&file), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_file_holds_already_are_kept() {
    let (bytes, info) = package();
    let engine = engine(1).await;
    let mut partial = bytes[..1_000_000].to_vec();
    partial[300_000] ^= 1;
    let file = spool(&partial);
    let swarm = engine.join(info, file.try_clone().expect("a second handle")).await.expect("a swarm");
    let live = until(&swarm, |progress| matches!(progress.stage, Stage::Live)).await;
    // Pieces 0 and 2; piece 1 is corrupt, and piece 3 ends beyond the file.
    assert_eq!((live.verified_bytes, live.contiguous_bytes), (2 * PIECE, PIECE));
    assert_eq!(swarm.peers(), 0);
    swarm.leave().await;
    assert_eq!(content(&file)[..1_000_000], partial, "leaving touches no byte");
    assert_eq!(file.metadata().expect("an open file").len(), SIZE as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_file_is_not_cut() {
    let (mut bytes, info) = package();
    bytes.extend(b"of somebody else");
    let file = spool(&bytes);
    let engine = engine(1).await;
    let swarm = engine.join(info, file.try_clone().expect("a second handle")).await.expect("a swarm");
    until(&swarm, complete).await;
    drop(swarm);
    assert_eq!(content(&file), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_swarm_at_the_first_write() {
    let (bytes, info) = package();
    let (seeder, leecher) = (engine(1).await, engine(2).await);
    let whole = seeder.join(info.clone(), spool(&bytes)).await.expect("a swarm");
    until(&whole, complete).await;
    let full = File::options().read(true).write(true).open("/dev/full").expect("Linux has it");
    let swarm = leecher.join(info.clone(), full).await.expect("a swarm");
    introduce(&info, seeder.listen_addr(), leecher.listen_addr()).await;
    let failed = until(&swarm, |progress| matches!(progress.stage, Stage::Failed(_))).await;
    assert!(matches!(failed.stage, Stage::Failed(SwarmFault::DiskFull)), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swarm_is_joined_once_and_can_be_joined_again_after_leaving() {
    let (bytes, info) = package();
    let engine = engine(1).await;
    let swarm = engine.join(info.clone(), spool(b"")).await.expect("a swarm");
    let second = engine.join(info.clone(), spool(b"")).await;
    assert!(matches!(second, Err(EngineError::Joined)), "{second:?}");
    drop(swarm);
    let swarm = engine.join(info, spool(&bytes)).await.expect("the first has left");
    until(&swarm, complete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_swarms_at_once_do_not_wait_for_each_other() {
    let engine = engine(1).await;
    let packages = (0..40_usize).map(|n| {
        let bytes = vec![u8::try_from(n).expect("a small number"); 400_000];
        let mut hasher = Hasher::new(400_000).expect("a package's size");
        hasher.update(&bytes);
        let hashed = hasher.finish(format!("p{n}-1-1-any.pkg.tar.zst").parse().expect("a package name"));
        (bytes, hashed.expect("all bytes").info)
    });
    let joining = packages.map(|(bytes, info)| engine.join(info, spool(&bytes)));
    for swarm in futures_util::future::join_all(joining).await {
        until(&swarm.expect("a swarm"), complete).await;
    }
}

/// A peer that shakes hands, says that it has everything, and unchokes where told to; then it only listens.
async fn silent_peer(info: &Info, engine: SocketAddr, unchokes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(engine).await.expect("a listening engine");
    let handshake =
        [b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".as_slice(), info.info_hash().as_bytes(), &[9; 20]].concat();
    let bitfield = [0, 0, 0, 3, 5, 0xff, 0xf0];
    let greeting = [&handshake[..], &bitfield, unchokes].concat();
    stream.write_all(&greeting).await.expect("an open connection");
    stream
}

/// How long the engine keeps the connection, up to a limit.
async fn kept_for(stream: &mut TcpStream, limit: Duration) -> Duration {
    let begin = std::time::Instant::now();
    let mut sink = tokio::io::sink();
    let _ = tokio::time::timeout(limit, tokio::io::copy(stream, &mut sink)).await;
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_dropped_soon() {
    let (_, info) = package();
    assert_eq!(info.pieces().len(), 12, "the peers' bit field fits");
    let engine = engine(1).await;
    let swarm = engine.join(info.clone(), spool(b"")).await.expect("a swarm");
    until(&swarm, |progress| matches!(progress.stage, Stage::Live)).await;
    let mut choking = silent_peer(&info, engine.listen_addr(), b"").await;
    let mut owing = silent_peer(&info, engine.listen_addr(), b"\0\0\0\x01\x01").await;
    let limit = PEER_SILENCE + Duration::from_secs(4);
    let kept = tokio::join!(kept_for(&mut choking, limit), kept_for(&mut owing, limit));
    assert!(kept.0 < limit && kept.1 < limit, "{kept:?}");
    // The engine hangs up first, and counts then.
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let counted = async {
        while swarm.peers() > 0 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("who was hung up on is no peer any more");
}

/// A peer that gets one piece after the other, and says so.
struct Leecher {
    stream: TcpStream,
    framer: Framer,
}

impl Leecher {
    async fn call(engine: SocketAddr, info: &Info) -> Self {
        let mut stream = TcpStream::connect(engine).await.expect("a listening engine");
        let handshake = Handshake::ours(info.info_hash(), PeerId::from_bytes([7; 20]));
        stream.write_all(&handshake.encode()).await.expect("an open connection");
        stream.read_exact(&mut [0; Handshake::BYTES]).await.expect("an answer");
        let mut leecher = Self { stream, framer: Framer::new(1 << 20) };
        let pieces = u32::try_from(info.pieces().len()).expect("a few pieces");
        leecher.say(&Message::Bitfield(PieceSet::none(pieces).encoded())).await;
        leecher.say(&Message::Unchoke).await;
        leecher
    }

    async fn say(&mut self, message: &Message) {
        self.stream.write_all(&message.encode()).await.expect("an open connection");
    }

    /// Says that it has this piece, and gives it to the engine.
    async fn gives(&mut self, piece: u32, bytes: &[u8], waker: &Waker) {
        self.say(&Message::Have(piece)).await;
        waker.wake();
        let begin = usize::try_from(u64::from(piece) * PIECE).expect("a small file");
        let mut left = bytes[begin..].len().min(usize::try_from(PIECE).expect("a small piece"));
        let mut buffer = vec![0; 4 * 1024];
        while left > 0 {
            while let Some(message) = self.framer.next_message().expect("the engine keeps to the protocol") {
                let Message::Request(block) = message else { continue };
                assert_eq!(block.piece, piece, "it asks for what is there");
                let (from, length) = (begin + block.offset as usize, block.length as usize);
                let data = bytes[from..from + length].to_vec().into();
                self.say(&Message::Piece { piece, offset: block.offset, data }).await;
                left -= length;
            }
            if left > 0 {
                let read = self.stream.read(&mut buffer).await.expect("an open connection");
                assert_ne!(read, 0, "the engine stays");
                self.framer.push(&buffer[..read]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_gets_meanwhile_is_asked_for_before_the_engine_looks_by_itself() {
    let (bytes, info) = package();
    let engine = engine(1).await;
    let swarm = engine.join(info.clone(), spool(b"")).await.expect("a swarm");
    let mut leecher = Leecher::call(engine.listen_addr(), &info).await;
    let pieces = u32::try_from(info.pieces().len()).expect("a few pieces");
    let waker = swarm.waker();
    // By itself the engine looks every five seconds: a minute for all of them.
    let all = async {
        for piece in 0..pieces {
            leecher.gives(piece, &bytes, &waker).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), all).await.expect("a moment for each");
    until(&swarm, complete).await;
}
