//! Whole networks, simulated: machines on one LAN, one mirror, questions that are answered at once.

mod network;

use network::{Network, Temper};

use super::trust::{BARRED_FOR, FIRST_REST};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A machine with this number for a peer id, and a package that two others want.
fn one_of_three() -> (Turns<u8>, Sha256, Instant) {
    let (id, now) = (Sha256::of(b"package"), Instant::now());
    let mut turns = Turns::new([1; 20]);
    assert!(turns.want(id, 1_000_000, Some(1_000_000)));
    (turns, id, now)
}

fn peer(id: u8) -> Peer<u8> {
    Peer { id, peer_id: [id; 20], is_local: true }
}

/// The one of these two peer ids that is elected before us, whatever our number is.
fn winner(turns: &mut Turns<u8>, id: &Sha256, now: Instant) -> Option<u8> {
    for number in 2..200 {
        turns.handle_rivals(id, &[(number, [number; 20])], now);
        if turns.turn(id, now) == Turn::Theirs {
            return Some(number);
        }
    }
    None
}

#[test]
fn a_machine_alone_waits_for_nobody() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_asked(&id, &[], now);
    assert_eq!(turns.turn(&id, now), Turn::Ours);
    assert_eq!(turns.poll_timeout(), None);
}

#[test]
fn answers_are_waited_for_a_moment_and_those_from_far_away_not_at_all() {
    let (mut turns, id, now) = one_of_three();
    let (near, far) = (peer(2), Peer { is_local: false, ..peer(3) });
    turns.handle_asked(&id, &[near, far], now);
    assert_eq!(turns.turn(&id, now), Turn::Asking);
    turns.handle_answer(near, &id, Said::Absent, now);
    assert_eq!(turns.turn(&id, now), Turn::Ours);
    assert!(turns.is_unanswered(&id));
    turns.handle_answer(far, &id, Said::Coming, now);
    assert_eq!(turns.turn(&id, now), Turn::Ours, "nobody waits for those");
}

#[test]
fn a_late_answer_is_no_part_of_an_election_and_may_still_come() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_asked(&id, &[peer(2)], now);
    let due = turns.poll_timeout().expect("the answer is waited for");
    assert_eq!(turns.handle_timeout(due), []);
    assert_eq!((turns.turn(&id, due), turns.is_unanswered(&id)), (Turn::Ours, true));
    assert_eq!(turns.poll_timeout(), Some(now + REMIND_EVERY), "nothing else is due any more");
    turns.handle_answer(peer(2), &id, Said::Here, due + SECOND);
    assert_eq!((turns.turn(&id, due + SECOND), turns.is_unanswered(&id)), (Turn::Here, false));
}

#[test]
fn all_who_know_of_each_other_elect_the_same_one() {
    let id = Sha256::of(b"package");
    let peers: Vec<(u8, [u8; 20])> = (0..20).map(|number| (number, [number; 20])).collect();
    let elects_itself = |number: &u8| {
        let mut turns = Turns::new([*number; 20]);
        turns.want(id, 1, None);
        let others: Vec<_> = peers.iter().filter(|(other, _)| other != number).copied().collect();
        turns.handle_rivals(&id, &others, Instant::now());
        turns.turn(&id, Instant::now()) == Turn::Ours
    };
    assert_eq!((0..20).filter(elects_itself).count(), 1);
}

#[test]
fn one_that_is_silent_costs_one_deadline_for_all_of_its_packages() {
    let (mut turns, first, now) = one_of_three();
    let silent = winner(&mut turns, &first, now).expect("one of so many is before us");
    let others: Vec<Sha256> = (0..50_u8).map(|number| Sha256::of(&[number])).collect();
    for id in &others {
        turns.want(*id, 1_000_000, Some(1_000_000));
        turns.handle_rivals(id, &[(silent, [silent; 20])], now);
        turns.turn(id, now);
    }
    turns.handle_timeout(now + PATIENCE);
    let later = now + PATIENCE;
    assert!(others.iter().chain([&first]).all(|id| turns.turn(id, later) == Turn::Ours));
    assert_eq!(turns.poll_timeout(), None);
}

#[test]
fn whoever_always_says_that_it_is_coming_is_waited_for_twice_the_mirrors_time() {
    let (mut turns, id, now) = one_of_three();
    let liar = peer(2);
    let mut at = now;
    turns.handle_asked(&id, &[liar], at);
    while {
        turns.handle_answer(liar, &id, Said::Coming, at);
        turns.turn(&id, at) == Turn::Theirs
    } {
        at = turns.poll_timeout().expect("a wait has an end");
        let asked = turns.handle_timeout(at);
        assert!(asked.is_empty() || asked == [id]);
        turns.handle_asked_anew(at);
    }
    assert_eq!(at - now, PATIENCE + 2 * SECOND);
}

