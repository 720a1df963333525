use std::collections::HashMap;
use std::time::Duration;

use p2p_package::{InfoHash, PieceHash};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::PeerId;
use crate::limits::{FIRST_PEX, MAX_QUEUED_REQUESTS};

const KIB: u32 = 1024;
/// Three pieces, the last of 88 KiB.
const LENGTH: u64 = 600 * 1024;

#[test]
fn a_caller_speaks_first_and_opens_on_the_answer() {
    let mut peer = Peer::new(Role::Caller, Fast::No);
    assert_eq!(peer.sent_bytes(), Handshake::ours(info().info_hash(), ours()).encode());
    peer.says_bytes(&theirs(Fast::No).encode()[..30]);
    assert_eq!(peer.connection.poll_event(), None);
    peer.says_bytes(&theirs(Fast::No).encode()[30..]);
    assert_eq!(peer.connection.poll_event(), Some(SeedEvent::Opened(theirs(Fast::No))));
    let sent = peer.sent();
    let bits = Bytes::from_static(&[0xe0]);
    assert!(
        matches!(&sent[..], [Message::Extended { id: 0, .. }, Message::Bitfield(b), Message::Unchoke] if *b == bits)
    );
}

#[test]
fn one_who_was_called_answers_and_one_whose_call_was_answered_does_not() {
    let mut answerer = Peer::new(Role::Answerer(theirs(Fast::Yes)), Fast::Yes);
    let bytes = answerer.sent_bytes();
    assert_eq!(bytes[..68], Handshake::ours(info().info_hash(), ours()).encode());
    let mut introduced = Peer::new(Role::Introduced(theirs(Fast::Yes)), Fast::Yes);
    assert_eq!(introduced.sent_bytes(), bytes[68..]);
}

#[test]
fn the_extended_handshake_tells_what_a_downloader_needs() {
    let mut peer = Peer::new(Role::Introduced(theirs(Fast::Yes)), Fast::Yes);
    let sent = peer.sent();
    let [Message::Extended { id: 0, payload }, Message::HaveAll, Message::Unchoke] = &sent[..] else {
        panic!("{sent:?}");
    };
    let said = ExtendedHandshake::read(payload).expect("an extended handshake");
    assert_eq!((said.queue_depth, said.port, said.upload_only), (Some(2_000), None, true));
    assert_eq!(said.metadata_bytes, Some(u32::try_from(info().encoded().len()).unwrap()));
    assert!(said.version.is_some_and(|version| version.starts_with("pacman2pacman 0.")));
}

#[test]
fn strangers_and_we_ourselves_are_turned_away() {
    let new = |theirs| SeedConnection::new(torrent(), Role::Answerer(theirs), SeedOptions::new(ours()), Instant::now());
    let other = InfoHash::from_bytes([9; 20]);
    assert_eq!(new(Handshake::ours(other, id())).err(), Some(PeerFault::OtherSwarm(other)));
    assert_eq!(new(Handshake::ours(info().info_hash(), ours())).err(), Some(PeerFault::Ourselves));
    let mut peer = Peer::new(Role::Caller, Fast::No);
    let fault = peer.connection.handle_bytes(b"GET / HTTP/1.1\r\n", peer.now);
    assert_eq!(fault, Err(PeerFault::Handshake(HandshakeError)));
}

#[test]
fn what_is_not_offered_is_not_said_to_be_there_and_not_given() {
    for (fast, refusal) in [(Fast::No, vec![]), (Fast::Yes, vec![Message::Reject(block(2, 0))])] {
        let mut peer = Peer::new(Role::Introduced(theirs(fast)), fast);
        let offered = PieceSet::read(3, &[0b0100_0000]).expect("a bit a piece");
        let torrent = SeedTorrent { offered: Some(offered), ..torrent() };
        let role = Role::Introduced(theirs(fast));
        peer.connection = SeedConnection::new(torrent, role, SeedOptions::new(ours()), peer.now).expect("a peer");
        let [_, said, Message::Unchoke] = &peer.sent()[..] else { panic!("it opens otherwise") };
        assert_eq!(*said, Message::Bitfield(Bytes::from_static(&[0b0100_0000])));
        peer.says(&Message::Request(block(2, 0)));
        peer.says(&Message::Request(block(1, 0)));
        assert_eq!((peer.wanted(), peer.sent()), (vec![block(1, 0)], refusal));
    }
}

