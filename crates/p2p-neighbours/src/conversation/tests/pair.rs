use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

#[test]
fn a_question_is_answered_however_the_bytes_are_cut() {
    for seed in 0..20 {
        let mut pair = Pair::ready(seed);
        let holding = Holding { info: Some(vec![1; 40_000].into()), signature: Some(vec![2; 300].into()) };
        let answers = vec![Answer::Coming, Answer::Here(holding), Answer::Here(Holding::default())];
        let (now, wishes) = (pair.now, Wishes { info: true, signature: true });
        let number = pair.left.conversation.ask(vec![id(1), id(2), id(3)], wishes, now).expect("not busy");
        pair.run();
        assert_eq!(pair.right.events(), [Event::Asked { number, ids: vec![id(1), id(2), id(3)], wishes }]);
        pair.right.conversation.answer_have(number, answers.clone(), now);
        pair.run();
        assert_eq!(pair.left.events(), [Event::Answered { number, answers }], "seed {seed}");
    }
}

#[test]
fn four_gets_both_ways_arrive_in_order_and_whole() {
    for seed in 0..4 {
        let mut pair = Pair::ready(seed);
        let length = 1024 * 1024;
        let now = pair.now;
        for side in [&mut pair.left, &mut pair.right] {
            for begin in [0, 1, 5_000, 70_000] {
                side.conversation.get(what(), begin..begin + length, now).expect("not busy");
            }
        }
        pair.run();
        for side in [&mut pair.left, &mut pair.right] {
            let events = side.events();
            for (number, begin) in [(0, 0), (1, 1), (2, 5_000), (3, 70_000)] {
                let expected = file(begin..begin + length);
                assert_eq!(joined(&events, number, begin), expected, "seed {seed}, get {number}");
            }
        }
    }
}

#[test]
fn a_forgotten_get_leaves_the_others_whole() {
    let mut pair = Pair::ready(1);
    let now = pair.now;
    let forgotten = pair.left.conversation.get(what(), 0..100_000, now).expect("not busy");
    let wanted = pair.left.conversation.get(what(), 7..100_000, now).expect("not busy");
    pair.left.conversation.forget(forgotten);
    pair.run();
    let events = pair.left.events();
    assert_eq!(joined(&events, wanted, 7), file(7..100_000));
    assert_eq!(joined(&events, forgotten, 0), [], "nobody waits for it");
}

#[test]
fn a_refusal_and_the_end_of_a_file_are_heard() {
    let mut pair = Pair::ready(1);
    let now = pair.now;
    let question = pair.left.conversation.ask(vec![id(1)], Wishes::default(), now).expect("not busy");
    let get = pair.left.conversation.get(what(), FILE_BYTES - 5..FILE_BYTES + 5, now).expect("not busy");
    pair.run();
    pair.right.conversation.refuse(question, Refusal::TooBusy, now);
    pair.run();
    let got = Event::Got {
        number: get,
        offset: FILE_BYTES - 5,
        bytes: file(FILE_BYTES - 5..FILE_BYTES).into(),
        is_last: false,
    };
    let refused = |number, why| Event::Refused { number, why };
    assert_eq!(pair.left.events(), [got, refused(get, Refusal::NotHere), refused(question, Refusal::TooBusy)]);
}

#[test]
fn who_asked_hears_of_the_arrival() {
    let mut pair = Pair::ready(1);
    let now = pair.now;
    let number = pair.left.conversation.ask(vec![id(1)], Wishes::default(), now).expect("not busy");
    pair.run();
    pair.right.conversation.answer_have(number, vec![Answer::Absent], now);
    for side in [&mut pair.left, &mut pair.right] {
        side.conversation.tell_arrived(&[id(1)], now);
    }
    pair.run();
    assert_eq!(
        pair.left.events(),
        [Event::Answered { number, answers: vec![Answer::Absent] }, Event::Arrived { ids: vec![id(1)] }]
    );
    assert_eq!(pair.right.events(), [Event::Asked { number, ids: vec![id(1)], wishes: Wishes::default() }]);
}

#[test]
fn neighbours_tell_each_other_of_others() {
    let mut pair = Pair::ready(1);
    let other = SocketAddr::from(([192, 0, 2, 7], 6881));
    let guest = SocketAddr::from(([192, 0, 2, 8], 6881));
    pair.left.conversation.tell_added(guest);
    pair.left.conversation.tell_added(other);
    pair.left.conversation.tell_dropped(guest);
    pair.now = pair.left.conversation.poll_timeout().expect("a deadline");
    pair.left.conversation.handle_timeout(pair.now).expect("a good neighbour");
    pair.run();
    assert_eq!(pair.right.events(), [Event::Peers(vec![other])]);
}

