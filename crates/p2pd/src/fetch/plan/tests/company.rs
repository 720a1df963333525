//! Machines nearby that download the same package.

use std::collections::BTreeSet;

use super::*;
use crate::fetch::shares::{Machine, Share};

const STALL: Duration = Duration::from_secs(2);

/// So many others.
fn company(others: u8) -> BTreeSet<Machine> {
    (0..others).map(|other| [other; 20]).collect()
}

/// In a swarm with so many others, of which the engine has found 1 MiB.
fn in_company(others: u8) -> Scene {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    scene.plan.handle_company(company(others), scene.now);
    assert_eq!((scene.actions(), scene.plan.share()), (vec![Action::SetShare], Share::Own));
    scene
}

/// After a second, in which a MiB came four times, our share is done, and so much of it came from the mirror.
fn share_done_with(others: u8, served: u64) -> Scene {
    let mut scene = in_company(others);
    scene.plan.handle_webseed(0, Activity::Serves, scene.now);
    for quarter in 1..=4 {
        scene.after(Duration::from_millis(250));
        scene.plan.handle_swarm_progress(MIB + quarter * MIB, scene.now);
    }
    assert_eq!((scene.actions(), scene.plan.share()), (vec![], Share::Own));
    scene.plan.handle_webseed_bytes(served);
    scene.plan.handle_webseed(0, Activity::Idle, scene.now);
    scene
}

/// The others have brought as much as each of us has.
fn share_done(others: u8) -> Scene {
    share_done_with(others, 4 * MIB / (u64::from(others) + 1))
}

/// A little comes every 400 ms until more than our share is asked of the mirror; says how long that takes, a minute at most.
fn drips_until_everything(scene: &mut Scene, verified: u64) -> Duration {
    let begin = scene.now;
    while scene.plan.share() != Share::Everything {
        scene.after(Duration::from_millis(400));
        let drops = u64::try_from((scene.now - begin).as_millis()).expect("a short time");
        scene.plan.handle_swarm_progress(verified + drops, scene.now);
        scene.plan.handle_timeout(scene.now);
        assert!(scene.now - begin <= Duration::from_mins(1), "the drip is never given up");
    }
    scene.now - begin
}

#[test]
fn what_others_do_not_bring_is_asked_of_the_mirror_step_by_step() {
    let mut scene = share_done(3);
    let begin = scene.now;
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::SetShare], Share::Deputy));
    assert!(scene.now - begin <= Duration::from_secs(1), "{:?}", scene.now - begin);
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::SetShare], Share::Everything));
    assert!(scene.now - begin <= STALL, "{:?}", scene.now - begin);
    assert_eq!(scene.wait(), [Action::CutSlowestPeer { whatever_its_rate: false }], "then somebody sits on the rest");
}

#[test]
fn of_two_one_is_the_others_deputy_for_everything() {
    let mut scene = share_done(1);
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::SetShare], Share::Everything));
}

#[test]
fn while_others_deliver_as_before_nothing_more_is_asked_and_nobody_is_cut() {
    let mut scene = share_done(3);
    for mib in 6..=59 {
        scene.after(Duration::from_millis(250));
        scene.plan.handle_timeout(scene.now);
        scene.plan.handle_swarm_progress(mib * MIB, scene.now);
        assert_eq!(scene.actions(), [], "{mib}");
    }
}

#[test]
fn one_that_drips_has_a_moment_more_where_the_mirror_is_much_faster() {
    let mut scene = share_done_with(1, 4 * MIB - 1);
    let taken = drips_until_everything(&mut scene, 5 * MIB);
    assert!(taken <= Duration::from_millis(800), "{taken:?}");
}

#[test]
fn one_that_begins_late_is_waited_for_as_soon_as_it_is_fast_enough() {
    let mut scene = share_done_with(1, 4 * MIB - 1);
    for mib in 6..=59 {
        scene.after(Duration::from_millis(250));
        scene.plan.handle_swarm_progress(mib * MIB, scene.now);
        scene.plan.handle_timeout(scene.now);
        assert_eq!(scene.actions(), [], "{mib}");
    }
}

#[test]
fn others_that_slow_down_may_take_a_little_longer_than_the_mirror_would_once_for_all_steps() {
    let mut scene = share_done(1);
    let taken = drips_until_everything(&mut scene, 5 * MIB);
    assert!(taken <= Duration::from_secs(35), "{taken:?} for 55 MiB at 2 MiB a second");
    let mut scene = share_done(3);
    scene.plan.brief.prospects[0].rate = Some(8 * MIB);
    let taken = drips_until_everything(&mut scene, 5 * MIB);
    assert!(taken <= Duration::from_secs(10), "{taken:?} for 55 MiB at 8 MiB a second");
}

