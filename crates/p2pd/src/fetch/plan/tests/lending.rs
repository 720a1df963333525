//! Packages that neighbours may have.

use super::*;

const TURN: Duration = Duration::from_millis(30);

/// A small package, so many mirrors, and neighbours.
fn with_neighbours(mirrors: usize, sharing: Sharing) -> Scene {
    of_size(200_000, mirrors, sharing)
}

fn of_size(size: u64, mirrors: usize, sharing: Sharing) -> Scene {
    let (now, prospects) = (Instant::now(), vec![Prospect { patience: LATE, backs_off: false, rate: None }; mirrors]);
    let (policy, urgency, resume) = (Policy::Balanced, Urgency::Urgent, Resume::Prefix(0));
    let (neighbours, pieces) = (Some(TURN), size.div_ceil(256 * 1024));
    let brief = Brief { size, pieces, prospects, sharing, policy, urgency, grace: None, neighbours, resume };
    Scene { plan: Plan::new(brief, now), now }
}

#[test]
fn neighbours_are_asked_first_and_mirrors_when_their_turn_is_over() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    let begun = scene.now;
    assert_eq!(scene.actions(), [Action::AskNeighbours]);
    assert_eq!(scene.wait(), [OPEN]);
    assert_eq!(scene.now, begun + TURN);
}

#[test]
fn mirrors_are_asked_at_once_where_no_neighbour_has_it_or_none_may_be_asked() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    scene.plan.handle_neighbours_end(false, scene.now);
    assert_eq!(scene.actions(), [OPEN]);
    assert_eq!(with_neighbours(1, Sharing::MirrorsOnly).actions(), [OPEN]);
}

#[test]
fn what_a_neighbour_brings_in_time_needs_no_mirror() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    scene.after(TURN / 2);
    scene.plan.handle_offer(scene.now);
    assert_eq!(scene.actions(), [Action::Borrow]);
    scene.plan.handle_neighbour_sends(TURN, scene.now);
    scene.after(TURN);
    scene.plan.handle_timeout(scene.now);
    assert_eq!(scene.actions(), []);
    scene.plan.handle_lent();
    assert_eq!(scene.actions(), [Action::TakeLent, Action::Verify]);
}

#[test]
fn a_neighbour_that_is_late_costs_a_bounded_time_and_still_wins_when_it_is_first() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    scene.plan.handle_offer(scene.now);
    assert_eq!(scene.actions(), [Action::Borrow]);
    scene.plan.handle_neighbour_sends(Duration::from_mins(1), scene.now);
    let begun = scene.now;
    assert_eq!(scene.wait(), [OPEN]);
    assert_eq!(scene.now, begun + Duration::from_millis(250));
    scene.plan.handle_stream_bytes(1_000, scene.now);
    scene.plan.handle_lent();
    assert_eq!(scene.actions(), [Action::CloseStream, Action::TakeLent, Action::Verify]);
}

#[test]
fn a_neighbour_that_is_sending_outlasts_the_patience_with_a_mirror_that_has_failed() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    scene.plan.handle_offer(scene.now);
    assert_eq!(scene.actions(), [Action::Borrow]);
    scene.plan.handle_neighbour_sends(Duration::from_mins(1), scene.now);
    assert_eq!(scene.wait(), [OPEN]);
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    scene.actions();
    scene.after(Duration::from_secs(20));
    scene.plan.handle_timeout(scene.now);
    assert!(!scene.actions().iter().any(|action| matches!(action, Action::Fail(_))), "it has a clock of its own");
    scene.plan.handle_lent();
    assert_eq!(scene.actions().last(), Some(&Action::Verify));
}

#[test]
fn with_every_mirror_dead_a_fetch_waits_for_its_neighbours_and_ends_with_them() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    assert_eq!(scene.wait(), [OPEN]);
    scene.plan.handle_stream_fault(Verdict::Lacks, scene.now);
    assert_eq!(scene.actions(), [Action::SeekMetainfo]);
    scene.plan.handle_metainfo(false, scene.now);
    assert_eq!(scene.actions(), []);
    scene.plan.handle_neighbours_end(false, scene.now);
    assert_eq!(scene.actions(), [Action::Fail(Despair::NotFound)]);
}