#[test]
fn blocks_go_out_in_the_order_in_which_they_are_ready() {
    let mut peer = Peer::opened(Fast::No);
    let (first, second) = (block(0, 0), block(0, 16 * KIB));
    peer.says(&Message::Request(first));
    peer.says(&Message::Request(second));
    assert_eq!(peer.wanted(), [first, second]);
    peer.connection.handle_block(second, data(second), peer.now);
    peer.connection.handle_block(first, data(first), peer.now);
    assert_eq!(peer.sent(), [piece(second), piece(first)]);
    assert_eq!(peer.connection.uploaded_bytes(), 32 * 1024);
}

#[test]
fn no_more_is_wanted_than_the_transport_drains() {
    let mut peer = Peer::opened(Fast::No);
    (0..10).for_each(|n| peer.says(&Message::Request(block(0, n * 16 * KIB))));
    let wanted = peer.wanted();
    assert_eq!(wanted.len(), 4, "64 KiB");
    for block in wanted {
        peer.connection.handle_block(block, data(block), peer.now);
    }
    assert_eq!(peer.wanted(), [], "all of it still waits");
    assert_eq!(peer.sent().len(), 4);
    assert_eq!(peer.wanted().len(), 4);
}

#[test]
fn a_block_larger_than_the_buffer_is_wanted_alone() {
    let mut peer = Peer::opened(Fast::No);
    peer.connection.options.send_buffer = 1;
    let large = Block { piece: 0, offset: 0, length: MAX_BLOCK_BYTES };
    peer.says(&Message::Request(large));
    peer.says(&Message::Request(block(1, 0)));
    assert_eq!(peer.wanted(), [large]);
}

#[test]
fn requests_outside_the_file_end_the_conversation() {
    for (piece, offset, length) in [
        (3, 0, 1),
        (2, 88 * KIB, 1),
        (2, 0, 88 * KIB + 1),
        (0, 0, 0),
        (0, u32::MAX, u32::MAX),
        (0, 0, MAX_BLOCK_BYTES + 1),
    ] {
        let wrong = Block { piece, offset, length };
        let mut peer = Peer::opened(Fast::Yes);
        let fault = peer.connection.handle_bytes(&Message::Request(wrong).encode(), peer.now);
        assert_eq!(fault, Err(PeerFault::Range(wrong)));
        assert_eq!(peer.connection.poll_timeout(), None);
    }
}

#[test]
fn a_cancelled_block_is_not_sent() {
    let mut peer = Peer::opened(Fast::Yes);
    let (waits, is_fetched) = (block(1, 0), block(0, 0));
    peer.says(&Message::Request(is_fetched));
    assert_eq!(peer.wanted(), [is_fetched]);
    peer.says(&Message::Request(waits));
    peer.says(&Message::Cancel(waits));
    peer.says(&Message::Cancel(is_fetched));
    peer.connection.handle_block(is_fetched, data(is_fetched), peer.now);
    assert_eq!(peer.wanted(), []);
    assert_eq!(peer.sent(), [Message::Reject(waits), Message::Reject(is_fetched)]);
}

#[test]
fn a_missing_block_is_rejected_or_ends_the_conversation() {
    let mut fast = Peer::opened(Fast::Yes);
    let wanted = block(0, 0);
    fast.says(&Message::Request(wanted));
    assert_eq!(fast.wanted(), [wanted]);
    fast.connection.handle_block(wanted, Bytes::from_static(b"too short"), fast.now);
    assert_eq!(fast.sent(), [Message::Reject(wanted)]);

    let mut slow = Peer::opened(Fast::No);
    slow.says(&Message::Request(wanted));
    assert_eq!(slow.wanted(), [wanted]);
    slow.connection.handle_block_missing(wanted, slow.now);
    assert_eq!(slow.connection.poll_event(), Some(SeedEvent::Closed(CloseReason::BlockMissing)));
}