#[test]
fn of_two_that_have_asked_the_mirror_the_one_with_the_smaller_number_waits_unless_it_has_bytes() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_begun(&id);
    let first = winner(&mut turns, &id, now).expect("one of so many is before us");
    turns.handle_sent(&id);
    assert_eq!(turns.turn(&id, now), Turn::Ours);
    let mut other = Turns::new([first; 20]);
    other.want(id, 1_000_000, None);
    other.handle_begun(&id);
    other.handle_answer(Peer { id: 1, peer_id: [1; 20], is_local: true }, &id, Said::Coming, now);
    assert_eq!(other.turn(&id, now), Turn::Ours, "the same two, seen from the other side");
}

#[test]
fn one_that_hangs_up_is_not_waited_for() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_answer(peer(2), &id, Said::Coming, now);
    assert_eq!(turns.turn(&id, now), Turn::Theirs);
    turns.handle_present(&BTreeSet::new());
    assert_eq!(turns.turn(&id, now), Turn::Ours);
}

#[test]
fn who_was_waited_for_in_vain_is_not_waited_for_when_it_comes_back() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_answer(peer(2), &id, Said::Coming, now);
    assert_eq!(turns.turn(&id, now), Turn::Theirs);
    turns.handle_timeout(now + PATIENCE);
    turns.handle_present(&BTreeSet::new());
    let back = Peer { id: 3, ..peer(2) };
    turns.handle_answer(back, &id, Said::Coming, now + PATIENCE);
    assert_eq!(turns.turn(&id, now + PATIENCE), Turn::Ours);
    assert_eq!(turns.turn(&id, now + PATIENCE + BARRED_FOR), Turn::Theirs);
}

#[test]
fn one_with_idle_lanes_waits_twice_the_mirrors_time_of_what_is_left_not_of_all() {
    let (mut turns, theirs, now) = one_of_three();
    let ours: Vec<Sha256> = (0..9_u8).map(|number| Sha256::of(&[number])).collect();
    for id in &ours {
        turns.want(*id, 1_000_000, Some(1_000_000));
    }
    turns.handle_answer(peer(2), &theirs, Said::Coming, now);
    assert_eq!(turns.turn(&theirs, now), Turn::Theirs);
    turns.note_idleness(now);
    for id in &ours {
        turns.handle_here(id);
    }
    turns.note_idleness(now);
    let end = now + PATIENCE + 2 * SECOND;
    turns.handle_answer(peer(2), &theirs, Said::Coming, end);
    turns.handle_timeout(end);
    assert_eq!(turns.turn(&theirs, end), Turn::Ours);
}

#[test]
fn only_a_holder_nearby_is_near() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_answer(Peer { is_local: false, ..peer(2) }, &id, Said::Here, now);
    assert_eq!((turns.turn(&id, now), turns.is_near(&id, now)), (Turn::Here, false));
    turns.handle_answer(peer(3), &id, Said::Here, now);
    assert!(turns.is_near(&id, now));
}

#[test]
fn the_end_of_one_question_leaves_the_others_open() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_asked(&id, &[peer(2)], now);
    turns.handle_asked(&id, &[peer(3)], now);
    turns.handle_answers_end(&id, &BTreeSet::from([2]));
    assert!(turns.is_unanswered(&id));
    turns.handle_answers_end(&id, &BTreeSet::from([3]));
    assert!(!turns.is_unanswered(&id));
}

#[test]
fn an_arrival_is_asked_about_once_a_second_and_only_of_those_who_were_asked() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_asked(&id, &[peer(2)], now);
    assert!(turns.was_asked(&id, 2) && !turns.was_asked(&id, 3));
    assert!(turns.follow_up(&id, 2, now) && !turns.follow_up(&id, 3, now));
    assert!(!turns.follow_up(&id, 2, now + SECOND / 2));
    assert!(turns.follow_up(&id, 2, now + SECOND));
}

#[test]
fn those_nearby_hear_of_what_is_lacking_before_they_forget_it_however_long_it_takes() {
    let (mut turns, here, now) = one_of_three();
    let lacking = Sha256::of(b"a large one");
    turns.want(lacking, 1 << 40, Some(1_000));
    let (mut told, mut had_all) = (now, true);
    for minute in 0..120 {
        let at = now + 60 * SECOND * minute;
        if minute == 5 {
            turns.handle_here(&here);
        }
        // One comes every minute, and is asked for itself: the others have not heard of it.
        turns.handle_asked(&lacking, &[peer(2 + u8::try_from(minute).expect("two hours"))], at);
        turns.handle_timeout(at);
        let again = turns.remind(at);
        if again.contains(&lacking) {
            (told, had_all) = (at, again.contains(&here));
        }
        assert!(at - told < 600 * SECOND, "they have forgotten us after {minute} minutes");
    }
    assert!(!had_all, "what is here is not asked for");
    turns.release(&lacking);
    assert_eq!((turns.remind(now + 86_400 * SECOND), turns.poll_timeout()), (Vec::new(), None));
}

#[test]
fn a_machine_whose_neighbours_are_far_away_reminds_nobody() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_asked(&id, &[Peer { is_local: false, ..peer(2) }], now);
    assert_eq!((turns.remind(now + 600 * SECOND), turns.poll_timeout()), (Vec::new(), None));
}