#[test]
fn a_large_package_that_a_neighbour_nearby_has_comes_from_a_swarm_without_a_mirror() {
    let mut scene = of_size(30 * MIB, 1, Sharing::Allowed);
    assert_eq!(scene.actions(), [Action::AskNeighbours, Action::SeekMetainfo]);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_neighbours_end(true, scene.now);
    assert_eq!(scene.actions(), []);
    scene.plan.handle_metainfo(true, scene.now);
    assert_eq!(scene.actions(), [Action::SeekPeers, Action::CheckMetainfo { mirror: Some(0) }]);
    scene.plan.handle_check(true, scene.now);
    assert_eq!(scene.actions(), [Action::JoinSwarm]);
}

#[test]
fn a_large_package_that_only_neighbours_far_away_have_is_asked_of_a_mirror_at_once() {
    let mut scene = of_size(30 * MIB, 1, Sharing::Allowed);
    scene.actions();
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_neighbours_end(false, scene.now);
    assert_eq!(scene.actions(), [OPEN]);
}

#[test]
fn an_offer_that_comes_when_a_mirror_is_asked_is_taken_only_when_the_mirror_is_silent_or_gone() {
    let late = || {
        let mut scene = with_neighbours(1, Sharing::Allowed);
        scene.actions();
        assert_eq!(scene.wait(), [OPEN]);
        scene.plan.handle_offer(scene.now);
        assert_eq!(scene.actions(), []);
        scene
    };
    let mut silent = late();
    let begun = silent.now;
    assert_eq!(silent.wait(), [Action::Borrow]);
    assert_eq!(silent.now, begun + Duration::from_millis(250));
    let mut gone = late();
    gone.plan.handle_stream_fault(Verdict::Lacks, gone.now);
    assert!(gone.actions().contains(&Action::Borrow));
    let mut well = late();
    well.plan.handle_stream_answer(0, well.now);
    assert!(!well.wait().contains(&Action::Borrow));
}

#[test]
fn an_offer_is_taken_in_a_swarm_that_has_died() {
    let mut scene = of_size(3 * MIB, 1, Sharing::Allowed);
    scene.actions();
    assert_eq!(scene.wait(), [OPEN]);
    scene.plan.handle_stream_answer(0, scene.now);
    scene.plan.handle_offer(scene.now);
    scene.plan.handle_metainfo(true, scene.now);
    scene.plan.handle_peer(scene.now);
    scene.after(Duration::from_secs(2));
    scene.plan.handle_stream_bytes(1_000, scene.now);
    scene.plan.handle_timeout(scene.now);
    scene.plan.handle_check(true, scene.now);
    assert!(scene.actions().contains(&Action::JoinSwarm));
    scene.plan.handle_webseed_fault(0, Verdict::Lacks, scene.now);
    scene.plan.handle_swarm_progress(0, scene.now);
    let mut actions = scene.actions();
    while actions.is_empty() {
        actions = scene.wait();
    }
    assert!(actions.contains(&Action::Borrow), "{actions:?}");
}

#[test]
fn a_fetch_that_may_not_be_shared_any_more_waits_for_no_neighbour() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    assert_eq!(scene.wait(), [OPEN]);
    scene.plan.handle_stream_bytes(1_000, scene.now);
    scene.plan.handle_unshared(1_000, scene.now);
    scene.plan.handle_stream_fault(Verdict::Lacks, scene.now);
    assert!(scene.actions().contains(&Action::Fail(Despair::NotFound)));
}

#[test]
fn one_after_the_other_neighbours_cannot_hold_the_mirrors_back() {
    let mut scene = with_neighbours(1, Sharing::Allowed);
    scene.actions();
    let begun = scene.now;
    for _ in 0..5 {
        scene.plan.handle_neighbour_sends(Duration::from_mins(1), scene.now);
        scene.after(Duration::from_millis(60));
        scene.plan.handle_timeout(scene.now);
    }
    assert_eq!(scene.actions(), [OPEN]);
    assert!(scene.now <= begun + Duration::from_millis(300));
}