#[test]
fn a_choked_peer_is_rejected_until_it_is_unchoked() {
    let mut peer = Peer::opened(Fast::Yes);
    peer.says(&Message::Request(block(0, 0)));
    peer.connection.set_upload(Upload::Choked, peer.now);
    peer.says(&Message::Request(block(1, 0)));
    assert_eq!(peer.wanted(), []);
    peer.connection.set_upload(Upload::Unchoked, peer.now);
    let (choke, unchoke) = (Message::Choke, Message::Unchoke);
    assert_eq!(peer.sent(), [choke, Message::Reject(block(0, 0)), Message::Reject(block(1, 0)), unchoke]);
    peer.says(&Message::Request(block(0, 0)));
    assert_eq!(peer.wanted(), [block(0, 0)]);
}

#[test]
fn a_flood_of_requests_ends_the_conversation() {
    for fast in [Fast::Yes, Fast::No] {
        let mut peer = Peer::opened(fast);
        let fault = (0..u32::MAX).find_map(|n| {
            let request = Message::Request(Block { piece: 0, offset: n % 200_000, length: 1 + n / 200_000 });
            peer.connection.handle_bytes(&request.encode(), peer.now).err()
        });
        assert!(matches!(fault, Some(PeerFault::Flood | PeerFault::NotReading)), "{fault:?}");
        assert!(peer.sent_bytes().len() <= MAX_QUEUED_REQUESTS * KIB as usize);
    }
}

#[test]
fn metadata_is_handed_out_by_its_extension() {
    let mut peer = Peer::opened(Fast::Yes);
    let extensions = vec![(UT_METADATA.to_owned(), 77)];
    let hello = ExtendedHandshake { extensions, ..ExtendedHandshake::default() };
    peer.says(&Message::Extended { id: 0, payload: hello.encode().into() });
    let ask = MetadataMessage::Request { block: 0 }.encode();
    peer.says(&Message::Extended { id: OUR_METADATA_ID, payload: ask.into() });
    let answer = MetadataMessage::answer(info().encoded(), 0).encode();
    assert_eq!(peer.sent(), [Message::Extended { id: 77, payload: answer.into() }]);
}

#[test]
fn a_peer_that_needs_nothing_is_told_goodbye() {
    let never = ExtendedHandshake { upload_only: true, ..ExtendedHandshake::default() };
    for message in [
        Message::HaveAll,
        Message::Bitfield(Bytes::from_static(&[0xe0])),
        Message::Extended { id: 0, payload: never.encode().into() },
    ] {
        let mut peer = Peer::opened(Fast::Yes);
        peer.says(&message);
        assert_eq!(peer.connection.poll_event(), Some(SeedEvent::Closed(CloseReason::RemoteIsSeed)));
    }
}

#[test]
fn silence_is_broken_by_us_and_not_borne_for_ever() {
    let mut peer = Peer::opened(Fast::No);
    peer.says(&Message::Interested);
    peer.connection.poll_event();
    let start = peer.now;
    let mut alive = 0;
    let reason = loop {
        peer.now = peer.connection.poll_timeout().expect("an open conversation has a deadline");
        peer.connection.handle_timeout(peer.now);
        alive += peer.sent().len();
        if let Some(SeedEvent::Closed(reason)) = peer.connection.poll_event() {
            break reason;
        }
    };
    assert_eq!((reason, peer.now - start, alive), (CloseReason::Silent, SILENCE_TIMEOUT, 29));
}

#[test]
fn a_peer_that_only_keeps_the_connection_alive_loses_it() {
    for (interest, upload, limit) in [
        (None, Upload::Unchoked, DISINTEREST_TIMEOUT),
        (None, Upload::Choked, DISINTEREST_TIMEOUT),
        (Some(Message::Interested), Upload::Unchoked, IDLE_TIMEOUT),
        (Some(Message::Interested), Upload::Choked, WAITING_TIMEOUT),
    ] {
        let mut peer = Peer::opened(Fast::No);
        let start = peer.now;
        peer.connection.set_upload(upload, peer.now);
        if let Some(interest) = interest {
            peer.says(&interest);
            peer.connection.poll_event();
        }
        while peer.connection.poll_timeout().is_some() {
            peer.now += Duration::from_secs(5);
            peer.says(&Message::KeepAlive);
            peer.connection.handle_timeout(peer.now);
            peer.sent();
        }
        assert_eq!(peer.connection.poll_event(), Some(SeedEvent::Closed(CloseReason::Idle)));
        assert_eq!(peer.now - start, limit);
    }
}

