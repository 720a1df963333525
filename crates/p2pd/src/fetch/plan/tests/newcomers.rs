//! Neighbours that come late, and a large package whole from one that is there.

use super::*;

const BACK: Duration = Duration::from_secs(5);

/// A package of so many bytes whose only mirror cannot be reached, in a daemon that has just been started.
fn forlorn(size: u64, verdict: Verdict) -> Scene {
    let mut scene = Scene::of(size, 1);
    scene.plan.expect_newcomers(scene.now + BACK);
    scene.plan.brief.neighbours = Some(Duration::ZERO);
    scene.actions();
    scene.plan.handle_stream_fault(verdict, scene.now);
    scene.actions();
    scene
}

#[test]
fn with_no_mirror_left_neighbours_have_the_time_to_come_back() {
    let mut scene = forlorn(200_000, Verdict::Rests(None));
    let begun = scene.now;
    scene.plan.handle_metainfo(false, scene.now);
    assert_eq!(scene.actions(), []);
    assert_eq!(scene.wait(), [Action::Fail(Despair::Unreachable)]);
    assert_eq!(scene.now, begun + BACK);
}

#[test]
fn one_who_comes_at_the_last_moment_is_heard() {
    let mut scene = forlorn(200_000, Verdict::Rests(None));
    scene.plan.handle_metainfo(false, scene.now);
    scene.after(BACK.mul_f64(0.999));
    scene.plan.handle_newcomer(scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_timeout(scene.now);
    assert!(!scene.actions().contains(&Action::Fail(Despair::Unreachable)));
    scene.plan.handle_offer(scene.now);
    scene.plan.handle_lent();
    assert!(scene.actions().ends_with(&[Action::TakeLent, Action::Verify]));
}

#[test]
fn what_every_mirror_lacks_is_not_waited_for() {
    let mut scene = forlorn(200_000, Verdict::Lacks);
    scene.plan.handle_metainfo(false, scene.now);
    assert_eq!(scene.actions(), [Action::Fail(Despair::NotFound)]);
}

/// A large package without a mirror, in a swarm whose peers cannot be reached.
fn in_a_dead_swarm() -> Scene {
    let mut scene = forlorn(9_000_000, Verdict::Rests(None));
    scene.plan.handle_metainfo(true, scene.now);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_check(true, scene.now);
    scene.plan.handle_swarm_progress(0, scene.now);
    assert_eq!(scene.actions(), [Action::SeekPeers, Action::CheckMetainfo { mirror: None }, Action::JoinSwarm]);
    scene
}

#[test]
fn a_large_package_comes_whole_from_a_neighbour_where_its_swarm_brings_nothing() {
    let mut scene = in_a_dead_swarm();
    let begun = scene.now;
    assert_eq!(scene.wait(), [Action::BorrowLarge]);
    assert_eq!(scene.now, begun + SWARM_STALL_LIMIT);
    scene.after(Duration::from_mins(1));
    scene.plan.handle_timeout(scene.now);
    assert!(!scene.actions().contains(&Action::Fail(Despair::Unreachable)), "it takes its time");
    scene.plan.handle_lent();
    assert!(scene.actions().ends_with(&[Action::TakeLent, Action::Verify]));
}

#[test]
fn where_no_neighbour_sends_it_whole_either_the_end_comes_soon() {
    let mut scene = in_a_dead_swarm();
    assert_eq!(scene.wait(), [Action::BorrowLarge]);
    scene.plan.handle_last_resort_end(scene.now);
    let begun = scene.now;
    let end = (0..10).map(|_| scene.wait()).find(|actions| actions.contains(&Action::Fail(Despair::Unreachable)));
    assert!(end.is_some() && scene.now <= begun + SWARM_STALL_LIMIT * 2, "{:?}", scene.now - begun);
}

/// One that comes anew each half second, and brings nothing; what the plan does in a minute of that.
fn pestered(scene: &mut Scene) -> Vec<Action> {
    let mut actions = scene.actions();
    for _ in 0..120 {
        scene.plan.handle_newcomer(scene.now);
        scene.after(Duration::from_millis(250));
        scene.plan.handle_timeout(scene.now);
        scene.plan.handle_neighbours_end(false, scene.now);
        scene.after(Duration::from_millis(250));
        scene.plan.handle_timeout(scene.now);
        actions.extend(scene.actions());
        if actions.contains(&Action::BorrowLarge) {
            scene.plan.handle_last_resort_end(scene.now);
        }
        if actions.contains(&Action::Fail(Despair::Unreachable)) {
            break;
        }
    }
    actions
}

#[test]
fn newcomers_without_end_put_a_clear_failure_off_for_a_bounded_time() {
    for is_large in [false, true] {
        let mut scene = if is_large { in_a_dead_swarm() } else { forlorn(200_000, Verdict::Rests(None)) };
        let begun = scene.now;
        assert!(pestered(&mut scene).contains(&Action::Fail(Despair::Unreachable)));
        let took = scene.now - begun;
        assert!(took < Duration::from_secs(if is_large { 11 } else { 9 }), "{took:?}");
    }
}

#[test]
fn neighbours_that_are_asked_for_ever_do_not_keep_a_dead_swarm_from_its_end() {
    let mut scene = in_a_dead_swarm();
    scene.plan.handle_newcomer(scene.now);
    let begun = scene.now;
    assert!((0..10).any(|_| scene.wait().contains(&Action::Fail(Despair::Unreachable))));
    assert!(scene.now < begun + Duration::from_secs(12), "{:?}", scene.now - begun);
}

#[test]
fn who_offers_a_package_and_never_sends_it_is_heard_so_many_times() {
    let mut scene = forlorn(200_000, Verdict::Rests(None));
    scene.plan.handle_metainfo(false, scene.now);
    scene.plan.handle_newcomer(scene.now);
    for _ in 0..20 {
        scene.plan.handle_offer(scene.now);
        scene.plan.handle_neighbour_sends(Duration::ZERO, scene.now);
        scene.after(Duration::from_secs(1));
    }
    let actions = scene.actions();
    let borrowings = actions.iter().filter(|action| **action == Action::Borrow).count();
    assert!((2..20).contains(&borrowings), "{actions:?}");
    // The mirror, once more; then nobody is waited for.
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::Fail(Despair::Unreachable)]);
}

