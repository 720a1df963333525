//! Machines nearby that download the same package.

use super::*;
use crate::fetch::shares::Share;

/// In a swarm with so many others: after a second, in which a MiB came four times, our share is done, and so much came from the mirror.
fn share_done_with(others: usize, served: u64) -> Scene {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_company(others, scene.now);
    scene.plan.handle_webseed(0, Activity::Serves, scene.now);
    scene.plan.handle_swarm_progress(MIB, scene.now);
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
fn share_done(others: usize) -> Scene {
    share_done_with(others, 4 * MIB / (others as u64 + 1))
}

#[test]
fn what_others_do_not_bring_is_asked_of_the_mirror_step_by_step() {
    let mut scene = share_done(3);
    let begin = scene.now;
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::AskForMore], Share::Deputy));
    assert!(scene.now - begin <= Duration::from_secs(1), "{:?}", scene.now - begin);
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::AskForMore], Share::Everything));
    assert!(scene.now - begin <= Duration::from_secs(2), "{:?}", scene.now - begin);
    assert_eq!(scene.wait(), [Action::CutSlowestPeer { whatever_its_rate: false }], "then somebody sits on the rest");
}

#[test]
fn of_two_one_is_the_others_deputy_for_everything() {
    let mut scene = share_done(1);
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::AskForMore], Share::Everything));
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
fn one_that_drips_is_not_waited_for_where_the_mirror_is_much_faster() {
    let mut scene = share_done_with(1, 4 * MIB - 1);
    let begin = scene.now;
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::AskForMore], Share::Everything));
    assert_eq!(scene.now, begin);
}

#[test]
fn others_that_slow_down_may_take_as_long_as_the_mirror_would() {
    let mut scene = share_done(1);
    let begin = scene.now;
    while scene.plan.share() == Share::Own {
        scene.after(Duration::from_millis(400));
        let verified = 5 * MIB + u64::try_from((scene.now - begin).as_millis()).expect("a short time");
        scene.plan.handle_swarm_progress(verified, scene.now);
        scene.plan.handle_timeout(scene.now);
        assert!(scene.now - begin <= Duration::from_secs(28), "55 MiB at 2 MiB a second");
    }
    assert!(scene.actions().contains(&Action::AskForMore));
}

#[test]
fn others_have_a_moment_to_begin_before_their_pace_counts() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_company(1, scene.now);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    let begin = scene.now;
    scene.plan.handle_webseed(0, Activity::Serves, scene.now);
    scene.after(Duration::from_millis(50));
    scene.plan.handle_webseed_bytes(30 * MIB);
    scene.plan.handle_swarm_progress(31 * MIB, scene.now);
    scene.plan.handle_webseed(0, Activity::Idle, scene.now);
    assert_eq!(scene.wait(), [Action::AskForMore]);
    assert_eq!(scene.now - begin, Duration::from_millis(500));
}

#[test]
fn a_share_of_nothing_ends_too() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_company(30, scene.now);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    let begin = scene.now;
    assert_eq!((scene.wait(), scene.plan.share()), (vec![Action::AskForMore], Share::Deputy));
    assert!(scene.now - begin <= Duration::from_secs(1), "{:?}", scene.now - begin);
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
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_company(2, scene.now);
    scene.plan.handle_swarm_progress(MIB, scene.now);
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
    scene.plan.handle_company(1, scene.now);
    scene.plan.handle_metainfo(true, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(MIB, scene.now);
    scene.plan.handle_peer(scene.now);
    assert!(scene.actions().ends_with(&[Action::CheckMetainfo { mirror: None }]));
}
