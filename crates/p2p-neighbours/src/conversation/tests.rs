use std::time::Duration;

use p2p_wire::{
    Answer, DATA_BLOCK_BYTES, DatabaseClaim, Holding, Kind, MAX_NEWEST, OUR_VERSION, P2P_PACKAGES, PeerId, Pointer,
    Refusal, UT_PEX,
};

use super::limits::{ANSWER_TIMEOUT, DENIAL_AGE, MAX_DENIALS, MAX_LATE, MAX_STRAYS, PATIENCE};
use super::*;

mod asking;
mod greetings;
mod hostile;
mod pair;

#[test]
fn eight_questions_and_four_gets_are_answered_at_once_and_no_more() {
    let mut peer = Stranger::ready();
    for number in 0..9 {
        peer.says(&have(number, &[1]));
    }
    for number in 9..14 {
        peer.says(&get(number, 0..1));
    }
    let asked = peer.events();
    assert_eq!(asked.len(), 12);
    assert!(asked.contains(&Event::Wanted { number: 12, length: 1 }));
    assert!(asked.contains(&Event::Asked { number: 7, ids: vec![id(1)], wishes: Wishes::default() }));
    assert_eq!(peer.heard(), [8, 13].map(|n| PackagesMessage::No { n, why: Refusal::TooMuch }));
}

#[test]
fn a_question_counts_until_its_answer_has_left() {
    let mut peer = Stranger::ready();
    (0..8).for_each(|number| peer.says(&have(number, &[1])));
    (0..8).for_each(|number| peer.ours.answer_have(number, vec![Answer::Absent], peer.now));
    peer.says(&have(8, &[1]));
    assert_eq!(peer.heard().len(), 9);
    peer.says(&have(9, &[1]));
    assert_eq!(peer.events().len(), 9, "all but the one that came too soon");
}

#[test]
fn only_what_was_wished_for_is_sent() {
    let everything = Holding { info: Some(Bytes::from_static(b"de")), signature: Some(Bytes::from_static(b"s")) };
    for (info, signature) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut peer = Stranger::ready();
        let wishes = Wishes { info, signature };
        peer.says(&PackagesMessage::Have { n: 1, ids: vec![id(1)], wishes });
        peer.ours.answer_have(1, vec![Answer::Here(everything.clone())], peer.now);
        let mut answer = everything.clone();
        answer.info.take_if(|_| !info);
        answer.signature.take_if(|_| !signature);
        let mut answers = vec![Answer::Absent; 8];
        answers[0] = Answer::Here(answer);
        assert_eq!(peer.heard(), [PackagesMessage::Has { n: 1, answers }]);
    }
}

#[test]
fn questions_about_clubs_and_calls_are_answered_once_and_by_their_own_kind() {
    let mut peer = Stranger::ready();
    peer.says(&PackagesMessage::Recent { n: 1, club: club() });
    peer.says(&PackagesMessage::Call { n: 2, port: 6881 });
    let asked = [Event::AskedRecent { number: 1, club: club() }, Event::AskedCall { number: 2, port: 6881 }];
    assert_eq!(peer.events(), asked);
    peer.ours.answer_have(1, Vec::new(), peer.now);
    peer.ours.answer_call(1, true, peer.now);
    peer.ours.answer_recent(2, Vec::new(), Vec::new(), peer.now);
    assert_eq!(peer.heard(), [], "no answers to these");
    for _ in 0..2 {
        peer.ours.answer_call(2, true, peer.now);
        let (databases, pointers) = (vec![database(); MAX_NEWEST + 1], vec![pointer(); MAX_NEWEST + 1]);
        peer.ours.answer_recent(1, databases, pointers, peer.now);
    }
    let (databases, pointers) = (vec![database(); MAX_NEWEST], vec![pointer(); MAX_NEWEST]);
    let newest = PackagesMessage::Newest { n: 1, databases, pointers };
    assert_eq!(peer.heard(), [PackagesMessage::Called { n: 2, reached: true }, newest]);
}

#[test]
fn a_get_that_is_refused_is_not_read() {
    let mut peer = Stranger::ready();
    peer.says(&get(1, 0..100_000));
    assert_eq!(peer.events(), [Event::Wanted { number: 1, length: 100_000 }]);
    peer.ours.refuse(1, Refusal::TooMuch, peer.now);
    assert_eq!(peer.ours.wants_data(), None);
    assert_eq!(peer.heard(), [PackagesMessage::No { n: 1, why: Refusal::TooMuch }]);
}