#[test]
fn one_nearby_that_is_getting_the_package_is_waited_for_until_it_has_it_or_is_given_up() {
    let later = Duration::from_millis(900);
    let waiting = || {
        let mut scene = with_neighbours(1, Sharing::Allowed);
        scene.actions();
        scene.plan.handle_neighbour_brings(scene.now + later);
        scene.after(2 * TURN);
        scene.plan.handle_timeout(scene.now);
        assert_eq!(scene.actions(), []);
        scene
    };
    assert_eq!(waiting().wait(), [OPEN], "nobody has said anything else");
    let mut given_up = waiting();
    given_up.plan.handle_neighbours_end(false, given_up.now);
    assert_eq!(given_up.actions(), [OPEN]);
    let mut arrived = waiting();
    let soon = arrived.now + Duration::from_millis(300);
    arrived.plan.handle_neighbour_brings(soon);
    arrived.plan.handle_offer(arrived.now);
    assert_eq!(arrived.actions(), [Action::Borrow]);
    arrived.plan.handle_neighbour_sends(Duration::ZERO, arrived.now);
    assert_eq!(arrived.wait(), [OPEN], "it does not send");
    assert_eq!(arrived.now, soon);
}

#[test]
fn a_mirror_that_has_sent_nothing_gives_way_to_one_nearby_and_one_that_sends_does_not() {
    let mut silent = with_neighbours(1, Sharing::Allowed);
    silent.actions();
    assert_eq!(silent.wait(), [OPEN]);
    silent.plan.handle_neighbour_brings(silent.now + Duration::from_secs(1));
    assert_eq!(silent.actions(), [Action::CloseStream]);
    let mut well = with_neighbours(1, Sharing::Allowed);
    well.actions();
    assert_eq!(well.wait(), [OPEN]);
    well.plan.handle_stream_answer(0, well.now);
    well.plan.handle_neighbour_brings(well.now + Duration::from_secs(1));
    assert_eq!(well.actions(), []);
}

#[test]
fn where_neighbours_disagree_about_the_pieces_a_swarm_without_bytes_gives_way_to_the_next() {
    let mut scene = of_size(30 * MIB, 1, Sharing::Allowed);
    scene.actions();
    scene.plan.handle_disagreement(true);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_neighbours_end(true, scene.now);
    scene.plan.handle_metainfo(true, scene.now);
    scene.plan.handle_check(true, scene.now);
    assert!(scene.actions().contains(&Action::JoinSwarm));
    scene.plan.handle_swarm_progress(0, scene.now);
    scene.plan.handle_webseed_fault(0, Verdict::Lacks, scene.now);
    let mut actions = scene.actions();
    let begun = scene.now;
    while !actions.contains(&Action::DoubtMetainfo) {
        actions = scene.wait();
        assert!(!actions.is_empty() && !actions.iter().any(|action| matches!(action, Action::Fail(_))), "{actions:?}");
        if actions.contains(&(Action::AddWebseed { mirror: 0 })) {
            scene.plan.handle_webseed_fault(0, Verdict::Lacks, scene.now);
        }
    }
    assert!(scene.now < begun + Duration::from_secs(6));
    scene.plan.handle_disagreement(false);
    scene.plan.handle_metainfo(true, scene.now);
    scene.plan.handle_check(true, scene.now);
    assert!(scene.actions().contains(&Action::JoinSwarm), "the other one");
}

#[test]
fn what_the_first_neighbour_sends_whole_is_not_fetched_from_a_swarm_meanwhile() {
    let mut scene = of_size(300_000, 1, Sharing::Allowed);
    scene.actions();
    scene.plan.metainfo = MetainfoState::Trusted;
    scene.plan.handle_offer(scene.now);
    scene.plan.handle_peer(scene.now);
    assert_eq!(scene.actions(), [Action::Borrow]);
    scene.plan.handle_neighbours_end(false, scene.now);
    assert_eq!(scene.actions(), [Action::JoinSwarm, Action::AddWebseed { mirror: 0 }]);
}
