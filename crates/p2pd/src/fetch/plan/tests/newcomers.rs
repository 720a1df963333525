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
