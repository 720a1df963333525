use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_one_message_cannot_ask_is_not_asked() {
    let mut peer = Stranger::ready();
    for ids in [0, MAX_QUESTION_IDS + 1] {
        assert_eq!(peer.ours.ask(vec![id(1); ids], Wishes::default(), peer.now), Err(AskFault::Bounds));
    }
    for range in [5..5, 5..6 + MAX_GET_BYTES, Range { start: 6, end: 5 }] {
        assert_eq!(peer.ours.get(what(), range, peer.now), Err(AskFault::Bounds));
    }
    assert_eq!(peer.heard(), []);
}

#[test]
fn we_ask_no_more_than_a_neighbour_bears_also_when_we_forget() {
    let mut peer = Stranger::ready();
    for number in 0..8 {
        assert_eq!(peer.asks(&[1]), number);
        peer.ours.forget(number);
    }
    assert_eq!(peer.ours.ask(vec![id(1)], Wishes::default(), peer.now), Err(AskFault::Busy));
    (8..12).for_each(|number| assert_eq!(peer.gets(0..1), number));
    assert_eq!(peer.ours.get(what(), 0..1, peer.now), Err(AskFault::Busy));
    peer.says(&has(3, 8));
    assert_eq!(peer.events(), [], "nobody waits for it");
    assert_eq!(peer.asks(&[1]), 12);
}

#[test]
fn answers_may_come_in_any_order() {
    let mut peer = Stranger::ready();
    let (first, second, bytes) = (peer.asks(&[1]), peer.asks(&[1, 2]), peer.gets(5..8));
    peer.says(&data(bytes, 5, 3));
    peer.says(&has(second, 8));
    peer.says(&PackagesMessage::No { n: first, why: Refusal::NotHere });
    let got = Event::Got { number: bytes, offset: 5, bytes: vec![7; 3].into(), is_last: true };
    let answered = Event::Answered { number: second, answers: vec![Answer::Absent; 2] };
    assert_eq!(peer.events(), [got, answered, Event::Refused { number: first, why: Refusal::NotHere }]);
}

#[test]
fn a_question_without_an_answer_is_reported_once_and_its_late_answer_swallowed() {
    let mut peer = Stranger::ready();
    let (start, number) = (peer.now, peer.asks(&[1]));
    peer.waits().expect("a neighbour may be slow once");
    assert_eq!(peer.now - start, ANSWER_TIMEOUT);
    assert_eq!(peer.events(), [Event::Refused { number, why: Refusal::TooBusy }]);
    peer.says(&has(number, 8));
    assert_eq!((peer.events(), peer.ours.round_trip()), (vec![], None));
}

#[test]
fn bytes_that_come_late_are_swallowed_but_held_to_what_was_asked() {
    let mut peer = Stranger::ready();
    let number = peer.gets(0..10);
    peer.waits().expect("a neighbour may be slow once");
    peer.events();
    peer.says(&data(number, 0, 9));
    assert_eq!(peer.events(), []);
    assert_eq!(peer.tries(&data(number, 9, 2)), Err(NeighbourFault::WrongAnswer(number)));
}

#[test]
fn what_a_club_has_and_whether_we_are_reached_are_questions_like_others() {
    let mut peer = Stranger::ready();
    let recent = peer.ours.ask_recent(club(), peer.now).expect("not busy");
    let call = peer.ours.ask_call(6881, peer.now).expect("not busy");
    assert_eq!(peer.ours.ask_call(0, peer.now), Err(AskFault::Bounds));
    let asked = [PackagesMessage::Recent { n: recent, club: club() }, PackagesMessage::Call { n: call, port: 6881 }];
    assert_eq!(peer.heard(), asked);
    peer.now += 4 * SECOND;
    peer.says(&PackagesMessage::Called { n: call, reached: true });
    peer.says(&newest(recent));
    let (databases, pointers) = (vec![database()], vec![pointer()]);
    let answers =
        [Event::Called { number: call, reached: true }, Event::Newest { number: recent, databases, pointers }];
    assert_eq!(peer.events(), answers);
    assert_eq!(peer.ours.round_trip(), None, "a dial takes longer than an answer");
}

type Asking = fn(&mut Conversation, Instant) -> Result<u32, AskFault>;

#[test]
fn all_questions_together_are_eight_and_each_may_be_refused_or_forgotten() {
    let mut peer = Stranger::ready();
    let asks: [Asking; 3] = [
        |ours, now| ours.ask(vec![id(1)], Wishes::default(), now),
        |ours, now| ours.ask_recent(club(), now),
        |ours, now| ours.ask_call(1, now),
    ];
    let numbers: Vec<u32> =
        asks.iter().cycle().take(8).map(|ask| ask(&mut peer.ours, peer.now).expect("not busy")).collect();
    assert!(asks.iter().all(|ask| ask(&mut peer.ours, peer.now) == Err(AskFault::Busy)));
    peer.says(&PackagesMessage::No { n: numbers[1], why: Refusal::NotHere });
    peer.ours.forget(numbers[2]);
    peer.says(&PackagesMessage::Called { n: numbers[2], reached: false });
    assert_eq!(peer.events(), [Event::Refused { number: numbers[1], why: Refusal::NotHere }]);
    assert!(asks[1..].iter().all(|ask| ask(&mut peer.ours, peer.now).is_ok()));
    peer.now += ANSWER_TIMEOUT;
    assert_eq!(peer.ours.handle_timeout(peer.now), Err(NeighbourFault::Unanswering));
}