#[test]
fn others_have_a_moment_to_begin_before_their_pace_counts() {
    let mut scene = in_company(1);
    scene.plan.handle_webseed(0, Activity::Serves, scene.now);
    scene.after(Duration::from_millis(50));
    scene.plan.handle_webseed_bytes(30 * MIB);
    scene.plan.handle_swarm_progress(31 * MIB, scene.now);
    scene.plan.handle_webseed(0, Activity::Idle, scene.now);
    let begin = scene.now;
    assert_eq!(scene.wait(), [Action::SetShare]);
    assert_eq!(scene.now - begin, Duration::from_millis(500));
}

#[test]
fn a_share_of_nothing_ends_too_and_a_drip_beside_it() {
    let mut scene = in_company(30);
    let begin = scene.now;
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::SetShare], Share::Deputy));
    assert!(scene.now - begin <= Duration::from_secs(5), "{:?}", scene.now - begin);
    let taken = drips_until_everything(&mut in_company(30), MIB);
    assert!(taken <= Duration::from_secs(14), "{taken:?}");
}

#[test]
fn a_first_piece_takes_longer_on_a_line_that_many_share() {
    let mut scene = in_company(19);
    scene.plan.brief.prospects[0].rate = Some(2 * MIB);
    let begin = scene.now;
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::SetShare], Share::Deputy));
    assert_eq!(scene.now - begin, Duration::from_secs(5));
}

#[test]
fn nothing_more_is_asked_while_the_engine_looks_what_there_is() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_company(company(3), scene.now);
    scene.actions();
    for _ in 0..20 {
        scene.after(Duration::from_millis(400));
        scene.plan.handle_timeout(scene.now);
        assert_eq!((scene.actions(), scene.plan.share()), (vec![], Share::Own));
    }
    scene.plan.handle_swarm_progress(30 * MIB, scene.now);
    scene.after(Duration::from_millis(900));
    scene.plan.handle_timeout(scene.now);
    assert_eq!((scene.actions(), scene.plan.share()), (vec![], Share::Own));
}

#[test]
fn who_comes_and_goes_moves_shares_seldom_and_not_for_ever() {
    let mut scene = in_company(1);
    let (begin, mut moved) = (scene.now, Vec::new());
    for tick in 0..1_000_u64 {
        scene.after(Duration::from_millis(100));
        scene.plan.handle_company(company(if tick % 2 == 0 { 1 } else { 2 }), scene.now);
        scene.plan.handle_webseed(0, Activity::Serves, scene.now);
        scene.plan.handle_swarm_progress(MIB + tick + 1, scene.now);
        scene.plan.handle_timeout(scene.now);
        let shares = scene.actions().into_iter().filter(|action| *action == Action::SetShare).count();
        moved.extend(std::iter::repeat_n(scene.now - begin, shares));
    }
    assert_eq!(moved.len(), 7, "{moved:?}");
    assert!(moved.windows(2).all(|pair| pair[1] >= pair[0] + Duration::from_secs(1)), "{moved:?}");
    assert!(moved[3] >= Duration::from_secs(15), "{moved:?}");
}

#[test]
fn company_that_comes_before_the_swarm_costs_nothing() {
    let mut scene = Scene::of(60 * MIB, 1);
    scene.actions();
    for others in 1..=20 {
        scene.plan.handle_company(company(others), scene.now);
    }
    assert_eq!((scene.actions(), scene.plan.company().len()), (vec![], 20));
}

#[test]
fn who_is_alone_or_in_a_hurry_shares_nothing() {
    let mut alone = Scene::in_swarm(1);
    alone.plan.handle_webseed(0, Activity::Idle, alone.now);
    assert_eq!(alone.wait(), [Action::CutSlowestPeer { whatever_its_rate: false }]);
    let mut hasty = share_done(3);
    hasty.plan.brief.policy = Policy::Speed;
    assert_eq!(hasty.plan.share(), Share::Everything);
    assert_eq!(hasty.wait(), [Action::CutSlowestPeer { whatever_its_rate: false }]);
}

#[test]
fn mirrors_on_a_shared_line_may_be_silent_for_longer() {
    let mut scene = in_company(2);
    scene.plan.handle_webseed(0, Activity::Owes, scene.now);
    let begin = scene.now;
    scene.after(Duration::from_millis(100));
    scene.plan.handle_swarm_progress(2 * MIB, scene.now);
    assert_eq!(scene.wait(), [Action::RemoveWebseed { mirror: 0 }]);
    assert_eq!(scene.now - begin, Duration::from_secs(3));
}

#[test]
fn in_company_no_piece_is_asked_of_the_mirror_for_comparison() {
    let mut scene = Scene::of(60 * MIB, 1);
    scene.actions();
    scene.plan.handle_company(company(1), scene.now);
    scene.plan.handle_metainfo(true, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(MIB, scene.now);
    scene.plan.handle_peer(scene.now);
    assert!(scene.actions().ends_with(&[Action::CheckMetainfo { mirror: None }]));
}