#[test]
fn what_may_not_be_shared_any_more_does_not_wait_for_the_last_resort() {
    let mut scene = in_a_dead_swarm();
    assert_eq!(scene.wait(), [Action::BorrowLarge]);
    scene.plan.handle_unshared(0, scene.now);
    let mut actions = scene.actions();
    actions.extend(scene.wait());
    let goes_on = |action: &Action| matches!(action, Action::OpenStream { .. } | Action::Fail(Despair::Unreachable));
    assert!(actions.iter().any(goes_on), "{actions:?}");
}

#[test]
fn an_offer_during_the_last_check_counts_where_the_file_is_wrong() {
    let mut scene = Scene::of(200_000, 1);
    scene.plan.handle_stream_bytes(200_000, scene.now);
    scene.plan.handle_stream_end();
    scene.plan.handle_newcomer(scene.now);
    scene.plan.handle_offer(scene.now);
    scene.actions();
    scene.plan.handle_verified(false, scene.now);
    let actions = scene.actions();
    assert!(actions.contains(&Action::Borrow), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Fail(_))), "{actions:?}");
}

#[test]
fn neighbours_are_asked_where_what_an_earlier_run_left_is_wrong() {
    let mut scene = Scene::with(200_000, 1, Sharing::Allowed, Resume::Prefix(200_000));
    scene.plan.brief.neighbours = Some(Duration::ZERO);
    assert_eq!(scene.actions(), [Action::Verify]);
    scene.plan.handle_verified(false, scene.now);
    assert_eq!(scene.actions(), [Action::BeginAnew, Action::AskNeighbours, OPEN]);
}