#[test]
fn who_is_too_busy_is_not_asked_for_a_moment_and_has_broken_no_promise() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_answer(peer(2), &id, Said::Here, now);
    turns.handle_answer(peer(3), &id, Said::Here, now);
    // Three gets were open.
    for _ in 0..3 {
        turns.handle_busy(2, now);
        turns.handle_refused(2, &id, now);
    }
    assert_eq!(turns.holders(&id, now), [3], "somebody else is asked");
    turns.handle_refused(3, &id, now);
    turns.handle_refused(3, &id, now);
    assert_eq!(turns.turn(&id, now), Turn::Ours);
    let again = turns.poll_timeout().expect("somebody waits for it");
    turns.handle_timeout(again);
    assert_eq!((again - now, turns.holders(&id, again)), (FIRST_REST, vec![2]), "it is not barred");
    assert_eq!(turns.poll_timeout(), None);
}

#[test]
fn who_is_always_too_busy_is_asked_ever_more_seldom_until_it_brings_something() {
    let (mut turns, id, mut now) = one_of_three();
    turns.handle_answer(peer(2), &id, Said::Here, now);
    let rests: Vec<Duration> = std::iter::repeat_with(|| {
        turns.handle_busy(2, now);
        turns.handle_refused(2, &id, now);
        let until = turns.poll_timeout().expect("its rest ends");
        turns.handle_timeout(until);
        assert_eq!(turns.turn(&id, until), Turn::Here);
        until.duration_since(std::mem::replace(&mut now, until))
    })
    .take(8)
    .collect();
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60].map(Duration::from_secs));
    turns.handle_brought(2, now);
    turns.handle_busy(2, now);
    assert_eq!(turns.poll_timeout(), Some(now + FIRST_REST));
}

#[test]
fn nobody_waits_for_one_that_would_be_too_busy_to_give_it() {
    let (mut turns, id, now) = one_of_three();
    turns.handle_answer(peer(2), &id, Said::Coming, now);
    turns.handle_busy(2, now);
    assert_eq!(turns.turn(&id, now), Turn::Ours);
    assert_eq!(turns.turn(&id, now + FIRST_REST), Turn::Theirs);
    assert_eq!(turns.company(&id, now), [2], "it may give pieces to a swarm");
}

#[test]
fn the_count_of_each_neighbours_packages_is_right_whatever_happens() {
    let (mut turns, first, now) = one_of_three();
    let others: Vec<Sha256> = (0..4_u8).map(|number| Sha256::of(&[number])).collect();
    for id in others.iter().chain([&first]) {
        turns.want(*id, 1, None);
        turns.handle_answer(peer(2), id, Said::Coming, now);
        turns.turn(id, now);
        turns.turn(id, now);
    }
    assert_eq!(turns.queues, BTreeMap::from([(2, 5)]));
    turns.handle_here(&others[0]);
    turns.handle_sent(&others[1]);
    turns.release(&others[2]);
    turns.handle_answer(peer(3), &others[3], Said::Here, now);
    turns.turn(&others[3], now);
    assert_eq!(turns.queues, BTreeMap::from([(2, 1)]));
    turns.handle_timeout(now + PATIENCE);
    assert_eq!(turns.queues, BTreeMap::new());
}

#[test]
fn twenty_machines_take_little_more_from_the_mirror_than_one_and_little_longer() {
    let network = Network::run(&[Temper::Honest; 20]);
    assert!(network.mirrors_share() <= 1.05, "{network:?}");
    assert!(network.time_to_the_mirrors() <= 1.2, "{network:?}");
}

#[test]
fn one_that_joins_late_takes_part() {
    let mut tempers = vec![Temper::Honest; 19];
    tempers.push(Temper::JoinsAt(3 * SECOND));
    let network = Network::run(&tempers);
    assert!(network.mirrors_share() <= 1.05, "{network:?}");
    assert!(network.time_to_the_mirrors() <= 1.3, "{network:?}");
}

#[test]
fn one_that_freezes_costs_a_deadline_and_what_it_had_begun() {
    let mut tempers = vec![Temper::Honest; 19];
    tempers.push(Temper::FreezesAt(2 * SECOND));
    let network = Network::run(&tempers);
    assert!(network.mirrors_share() <= 1.15, "{network:?}");
    assert!(network.time_to_the_mirrors() <= 1.6, "{network:?}");
}

#[test]
fn a_liar_that_is_always_about_to_have_it_costs_a_bounded_time() {
    let mut tempers = vec![Temper::Honest; 9];
    tempers.push(Temper::SaysComing);
    let network = Network::run(&tempers);
    assert!(network.mirrors_share() <= 1.3, "{network:?}");
    assert!(network.time_to_the_mirrors() <= 4.0, "{network:?}");
}

#[test]
fn a_liar_that_says_it_has_everything_and_gives_nothing_costs_a_bounded_time() {
    let mut tempers = vec![Temper::Honest; 19];
    tempers.push(Temper::SaysHere);
    let network = Network::run(&tempers);
    assert!(network.mirrors_share() <= 1.3, "{network:?}");
    assert!(network.time_to_the_mirrors() <= 1.8, "{network:?}");
}
