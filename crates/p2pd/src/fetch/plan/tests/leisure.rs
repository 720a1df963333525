//! Fetches that nobody waits for.

use super::*;

/// A package of so many bytes and two mirrors, and somebody who has time.
fn at_leisure(size: u64) -> Scene {
    let (now, prospects) = (Instant::now(), vec![Prospect { patience: LATE, backs_off: false, rate: None }; 2]);
    let (policy, urgency, sharing) = (Policy::Balanced, Urgency::Leisurely, Sharing::Allowed);
    let (pieces, grace, resume) = (size.div_ceil(256 * 1024), Some(LEISURE), Resume::Prefix(0));
    let brief = Brief { size, pieces, prospects, sharing, policy, urgency, grace, neighbours: None, resume };
    Scene { plan: Plan::new(brief, now), now }
}

const LEISURE: Duration = Duration::from_secs(20);

#[test]
fn at_leisure_even_a_small_package_comes_from_peers_and_no_mirror_is_asked() {
    let mut scene = at_leisure(200_000);
    assert_eq!(scene.actions(), [Action::SeekMetainfo]);
    scene.after(Duration::from_secs(5));
    scene.plan.handle_metainfo(true, scene.now);
    assert_eq!(scene.actions(), [Action::SeekPeers]);
    scene.after(Duration::from_secs(10));
    scene.plan.handle_peer(scene.now);
    assert_eq!(scene.actions(), [Action::CheckMetainfo { mirror: Some(0) }]);
    scene.plan.handle_check(true, scene.now);
    assert_eq!(scene.actions(), [Action::JoinSwarm]);
    for kib in 1..10 {
        scene.after(Duration::from_secs(15));
        scene.plan.handle_swarm_progress(kib * 20_000, scene.now);
        scene.plan.handle_timeout(scene.now);
        assert_eq!(scene.actions(), []);
    }
    scene.plan.handle_swarm_complete();
    assert_eq!(scene.actions(), [Action::FinishSwarm, Action::Verify]);
}

#[test]
fn at_leisure_a_mirror_is_asked_when_nobody_has_come_or_when_they_stall() {
    let mut scene = at_leisure(60 * MIB);
    assert_eq!(scene.actions(), [Action::SeekMetainfo]);
    scene.plan.handle_metainfo(true, scene.now);
    assert_eq!(scene.actions(), [Action::SeekPeers]);
    let begun = scene.now;
    assert_eq!(scene.wait(), [OPEN]);
    assert_eq!(scene.now, begun + LEISURE);
    scene.plan.handle_stream_bytes(MIB, scene.now);
    scene.after(Duration::from_secs(9));
    scene.plan.handle_peer(scene.now);
    assert_eq!(scene.actions(), [Action::CheckMetainfo { mirror: Some(0) }]);
    scene.plan.handle_check(true, scene.now);
    assert_eq!(scene.actions(), [Action::CloseStream, Action::JoinSwarm], "the mirror is spared from now on");
    scene.plan.handle_swarm_progress(MIB, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_swarm_progress(2 * MIB, scene.now);
    let stalled = scene.now;
    assert_eq!(scene.wait(), [Action::AddWebseed { mirror: 0 }]);
    assert_eq!(scene.now, stalled + LEISURE);
}

#[test]
fn at_leisure_a_swarm_of_mirrors_alone_and_a_second_mirror_are_no_use() {
    let mut scene = at_leisure(60 * MIB);
    scene.plan.brief.prospects[0].patience = Duration::from_millis(300);
    scene.plan.handle_metainfo(false, scene.now);
    assert_eq!(scene.actions(), [Action::SeekMetainfo, OPEN]);
    assert_eq!(scene.plan.rival_due(), None);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(MIB / 10, scene.now);
    assert_eq!(scene.wait(), []);
}

#[test]
fn whoever_comes_to_wait_for_a_leisurely_fetch_gets_the_mirror_at_once() {
    let mut scene = at_leisure(60 * MIB);
    assert_eq!(scene.actions(), [Action::SeekMetainfo]);
    scene.plan.handle_haste(scene.now);
    assert_eq!(scene.actions(), [OPEN]);

    let mut scene = at_leisure(60 * MIB);
    scene.plan.handle_metainfo(true, scene.now);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_check(true, scene.now);
    assert_eq!(scene.actions().last(), Some(&Action::JoinSwarm));
    scene.plan.handle_haste(scene.now);
    assert_eq!(scene.actions(), [Action::AddWebseed { mirror: 0 }]);
}