#[test]
fn an_answer_with_too_few_entries_says_no_for_the_rest() {
    let mut peer = Stranger::ready();
    peer.says(&have(1, &[1, 2]));
    peer.ours.answer_have(1, vec![Answer::Here(Holding::default())], peer.now);
    peer.ours.answer_have(1, vec![Answer::Absent; 2], peer.now);
    let mut answers = vec![Answer::Absent; 8];
    answers[0] = Answer::Here(Holding::default());
    assert_eq!(peer.heard(), [PackagesMessage::Has { n: 1, answers }], "and only one answer");
}

#[test]
fn data_is_wanted_in_blocks_one_at_a_time_and_only_as_the_transport_drains() {
    let mut peer = Stranger::ready();
    peer.says(&get(1, 10..200_000));
    peer.says(&get(2, 0..5));
    let block = DATA_BLOCK_BYTES as u64;
    for n in 0..4 {
        let begin = 10 + n * block;
        assert_eq!(peer.ours.wants_data(), Some((1, what(), begin..begin + block)));
        assert_eq!(peer.ours.wants_data(), None, "the driver is at it");
        peer.ours.answer_data(1, vec![1; DATA_BLOCK_BYTES].into(), peer.now);
    }
    assert_eq!(peer.ours.wants_data(), None, "64 KiB wait");
    assert_eq!(peer.heard().len(), 4);
    assert_eq!(peer.ours.wants_data(), Some((1, what(), 10 + 4 * block..10 + 5 * block)));
}

#[test]
fn a_block_is_sent_as_far_as_it_goes_and_not_beyond_what_was_asked() {
    let mut peer = Stranger::ready();
    peer.says(&get(1, 0..5));
    assert_eq!(peer.ours.wants_data(), Some((1, what(), 0..5)));
    peer.ours.answer_data(1, Bytes::from_static(b"abc"), peer.now);
    peer.ours.answer_data(1, Bytes::from_static(b"unwanted"), peer.now);
    assert_eq!(peer.ours.wants_data(), Some((1, what(), 3..5)));
    peer.ours.answer_data(1, Bytes::from_static(b"defghi"), peer.now);
    let data = |offset, bytes: &'static [u8]| PackagesMessage::Data { n: 1, offset, bytes: Bytes::from_static(bytes) };
    assert_eq!(peer.heard(), [data(0, b"abc"), data(3, b"de")]);
    assert_eq!(peer.ours.wants_data(), None);
}

#[test]
fn a_file_that_ends_early_is_refused_in_the_middle() {
    let mut peer = Stranger::ready();
    peer.says(&get(1, 0..5));
    peer.ours.wants_data();
    peer.ours.answer_data(1, Bytes::new(), peer.now);
    peer.ours.refuse(1, Refusal::TooBusy, peer.now);
    assert_eq!(peer.heard(), [PackagesMessage::No { n: 1, why: Refusal::NotHere }], "once");
}

#[test]
fn what_has_arrived_is_told_once_to_who_asked_in_vain() {
    let mut peer = Stranger::ready();
    peer.says(&have(1, &[1, 2, 3]));
    peer.ours.answer_have(1, vec![Answer::Coming, Answer::Here(Holding::default()), Answer::Absent], peer.now);
    peer.heard();
    for _ in 0..2 {
        peer.ours.tell_arrived(&[id(1), id(2), id(4)], peer.now);
    }
    assert_eq!(peer.heard(), [PackagesMessage::Arrived { ids: vec![id(1)] }]);
    peer.now += DENIAL_AGE;
    peer.ours.tell_arrived(&[id(3)], peer.now);
    assert_eq!(peer.heard(), [], "asked for too long ago");
}

#[test]
fn of_what_was_asked_in_vain_the_last_is_remembered() {
    let mut peer = Stranger::ready();
    let all: Vec<_> = (0..=u16::try_from(MAX_DENIALS).unwrap()).map(wide_id).collect();
    for (n, ids) in (0..).zip(all.chunks(MAX_QUESTION_IDS)) {
        peer.says(&PackagesMessage::Have { n, ids: ids.to_vec(), wishes: Wishes::default() });
        peer.ours.answer_have(n, Vec::new(), peer.now);
        peer.heard();
    }
    peer.ours.tell_arrived(&all, peer.now);
    let told: usize = peer.heard().iter().map(arrived).sum();
    assert_eq!(told, MAX_DENIALS, "in messages of at most 128");
}

fn arrived(message: &PackagesMessage) -> usize {
    if let PackagesMessage::Arrived { ids } = message { ids.len() } else { 0 }
}

/// Our side, and what the other side says word by word.
struct Stranger {
    ours: Conversation,
    framer: Framer,
    now: Instant,
}

impl Stranger {
    /// Past BitTorrent's handshakes.
    fn introduced() -> Self {
        Self::new(Role::Introduced(Handshake::ours(club(), their_id())))
    }