#[test]
fn a_caller_gets_no_handshake_for_ten_seconds_and_gives_up() {
    let mut peer = Peer::new(Role::Caller, Fast::No);
    peer.now = peer.connection.poll_timeout().expect("a deadline");
    peer.connection.handle_timeout(peer.now);
    assert_eq!(peer.connection.poll_event(), Some(SeedEvent::Closed(CloseReason::NoHandshake)));
    assert_eq!(peer.connection.poll_timeout(), None);
}

#[test]
fn other_peers_are_told_of_to_one_who_listens() {
    let mut peer = Peer::opened(Fast::No);
    let other = SocketAddr::from(([10, 0, 0, 1], 6881));
    peer.connection.tell_added(other);
    let hello = ExtendedHandshake { extensions: vec![(UT_PEX.to_owned(), 9)], ..ExtendedHandshake::default() };
    peer.says(&Message::Extended { id: 0, payload: hello.encode().into() });
    assert_eq!(peer.connection.poll_timeout(), Some(peer.now + FIRST_PEX));
    peer.now += FIRST_PEX;
    peer.connection.handle_timeout(peer.now);
    let sent = peer.sent();
    let [Message::Extended { id: 9, payload }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(crate::PexMessage::read(payload).expect("a PEX message").added, [other]);
}

#[test]
fn a_peer_that_takes_an_extension_back_leaves_no_deadline_in_the_past() {
    let mut peer = Peer::opened(Fast::No);
    peer.connection.tell_added(SocketAddr::from(([10, 0, 0, 1], 6881)));
    for extensions in [vec![(UT_PEX.to_owned(), 9)], Vec::new()] {
        let hello = ExtendedHandshake { extensions, ..ExtendedHandshake::default() };
        peer.says(&Message::Extended { id: 0, payload: hello.encode().into() });
    }
    peer.now += FIRST_PEX;
    peer.connection.handle_timeout(peer.now);
    assert!(peer.connection.poll_timeout().is_some_and(|due| due > peer.now));
}

/// What a downloader may do, in a random order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(Block),
    Cancel(Block),
    /// The driver finishes one of the blocks that it is getting.
    Answer(usize),
    Miss(usize),
    Transmit,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let any_block = || (0_u32..3, 0_u32..4).prop_map(|(piece, n)| block(piece, n * 16 * KIB));
    prop_oneof![
        4 => any_block().prop_map(Step::Ask),
        1 => any_block().prop_map(Step::Cancel),
        4 => any::<usize>().prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::Miss),
        2 => proptest::prelude::Just(Step::Transmit),
        1 => (0_u64..4).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn every_request_is_answered_exactly_once(steps in proptest::collection::vec(step(), 1..200)) {
        let mut peer = Peer::opened(Fast::Yes);
        let mut open: HashMap<Block, usize> = HashMap::new();
        let mut getting = Vec::new();
        let mut answers = Vec::new();
        for step in steps {
            match step {
                Step::Ask(block) => {
                    // A client does not repeat a request that is on its way.
                    answers.extend(peer.sent());
                    settle(&mut open, &mut answers);
                    if open.insert(block, 1).is_none() {
                        peer.says(&Message::Request(block));
                    }
                }
                Step::Cancel(block) => peer.says(&Message::Cancel(block)),
                Step::Answer(n) if !getting.is_empty() => {
                    let block = getting.swap_remove(n % getting.len());
                    peer.connection.handle_block(block, data(block), peer.now);
                }
                Step::Miss(n) if !getting.is_empty() => {
                    let block = getting.swap_remove(n % getting.len());
                    peer.connection.handle_block_missing(block, peer.now);
                }
                Step::Transmit => answers.extend(peer.sent()),
                Step::Wait(seconds) => {
                    peer.now += Duration::from_secs(seconds);
                    peer.connection.handle_timeout(peer.now);
                }
                Step::Answer(_) | Step::Miss(_) => (),
            }
            getting.extend(peer.wanted());
            prop_assert!(peer.connection.outbox.bytes() <= 64 * 1024 + 12 * 100);
        }
        loop {
            answers.extend(peer.sent());
            getting.extend(peer.wanted());
            let Some(block) = getting.pop() else { break };
            peer.connection.handle_block(block, data(block), peer.now);
        }
        settle(&mut open, &mut answers);
        prop_assert_eq!(open, HashMap::new());
    }

    #[test]
    fn no_bytes_panic_or_grow_without_limit(
        parts in proptest::collection::vec((any::<u8>(), any::<Vec<u8>>()), 0..40),
    ) {
        let mut peer = Peer::opened(Fast::Yes);
        for (id, payload) in parts {
            let length = u32::try_from(payload.len() + 1).unwrap();
            let mut frame = length.to_be_bytes().to_vec();
            frame.push(id % 22);
            frame.extend(payload);
            if peer.connection.handle_bytes(&frame, peer.now).is_err() {
                break;
            }
            peer.wanted();
        }
        let _ = peer.connection.handle_bytes(b"whatever", peer.now);
        prop_assert!(peer.connection.outbox.bytes() < 300_000);
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else there is or will be is no answer")]
fn settle(open: &mut HashMap<Block, usize>, answers: &mut Vec<Message>) {
    for answer in answers.drain(..) {
        let block = match answer {
            Message::Piece { piece, offset, data } => {
                let block = Block { piece, offset, length: u32::try_from(data.len()).unwrap() };
                assert_eq!(data, self::data(block), "the right bytes");
                block
            }
            Message::Reject(block) => block,
            Message::KeepAlive => continue,
            other => panic!("not an answer: {other:?}"),
        };
        assert!(open.remove(&block).is_some(), "an answer to a request that is open");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Fast {
    Yes,
    No,
}

/// The other side of a conversation.
struct Peer {
    connection: SeedConnection,
    framer: Framer,
    now: Instant,
}

impl Peer {
    fn new(role: Role, fast: Fast) -> Self {
        assert!(role == Role::Caller || role_handshake(role).knows_fast() == (fast == Fast::Yes));
        let now = Instant::now();
        let connection = SeedConnection::new(torrent(), role, SeedOptions::new(ours()), now).expect("a peer");
        Self { connection, framer: Framer::new(1 << 20), now }
    }

    /// Past the greetings.
    fn opened(fast: Fast) -> Self {
        let mut peer = Self::new(Role::Introduced(theirs(fast)), fast);
        assert_eq!(peer.sent().len(), 3);
        assert_eq!(peer.connection.poll_event(), Some(SeedEvent::Opened(theirs(fast))));
        peer
    }

    fn says(&mut self, message: &Message) {
        self.says_bytes(&message.encode());
    }

    fn says_bytes(&mut self, bytes: &[u8]) {
        self.connection.handle_bytes(bytes, self.now).expect("a well-behaved peer");
    }

    fn sent_bytes(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.connection.poll_transmit()).flatten().collect()
    }

    fn sent(&mut self) -> Vec<Message> {
        let bytes = self.sent_bytes();
        self.framer.push(&bytes);
        std::iter::from_fn(|| self.framer.next_message().expect("we keep to the protocol")).collect()
    }

    fn wanted(&mut self) -> Vec<Block> {
        std::iter::from_fn(|| self.connection.poll_wanted_block()).collect()
    }
}

fn role_handshake(role: Role) -> Handshake {
    match role {
        Role::Answerer(theirs) | Role::Introduced(theirs) => theirs,
        Role::Caller => unreachable!("a caller has no handshake yet"),
    }
}

fn info() -> Info {
    let pieces = (0..3).map(|n| PieceHash::from_bytes([n; 20])).collect();
    Info::canonical("a-1-1-any.pkg.tar.zst".parse().expect("a package name"), LENGTH, pieces)
}

fn torrent() -> SeedTorrent {
    SeedTorrent::whole(info())
}

fn ours() -> PeerId {
    PeerId::ours([1; 12])
}

fn id() -> PeerId {
    PeerId::from_bytes([2; 20])
}

fn theirs(fast: Fast) -> Handshake {
    let theirs = Handshake::ours(info().info_hash(), id());
    if fast == Fast::Yes { theirs } else { theirs.without_fast() }
}

fn block(piece: u32, offset: u32) -> Block {
    Block { piece, offset, length: 16 * KIB }
}

fn data(block: Block) -> Bytes {
    vec![u8::try_from(block.piece * 16 + block.offset / (16 * KIB)).unwrap(); block.length as usize].into()
}

fn piece(block: Block) -> Message {
    Message::Piece { piece: block.piece, offset: block.offset, data: data(block) }
}
