//! What a neighbour hears from outside of the LAN, and on it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use p2p_package::InfoHash;
use p2p_tests::{Host, Package, wait_until};
use p2p_wire::{
    Answer, ExtendedHandshake, Framer, Handshake, Message, P2P_PACKAGES, PackagesMessage, PeerId, Refusal, Wishes,
    club_id,
};

use super::stage::Stage;

/// The number under which a stranger takes messages about packages.
const PACKAGES: u8 = 7;
const LONGEST: usize = 128 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// A neighbour that asks what it likes.
struct Stranger {
    stream: TcpStream,
    framer: Framer,
    peer_id: PeerId,
    theirs: u8,
    asked: u32,
}

impl Stranger {
    /// Calls from the address of `host`, and greets.
    fn meet(host: &Host, to: SocketAddr) -> Self {
        let (peer_id, mut called) = (peer_id(host), None);
        // The clubs are joined a moment after the port is open.
        wait_until("the club to be joined", PATIENCE, || {
            called = call(host, to, peer_id);
            called.is_some()
        });
        let stream = called.expect("just called");
        let mut stranger = Self { stream, framer: Framer::new(LONGEST), peer_id, theirs: 0, asked: 0 };
        let extensions = vec![(P2P_PACKAGES.to_owned(), PACKAGES)];
        let hello = ExtendedHandshake { extensions, ..ExtendedHandshake::default() };
        stranger.send(0, hello.encode());
        let hello = ExtendedHandshake::read(&stranger.hear(0)).expect("an extended handshake");
        stranger.theirs = hello.id_of(P2P_PACKAGES).expect("a neighbour");
        stranger
    }

    fn send(&mut self, id: u8, payload: Vec<u8>) {
        let message = Message::Extended { id, payload: payload.into() };
        self.stream.write_all(&message.encode()).expect("connected");
    }

    /// The next message under this number.
    fn hear(&mut self, wanted: u8) -> Bytes {
        loop {
            match self.framer.next_message().expect("a message") {
                Some(Message::Extended { id, payload }) if id == wanted => return payload,
                Some(_) => {}
                None => {
                    let mut bytes = [0; 4096];
                    let length = self.stream.read(&mut bytes).expect("an answer");
                    assert!(length > 0, "the daemon has hung up");
                    self.framer.push(&bytes[..length]);
                }
            }
        }
    }

    fn ask(&mut self, question: impl FnOnce(u32) -> PackagesMessage) -> PackagesMessage {
        self.asked += 1;
        let theirs = self.theirs;
        self.send(theirs, question(self.asked).encode().into());
        PackagesMessage::read(&self.hear(PACKAGES)).expect("a good message").expect("of this version")
    }

    fn hears_of(&mut self, package: &Package) -> bool {
        let (ids, wishes) = (vec![package.id.sha256], Wishes::default());
        let answer = self.ask(|n| PackagesMessage::Have { n, ids, wishes });
        let PackagesMessage::Has { answers, .. } = answer else { panic!("{answer:?}") };
        matches!(answers[0], Answer::Here(_))
    }
}

/// A connection past BitTorrent's handshakes, where somebody speaks for the club.
fn call(host: &Host, to: SocketAddr, peer_id: PeerId) -> Option<TcpStream> {
    let mut stream = host.connect(to).expect("the port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    stream.write_all(&Handshake::ours(club(), peer_id).encode()).ok()?;
    stream.read_exact(&mut [0; Handshake::BYTES]).ok()?;
    Some(stream)
}

fn club() -> InfoHash {
    club_id("core", "x86_64")
}

fn peer_id(host: &Host) -> PeerId {
    let mut random = [b'-'; 12];
    let address = host.address().to_string();
    random.iter_mut().zip(address.bytes().rev()).for_each(|(byte, digit)| *byte = digit);
    PeerId::ours(random)
}

/// Answers one caller of the club.
fn answer(host: &Host) -> SocketAddr {
    let (at, peer_id) = (SocketAddr::new(host.address(), 0), peer_id(host));
    let (tell, told) = mpsc::channel();
    // Ends with its caller; where none comes, with the tests.
    let _answering = host.spawn(move || {
        let listener = TcpListener::bind(at).expect("a port");
        tell.send(listener.local_addr().expect("bound")).expect("somebody waits");
        let (mut caller, _) = listener.accept().expect("a caller");
        caller.read_exact(&mut [0; Handshake::BYTES]).expect("a handshake");
        caller.write_all(&Handshake::ours(club(), peer_id).encode()).expect("connected");
        // Until the caller hangs up.
        let _ = caller.read(&mut [0; 1]);
    });
    told.recv().expect("a port")
}

#[test]
fn what_a_new_database_lists_no_more_is_offered_to_neighbours_on_the_lan_only() {
    let mut stage = Stage::new();
    let daemon = stage.seed_old();
    let [first, second] = stage.packages.old.clone();
    let [mut near, mut far] = [&stage.near, &stage.far].map(|host| Stranger::meet(host, daemon.listen()));
    assert!(near.hears_of(&first) && far.hears_of(&first), "{}", daemon.log());
    stage.list(&second);
    // By itself: nothing tells the daemon.
    stage.pacman_options.xfer_command = None;
    stage.pacman.configure(&stage.pacman_options);
    stage.pacman.pacman(&["-Syy"]).succeeded();
    // Databases are looked at once a second for strangers.
    wait_until("the old version to be nobody's business", Duration::from_secs(3), || !far.hears_of(&first));
    assert!(near.hears_of(&first), "{}", daemon.log());
}

#[test]
fn a_neighbour_is_dialled_back_where_it_is_once_a_minute_and_hears_what_came_of_it() {
    let mut stage = Stage::new();
    let options = stage.options();
    let daemon = stage.start(options);
    let [mut near, mut far] = [&stage.near, &stage.far].map(|host| Stranger::meet(host, daemon.listen()));
    assert_ne!(near.peer_id, far.peer_id);
    let port = answer(&stage.far).port();
    assert_eq!(far.ask(|n| PackagesMessage::Call { n, port }), PackagesMessage::Called { n: 1, reached: true });
    let refused = PackagesMessage::No { n: 2, why: Refusal::TooMuch };
    assert_eq!(far.ask(|n| PackagesMessage::Call { n, port }), refused);
    // Nobody listens there.
    let port = stage.near.free_port();
    assert_eq!(near.ask(|n| PackagesMessage::Call { n, port }), PackagesMessage::Called { n: 1, reached: false });
    let nothing = PackagesMessage::Newest { n: 2, databases: Vec::new(), pointers: Vec::new() };
    assert_eq!(near.ask(|n| PackagesMessage::Recent { n, club: club() }), nothing, "there is no database yet");
}