#[test]
fn who_says_that_it_has_files_and_sends_none_is_left_even_if_it_answers_questions() {
    for (is_silent, borne) in [(true, 3), (false, 3)] {
        let mut peer = Stranger::ready();
        let mut ends = (0..=borne).map(|_| {
            let question = peer.asks(&[1]);
            peer.says(&has(question, 8));
            let number = peer.gets(0..10);
            let no = PackagesMessage::No { n: number, why: Refusal::NotHere };
            if is_silent { peer.waits() } else { peer.tries(&no) }
        });
        assert!(ends.by_ref().take(borne).all(|end| end.is_ok()));
        assert_eq!(ends.next(), Some(Err(NeighbourFault::Unkept)));
    }
}

#[test]
fn who_is_busy_lacks_a_signature_or_sends_the_next_file_is_no_liar() {
    let mut peer = Stranger::ready();
    let signature = What { kind: Kind::Signature, ..what() };
    for round in 0..20 {
        let busy = peer.gets(0..10);
        peer.says(&PackagesMessage::No { n: busy, why: Refusal::TooBusy });
        let number = peer.ours.get(signature, 0..10, peer.now).expect("not busy");
        peer.says(&PackagesMessage::No { n: number, why: Refusal::NotHere });
        let number = peer.gets(0..10);
        let is_there = round % 3 == 0;
        let no = PackagesMessage::No { n: number, why: Refusal::NotHere };
        peer.says(&if is_there { data(number, 0, 10) } else { no });
    }
}

#[test]
fn three_silent_questions_end_the_conversation_and_an_answer_starts_anew() {
    let mut peer = Stranger::ready();
    for _ in 0..2 {
        peer.asks(&[1]);
        peer.waits().expect("two in a row are borne");
    }
    let answered = peer.asks(&[1]);
    peer.says(&has(answered, 8));
    for _ in 0..2 {
        peer.gets(0..1);
        peer.waits().expect("two in a row are borne");
    }
    peer.asks(&[1]);
    assert_eq!(peer.waits(), Err(NeighbourFault::Unanswering));
    assert_eq!(peer.ours.poll_timeout(), None);
}

#[test]
fn of_the_questions_that_were_given_up_the_last_are_remembered() {
    let mut peer = Stranger::ready();
    let mut given_up = Vec::new();
    while given_up.len() < MAX_LATE + 16 {
        for _ in 0..2 {
            given_up.push(peer.asks(&[1]));
            peer.waits().expect("two in a row are borne");
        }
        let answered = peer.asks(&[1]);
        peer.says(&has(answered, 8));
        peer.sent();
    }
    for number in given_up {
        peer.says(&has(number, 8));
    }
    let strays = (16..).take_while(|_| peer.tries(&has(0, 8)).is_ok());
    assert_eq!(strays.count(), MAX_STRAYS - 16);
}

#[test]
fn while_bytes_come_what_is_behind_them_may_wait() {
    let mut peer = Stranger::ready();
    let (first, second, question) = (peer.gets(0..100), peer.gets(0..100), peer.asks(&[1]));
    for offset in 0..20 {
        peer.now += 4 * SECOND;
        peer.ours.handle_timeout(peer.now).expect("bytes come");
        peer.says(&data(first, offset, 1));
    }
    assert_eq!(peer.events().len(), 20);
    assert_eq!(peer.ours.poll_timeout(), Some(peer.now + ANSWER_TIMEOUT));
    assert_eq!(peer.waits(), Err(NeighbourFault::Unanswering), "{first}, {second} and {question}");
}

#[test]
fn an_endless_drip_is_given_up() {
    let mut peer = Stranger::ready();
    let (start, number) = (peer.now, peer.gets(0..MAX_GET_BYTES));
    let refused = Event::Refused { number, why: Refusal::TooBusy };
    for offset in 0.. {
        peer.now += 4 * SECOND;
        peer.ours.handle_timeout(peer.now).expect("bytes come");
        if peer.events().contains(&refused) {
            break;
        }
        peer.says(&data(number, offset, 1));
        assert!(peer.now - start < PATIENCE);
    }
    assert_eq!(peer.now - start, PATIENCE);
}

#[test]
fn the_round_trip_is_smoothed_over_questions() {
    let mut peer = Stranger::ready();
    let mut answer_after = |milliseconds| {
        let number = peer.asks(&[1]);
        peer.now += Duration::from_millis(milliseconds);
        peer.says(&has(number, 8));
        peer.ours.round_trip()
    };
    assert_eq!(answer_after(80), Some(Duration::from_millis(80)));
    assert_eq!(answer_after(160), Some(Duration::from_millis(90)));
    assert_eq!(answer_after(10), Some(Duration::from_millis(80)));
}