#[test]
fn a_first_exchange_has_its_bytes() {
    let mut pair = Pair::new(1);
    // The pair has carried this already.
    let mut told = vec![format!("caller: {}", Handshake::ours(club(), our_id()).encode().escape_ascii())];
    let exchange = |pair: &mut Pair, told: &mut Vec<String>| {
        while let Some((who, bytes)) = pair.carry_whole() {
            told.push(format!("{who} {}", bytes.escape_ascii()));
        }
    };
    exchange(&mut pair, &mut told);
    let wishes = Wishes { info: false, signature: true };
    pair.left.conversation.ask(vec![id(b'a'), id(b'b')], wishes, pair.now).expect("not busy");
    exchange(&mut pair, &mut told);
    let holding = Holding { info: None, signature: Some(Bytes::from_static(b"signed")) };
    pair.right.conversation.answer_have(0, vec![Answer::Absent, Answer::Here(holding)], pair.now);
    exchange(&mut pair, &mut told);
    insta::assert_snapshot!(told.join("\n"), @r"
    caller: \x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x04\xd1\xe1\xd6\xc2\x92\xcdY\x00\x1b\xe6\x9e\xb6 j\xa7\xc5\xff*Bq-P20100-ourselves---
    called: \x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x04\xd1\xe1\xd6\xc2\x92\xcdY\x00\x1b\xe6\x9e\xb6 j\xa7\xc5\xff*Bq-P20100-a-neighbour-
    caller: \x00\x00\x00T\x14\x00d1:md12:p2p_packagesi1e6:ut_pexi2ee1:pi6881e1:v17:pacman2pacman 0.16:yourip4:\xc0\x00\x02\x01e
    called: \x00\x00\x00T\x14\x00d1:md12:p2p_packagesi1e6:ut_pexi2ee1:pi6881e1:v17:pacman2pacman 0.16:yourip4:\xc0\x00\x02\x01e
    caller: \x00\x00\x00^\x14\x01d3:ids64:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1:ni0e1:ti0e1:wi2ee
    called: \x00\x00\x002\x14\x01d1:c1:\x001:il0:e3:map1:@1:ni0e1:sl6:signede1:ti1ee
    ");
}

/// Longer than what any test asks for.
const FILE_BYTES: u64 = 2 * 1024 * 1024;

/// Two machines back to back; what they say is cut at random places.
struct Pair {
    left: Side,
    right: Side,
    random: SmallRng,
    now: Instant,
}

struct Side {
    conversation: Conversation,
    /// What the other one has sent.
    arriving: Vec<u8>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let side = |role, peer_id| Side {
            conversation: Conversation::new(club(), role, options(peer_id), now).expect("a peer"),
            arriving: Vec::new(),
        };
        let left = side(Role::Caller, our_id());
        let right = side(Role::Answerer(Handshake::ours(club(), our_id())), their_id());
        let mut pair = Self { left, right, random: SmallRng::seed_from_u64(seed), now };
        let said = pair.left.conversation.poll_transmit().expect("a caller speaks first");
        assert_eq!(said, Handshake::ours(club(), our_id()).encode()[..], "as the right side has been told");
        pair
    }

    /// Past the greetings.
    fn ready(seed: u64) -> Self {
        let mut pair = Self::new(seed);
        pair.run();
        for side in [&mut pair.left, &mut pair.right] {
            let expected = Event::Ready { port: Some(6881), version: Some(OUR_VERSION.to_owned()) };
            assert_eq!(side.events(), [expected]);
        }
        pair
    }

    /// Until neither side has anything to say.
    fn run(&mut self) {
        let Self { left, right, random, now } = self;
        loop {
            let is_moved = [left.speak(right, random, *now), right.speak(left, random, *now)];
            if is_moved == [false, false] {
                break;
            }
        }
    }

    /// Carries one part of what is to be sent.
    fn carry_whole(&mut self) -> Option<(&'static str, Bytes)> {
        for name in ["caller:", "called:"] {
            let (from, to) = match name {
                "caller:" => (&mut self.left, &mut self.right),
                _ => (&mut self.right, &mut self.left),
            };
            if let Some(bytes) = from.conversation.poll_transmit() {
                to.conversation.handle_bytes(&bytes, self.now).expect("a good neighbour");
                return Some((name, bytes));
            }
        }
        None
    }
}

impl Side {
    /// Sends a part, and delivers some bytes of what is on the way; false where there is nothing.
    fn speak(&mut self, to: &mut Side, random: &mut SmallRng, now: Instant) -> bool {
        if let Some((number, _, range)) = self.conversation.wants_data() {
            let bytes = file(range.start..range.end.min(FILE_BYTES)).into();
            self.conversation.answer_data(number, bytes, now);
        }
        let sent = self.conversation.poll_transmit();
        to.arriving.extend_from_slice(sent.as_deref().unwrap_or_default());
        let most = if random.random_bool(0.5) { 40 } else { 40_000 };
        let cut = random.random_range(0..=most).min(to.arriving.len());
        let part: Vec<u8> = to.arriving.drain(..cut).collect();
        to.conversation.handle_bytes(&part, now).expect("a good neighbour");
        sent.is_some() || cut > 0 || !to.arriving.is_empty()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.conversation.poll_event()).collect()
    }
}

/// The file that both sides have: each byte tells where it is.
fn file(range: Range<u64>) -> Vec<u8> {
    range.map(|at| u8::try_from((at ^ at >> 8 ^ at >> 16) & 0xff).unwrap()).collect()
}

/// The bytes that a get has brought; they are in order, and only the last say that they are.
fn joined(events: &[Event], wanted: u32, begin: u64) -> Vec<u8> {
    let mut joined: Vec<u8> = Vec::new();
    let mut is_over = false;
    for event in events {
        if let Event::Got { number, offset, bytes, is_last } = event
            && *number == wanted
        {
            assert!(!is_over, "nothing follows the last bytes");
            assert_eq!(*offset, begin + joined.len() as u64);
            joined.extend_from_slice(bytes);
            is_over = *is_last;
        }
    }
    assert!(is_over || joined.is_empty());
    joined
}
