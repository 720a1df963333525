use p2p_wire::{FramingFault, MAX_HAS_BYTES};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

/// What the module's documentation promises.
const MOST_WAITING: usize = 320 * 1024;

#[test]
fn a_message_that_is_too_long_is_noticed_at_its_length() {
    let mut peer = Stranger::ready();
    let length = MAX_PACKAGES_MESSAGE_BYTES + 1;
    let prefix = u32::try_from(length).unwrap().to_be_bytes();
    let fault = peer.ours.handle_bytes(&prefix, peer.now);
    assert_eq!(fault, Err(NeighbourFault::Framing(FramingFault::TooLong(length))));
}

#[test]
fn thirty_two_questions_are_borne_and_the_next_is_not() {
    let questions: [fn(u32, &[u8]) -> PackagesMessage; 4] = [
        have,
        |n, _| get(n, 0..1),
        |n, _| PackagesMessage::Recent { n, club: club() },
        |n, _| PackagesMessage::Call { n, port: 1 },
    ];
    for message in questions {
        let mut peer = Stranger::ready();
        (0..32).for_each(|number| peer.says(&message(number, &[1])));
        assert_eq!(peer.tries(&message(32, &[1])), Err(NeighbourFault::Flood));
        assert_eq!((peer.ours.poll_timeout(), peer.ours.wants_data()), (None, None));
    }
}

#[test]
fn a_number_that_is_in_use_is_a_fault() {
    let mut peer = Stranger::ready();
    peer.says(&have(1, &[1]));
    assert_eq!(peer.tries(&get(1, 0..1)), Err(NeighbourFault::SameNumber(1)));
}

#[test]
fn answers_that_nobody_asked_for_are_borne_sixty_four_times() {
    let called = PackagesMessage::Called { n: 5, reached: true };
    let no = PackagesMessage::No { n: 5, why: Refusal::NotHere };
    for message in [data(5, 0, 1), has(5, 8), no, newest(5), called] {
        let mut peer = Stranger::ready();
        (0..MAX_STRAYS).for_each(|_| peer.says(&message));
        assert_eq!(peer.tries(&message), Err(NeighbourFault::Unasked));
        assert_eq!(peer.events(), []);
    }
}

#[test]
fn an_answer_that_does_not_fit_its_question_is_a_fault() {
    let mut bit_too_many = vec![Answer::Absent; 16];
    bit_too_many[9] = Answer::Coming;
    let called = PackagesMessage::Called { n: 0, reached: true };
    let bit_too_many = PackagesMessage::Has { n: 0, answers: bit_too_many };
    let wrong_for_question = [has(0, 8), has(0, 24), bit_too_many, data(0, 0, 1), newest(0), called.clone()];
    for message in wrong_for_question {
        let mut peer = Stranger::ready();
        peer.asks(&[1; 9]);
        assert_eq!(peer.tries(&message), Err(NeighbourFault::WrongAnswer(0)));
    }
    for message in [has(0, 16), data(0, 0, 1), called.clone()] {
        let mut peer = Stranger::ready();
        peer.ours.ask_recent(club(), peer.now).expect("not busy");
        assert_eq!(peer.tries(&message), Err(NeighbourFault::WrongAnswer(0)));
    }
    for message in [has(0, 8), newest(0), data(0, 0, 1)] {
        let mut peer = Stranger::ready();
        peer.ours.ask_call(1, peer.now).expect("not busy");
        assert_eq!(peer.tries(&message), Err(NeighbourFault::WrongAnswer(0)));
    }
    for message in
        [has(0, 8), newest(0), called, data(0, 4, 1), data(0, 6, 1), data(0, u64::MAX >> 1, 1), data(0, 5, 6)]
    {
        let mut peer = Stranger::ready();
        peer.gets(5..10);
        assert_eq!(peer.tries(&message), Err(NeighbourFault::WrongAnswer(0)));
    }
}