    fn new(role: Role) -> Self {
        let now = Instant::now();
        let ours = Conversation::new(club(), role, options(our_id()), now).expect("a peer");
        Self { ours, framer: Framer::new(1 << 20), now }
    }

    /// Past the greetings.
    fn ready() -> Self {
        let mut peer = Self::introduced();
        peer.greets(&[(P2P_PACKAGES, 7), (UT_PEX, 9)]).expect("a neighbour");
        assert!(matches!(peer.events()[..], [Event::Ready { .. }]));
        assert_eq!(peer.sent().len(), 1);
        peer
    }

    fn greets(&mut self, extensions: &[(&str, u8)]) -> Result<(), NeighbourFault> {
        let extensions = extensions.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        let hello = ExtendedHandshake { extensions, port: Some(6881), ..ExtendedHandshake::default() };
        self.tries_message(&Message::Extended { id: 0, payload: hello.encode().into() })
    }

    fn says(&mut self, message: &PackagesMessage) {
        self.tries(message).expect("a well-behaved neighbour");
    }

    fn tries(&mut self, message: &PackagesMessage) -> Result<(), NeighbourFault> {
        self.tries_message(&Message::Extended { id: OUR_PACKAGES_ID, payload: message.encode() })
    }

    fn tries_message(&mut self, message: &Message) -> Result<(), NeighbourFault> {
        self.ours.handle_bytes(&message.encode(), self.now)
    }

    fn sent(&mut self) -> Vec<Message> {
        while let Some(bytes) = self.ours.poll_transmit() {
            self.framer.push(&bytes);
        }
        std::iter::from_fn(|| self.framer.next_message().expect("we keep to the protocol")).collect()
    }

    /// What we said about packages.
    fn heard(&mut self) -> Vec<PackagesMessage> {
        let sent = self.sent();
        let about_packages = sent.into_iter().filter_map(|message| {
            let Message::Extended { id: 7, payload } = message else { return None };
            Some(PackagesMessage::read(&payload).expect("we keep to the protocol").expect("of this version"))
        });
        about_packages.collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.ours.poll_event()).collect()
    }

    fn asks(&mut self, ids: &[u8]) -> u32 {
        self.ours.ask(ids.iter().map(|n| id(*n)).collect(), Wishes::default(), self.now).expect("not busy")
    }

    fn gets(&mut self, range: Range<u64>) -> u32 {
        self.ours.get(what(), range, self.now).expect("not busy")
    }

    /// Lets the time pass until something is due, and does it.
    fn waits(&mut self) -> Result<(), NeighbourFault> {
        self.now = self.ours.poll_timeout().expect("an open conversation has a deadline");
        self.ours.handle_timeout(self.now)
    }
}

fn have(n: u32, ids: &[u8]) -> PackagesMessage {
    PackagesMessage::Have { n, ids: ids.iter().map(|n| id(*n)).collect(), wishes: Wishes::default() }
}

fn has(n: u32, entries: usize) -> PackagesMessage {
    PackagesMessage::Has { n, answers: vec![Answer::Absent; entries] }
}

fn get(n: u32, range: Range<u64>) -> PackagesMessage {
    PackagesMessage::Get { n, what: what(), range }
}

fn data(n: u32, offset: u64, length: usize) -> PackagesMessage {
    PackagesMessage::Data { n, offset, bytes: vec![7; length].into() }
}

fn newest(n: u32) -> PackagesMessage {
    PackagesMessage::Newest { n, databases: vec![database()], pointers: vec![pointer()] }
}

fn database() -> DatabaseClaim {
    DatabaseClaim { id: id(8), length: 118_000, signature: Bytes::from_static(b"signed") }
}

fn pointer() -> Pointer {
    Pointer { key: [1; 32], seq: 7, signature: [2; 64], value: Bytes::from_static(b"2:it") }
}

fn what() -> What {
    What { id: id(9), kind: Kind::Package }
}

fn id(n: u8) -> Sha256 {
    Sha256::from_bytes([n; 32])
}

fn wide_id(n: u16) -> Sha256 {
    Sha256::of(&n.to_be_bytes())
}

fn club() -> InfoHash {
    p2p_wire::club_id("core", "x86_64")
}

fn our_id() -> PeerId {
    PeerId::ours(*b"ourselves---")
}

fn their_id() -> PeerId {
    PeerId::ours(*b"a-neighbour-")
}

fn options(peer_id: PeerId) -> ConversationOptions {
    ConversationOptions { peer_id, listen_port: 6881, your_ip: Some([192, 0, 2, 1].into()) }
}
