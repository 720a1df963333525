//! Fake peers, a fake engine and a doorman that knows three info hashes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use p2p_gate::{Change, Destination, Doorman, Gate, GateOptions, Limits, Scope, Secret, Serving, Visitor};
use p2p_package::InfoHash;
use p2p_wire::{Handshake, PeerId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Everything here is local; what takes longer than this hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Spoken for by the engine.
pub(crate) fn in_progress() -> InfoHash {
    InfoHash::of(b"a package in progress")
}

/// Spoken for here: an echo after the handshake.
pub(crate) fn in_catalog() -> InfoHash {
    InfoHash::of(b"a package in the catalog")
}

/// Spoken for by the engine once it has been told.
pub(crate) fn sought() -> InfoHash {
    InfoHash::of(b"a package that is looked for")
}

/// Spoken for by nobody.
pub(crate) fn unknown() -> InfoHash {
    InfoHash::of(b"something else")
}

pub(crate) fn peer_id(number: u8) -> PeerId {
    PeerId::ours([number; 12])
}

pub(crate) const GATE: u8 = 0;

/// What a gate under test needs around it.
pub(crate) struct House {
    pub(crate) gate: Gate,
    pub(crate) engine: FakeEngine,
    pub(crate) doorman: Arc<FakeDoorman>,
}

impl House {
    pub(crate) async fn build() -> Self {
        Self::build_with(GATE, Limits::default()).await
    }

    pub(crate) async fn build_with(number: u8, limits: Limits) -> Self {
        let options = GateOptions {
            listen: LOOPBACK,
            peer_id: peer_id(number),
            scope: Scope::Public,
            limits,
            upload: None,
            download: None,
            proxy_secret: Secret::new("secret".into()).expect("plain"),
        };
        Self::build_as(options).await
    }

    pub(crate) async fn build_as(options: GateOptions) -> Self {
        let engine = FakeEngine { listener: TcpListener::bind(LOOPBACK).await.expect("a port") };
        let address = engine.listener.local_addr().expect("bound");
        let doorman = Arc::new(FakeDoorman {
            engine: address,
            peer_id: options.peer_id,
            speaks: watch::Sender::default(),
            haves: watch::Sender::default(),
            seen: Mutex::default(),
        });
        let gate = Gate::bind(options, Arc::clone(&doorman) as _).await.expect("a port");
        Self { gate, engine, doorman }
    }

    /// A TCP connection to the gate that has said nothing yet.
    pub(crate) async fn call(&self) -> TcpStream {
        TcpStream::connect(self.gate.local_addr()).await.expect("the gate listens")
    }

    /// A caller who has said his handshake.
    pub(crate) async fn call_for(&self, info_hash: InfoHash) -> TcpStream {
        let mut peer = self.call().await;
        say(&mut peer, info_hash, 1).await;
        peer
    }
}

pub(crate) struct FakeEngine {
    pub(crate) listener: TcpListener,
}

impl FakeEngine {
    /// The next peer that the gate presents.
    pub(crate) async fn accept(&self) -> (TcpStream, Handshake) {
        let (mut link, _) = within(self.listener.accept()).await.expect("the gate presents a peer");
        let theirs = hear(&mut link).await;
        (link, theirs)
    }
}

/// Of the package in progress.
const PIECES: u32 = 12;

/// What the engine hears first of each peer: that it has nothing yet.
pub(crate) async fn hear_nothing(link: &mut TcpStream) {
    let mut said = [0; 4 + 1 + 2];
    within(link.read_exact(&mut said)).await.expect("the gate speaks for the peer");
    assert_eq!(said, [0, 0, 0, 3, 5, 0, 0]);
}

#[derive(Debug)]
pub(crate) struct FakeDoorman {
    engine: SocketAddr,
    peer_id: PeerId,
    /// Whether the engine speaks for what was sought by now.
    pub(crate) speaks: watch::Sender<bool>,
    /// The torrent of which a peer has last got a piece.
    pub(crate) haves: watch::Sender<Option<InfoHash>>,
    /// Address and direction of each visitor.
    pub(crate) seen: Mutex<Vec<(SocketAddr, p2p_gate::Direction)>>,
}

impl FakeDoorman {
    fn engine(&self) -> Destination {
        Destination::Engine { listener: self.engine, pieces: PIECES }
    }
}

impl Doorman for FakeDoorman {
    fn destination(&self, info_hash: InfoHash) -> Destination {
        if info_hash == in_progress() {
            self.engine()
        } else if info_hash == in_catalog() {
            Destination::Here
        } else if info_hash == sought() {
            if *self.speaks.borrow() { self.engine() } else { Destination::Soon }
        } else {
            Destination::Nowhere
        }
    }

    fn await_speaker(&self, info_hash: InfoHash) -> Change {
        assert_eq!(info_hash, sought());
        let speaks = self.speaks.subscribe();
        Box::pin(async move {
            let mut speaks = speaks;
            speaks.wait_for(|speaks| *speaks).await.ok();
        })
    }

    fn note_have(&self, info_hash: InfoHash) {
        self.haves.send_replace(Some(info_hash));
    }

    fn serve(&self, visitor: Visitor) -> Serving {
        self.seen.lock().expect("no panic").push((visitor.address, visitor.direction));
        let peer_id = self.peer_id;
        Box::pin(async move {
            let Visitor { mut stream, handshake, direction, .. } = visitor;
            if direction == p2p_gate::Direction::Incoming {
                stream.write_all(&Handshake::ours(handshake.info_hash, peer_id).encode()).await.ok();
            }
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy(&mut reader, &mut writer).await.ok();
        })
    }
}

pub(crate) async fn say(to: &mut (impl AsyncWrite + Unpin), info_hash: InfoHash, number: u8) {
    to.write_all(&Handshake::ours(info_hash, peer_id(number)).encode()).await.expect("connected");
}

pub(crate) async fn hear(from: &mut (impl AsyncRead + Unpin)) -> Handshake {
    let mut bytes = [0; Handshake::BYTES];
    within(from.read_exact(&mut bytes)).await.expect("a handshake");
    Handshake::decode(&bytes).expect("a handshake")
}

/// Whether the other side hangs up, after whatever it may say.
pub(crate) async fn is_hung_up_on(peer: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut rest = Vec::new();
    // A reset is as good an end as any.
    within(peer.read_to_end(&mut rest)).await.map_or(true, |_| true)
}

/// Sends `bytes` from one side to the other and checks that they arrive.
pub(crate) async fn check_bytes(from: &mut (impl AsyncWrite + Unpin), to: &mut (impl AsyncRead + Unpin), bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    let (sent, received) = within(async { tokio::join!(from.write_all(bytes), to.read_exact(&mut heard)) }).await;
    sent.expect("connected");
    received.expect("connected");
    assert!(heard == bytes, "{} bytes arrive as they were sent", bytes.len());
}

/// Bytes without a short period (the generator of Numerical Recipes).
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let states =
        std::iter::successors(Some(seed), |state| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    states.map(|state| state.to_be_bytes()[0]).take(length).collect()
}

pub(crate) async fn within<Output>(future: impl Future<Output = Output>) -> Output {
    tokio::time::timeout(BOUND, future).await.expect("does not hang")
}

/// Waits until something is true that no event tells of.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    within(async {
        while !condition() {
            ticks.tick().await;
        }
    })
    .await;
}