#[test]
fn bytes_that_came_among_others_do_not_keep_those_in_memory() {
    let mut peer = Stranger::ready();
    let number = peer.gets(0..2);
    let data = Message::Extended { id: OUR_PACKAGES_ID, payload: data(number, 0, 1).encode() }.encode();
    let behind = Message::Extended { id: 99, payload: vec![0; 10_000].into() }.encode();
    peer.ours.handle_bytes(&[&data[..], &behind[..9_000]].concat(), peer.now).expect("a good neighbour");
    let events = peer.events();
    let [Event::Got { bytes, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(bytes.is_unique());
}

#[test]
fn who_asks_and_never_reads_is_left_before_much_waits() {
    let mut peer = Stranger::ready();
    let large = Holding { info: Some(vec![1; MAX_HAS_BYTES / 2].into()), signature: Some(vec![2; 16 * 1024].into()) };
    let wishes = Wishes { info: true, signature: true };
    // Just not full when the largest answer comes.
    peer.says(&get(u32::MAX, 0..MAX_GET_BYTES));
    for _ in 0..3 {
        peer.ours.wants_data();
        peer.ours.answer_data(u32::MAX, vec![3; DATA_BLOCK_BYTES].into(), peer.now);
    }
    peer.ours.wants_data();
    let signature: Bytes = vec![4; 16 * 1024].into();
    let databases = vec![DatabaseClaim { signature, ..database() }; 4];
    let mut most = 0;
    let fault = (0..u16::MAX).find_map(|n| {
        let ids = (0..128).map(|at| wide_id(n.wrapping_mul(128).wrapping_add(at))).collect();
        let about_packages = PackagesMessage::Have { n: n.into(), ids, wishes };
        let is_about_packages = n % 3 > 0;
        let recent = PackagesMessage::Recent { n: n.into(), club: club() };
        let outcome = peer.tries(if is_about_packages { &about_packages } else { &recent });
        peer.ours.answer_recent(n.into(), databases.clone(), vec![pointer(); 4], peer.now);
        let answers = (0..128)
            .map(|at| if (2..=5).contains(&at) { Answer::Absent } else { Answer::Here(large.clone()) })
            .collect();
        peer.ours.answer_have(n.into(), answers, peer.now);
        peer.ours.answer_data(u32::MAX, vec![3; DATA_BLOCK_BYTES].into(), peer.now);
        peer.ours.tell_arrived(&(0..u16::MAX).step_by(31).map(wide_id).collect::<Vec<_>>(), peer.now);
        let _ = peer.ours.ask(vec![id(1); MAX_QUESTION_IDS], Wishes::default(), peer.now);
        most = most.max(peer.ours.outbox.bytes());
        outcome.err()
    });
    assert_eq!(fault, Some(NeighbourFault::Flood));
    assert!((128 * 1024..MOST_WAITING).contains(&most), "{most} bytes waited");
}

#[test]
fn who_never_reads_is_not_told_of_others_again_and_again() {
    let mut peer = Stranger::ready();
    peer.asks(&[1]);
    peer.says(&have(1, &[1]));
    peer.ours.answer_have(1, vec![Answer::Absent], peer.now);
    let waiting = peer.ours.outbox.bytes();
    peer.says(&has(0, 8));
    for minute in 0..1_000 {
        peer.ours.tell_added(SocketAddr::from(([192, 0, 2, 7], minute + 1)));
        peer.tries_message(&Message::KeepAlive).expect("alive");
        peer.waits().expect("alive");
    }
    assert_eq!(peer.ours.outbox.bytes(), waiting);
}

#[test]
fn a_call_without_a_port_or_a_list_that_is_too_long_is_a_fault() {
    let long = PackagesMessage::Newest { n: 0, databases: vec![database(); MAX_NEWEST + 1], pointers: Vec::new() };
    for message in [PackagesMessage::Call { n: 0, port: 0 }, long] {
        let mut peer = Stranger::ready();
        peer.ours.ask_recent(club(), peer.now).expect("not busy");
        assert!(matches!(peer.tries(&message), Err(NeighbourFault::Packages(_))), "{message:?}");
    }
}

#[test]
fn what_a_neighbour_says_of_databases_does_not_keep_its_message_in_memory() {
    let mut peer = Stranger::ready();
    let number = peer.ours.ask_recent(club(), peer.now).expect("not busy");
    peer.says(&newest(number));
    let events = peer.events();
    let [Event::Newest { databases, pointers, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(databases[0].signature.is_unique() && pointers[0].value.is_unique());
}

/// Something to say, from sense to nonsense.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let frame = |id: u8, payload: Vec<u8>| Message::Extended { id, payload: payload.into() }.encode().to_vec();
    let numbers = 0_u32..12;
    let sense = prop_oneof![
        numbers.clone().prop_map(|n| have(n, &[1, 2])),
        (numbers.clone(), 0_usize..20).prop_map(|(n, entries)| has(n, entries * 8)),
        (numbers.clone(), 0_u64..9, 1_u64..60_000).prop_map(|(n, begin, length)| get(n, begin..begin + length)),
        (numbers.clone(), 0_u64..9, 1_usize..9).prop_map(|(n, offset, length)| data(n, offset, length)),
        numbers.clone().prop_map(|n| PackagesMessage::Recent { n, club: club() }),
        numbers.clone().prop_map(newest),
        (numbers.clone(), 1_u16..).prop_map(|(n, port)| PackagesMessage::Call { n, port }),
        (numbers.clone(), any::<bool>()).prop_map(|(n, reached)| PackagesMessage::Called { n, reached }),
        numbers.prop_map(|n| PackagesMessage::No { n, why: Refusal::TooBusy }),
        vec(any::<u8>(), 1..9).prop_map(|ids| PackagesMessage::Arrived { ids: ids.into_iter().map(id).collect() }),
    ];
    prop_oneof![
        8 => sense.prop_map(move |message| frame(OUR_PACKAGES_ID, message.encode().to_vec())),
        1 => (0_u8..4, any::<Vec<u8>>()).prop_map(move |(id, payload)| frame(id, payload)),
        1 => any::<Vec<u8>>(),
    ]
}

proptest! {
    #[test]
    fn nothing_that_is_said_panics_or_grows_or_spins(
        parts in vec((said(), 0_u64..7, any::<bool>()), 0..80),
        is_introduced in any::<bool>(),
    ) {
        let mut peer = if is_introduced { Stranger::ready() } else { Stranger::new(Role::Caller) };
        for (bytes, seconds, is_reading) in parts {
            if is_reading {
                while peer.ours.poll_transmit().is_some() {}
            }
            let _ = peer.ours.ask(vec![id(1), id(2)], Wishes::default(), peer.now);
            let _ = peer.ours.ask_recent(club(), peer.now);
            let _ = peer.ours.ask_call(6881, peer.now);
            let _ = peer.ours.get(what(), 0..20_000, peer.now);
            let outcome = peer.ours.handle_bytes(&bytes, peer.now);
            for event in peer.events() {
                if let Event::Asked { number, .. } = event {
                    peer.ours.answer_have(number, vec![Answer::Here(Holding::default())], peer.now);
                } else if let Event::AskedRecent { number, .. } = event {
                    peer.ours.answer_recent(number, vec![database()], vec![pointer()], peer.now);
                } else if let Event::AskedCall { number, port } = event {
                    peer.ours.answer_call(number, port > 1_000, peer.now);
                }
            }
            if let Some((number, _, range)) = peer.ours.wants_data() {
                peer.ours.answer_data(number, vec![0; usize::try_from(range.end - range.start).unwrap()].into(), peer.now);
            }
            prop_assert!(peer.ours.outbox.bytes() < MOST_WAITING);
            peer.now += Duration::from_secs(seconds);
            let is_over = outcome.is_err() | peer.ours.handle_timeout(peer.now).is_err();
            prop_assert_eq!(is_over, peer.ours.poll_timeout().is_none());
            prop_assert!(peer.ours.poll_timeout().is_none_or(|due| due > peer.now), "a deadline that stays is a busy loop");
            if is_over {
                break;
            }
        }
        peer.events();
        let is_over = peer.ours.poll_timeout().is_none();
        let outcome = peer.ours.handle_bytes(b"whatever", peer.now);
        prop_assert!(!is_over || outcome.is_ok() && peer.events().is_empty(), "what follows the end is not heard");
    }
}
