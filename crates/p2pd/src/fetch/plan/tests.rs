mod company;
mod leisure;
mod lending;
mod newcomers;

use super::swarming::SWARM_STALL_LIMIT;
use super::*;
use crate::config::Policy;
use crate::fetch::hedge::Prospect;

const MIB: u64 = 1024 * 1024;

struct Scene {
    plan: Plan,
    now: Instant,
}

impl Scene {
    fn of(size: u64, mirrors: usize) -> Self {
        Self::with(size, mirrors, Sharing::Allowed, Resume::Prefix(0))
    }

    fn with(size: u64, mirrors: usize, sharing: Sharing, resume: Resume) -> Self {
        let now = Instant::now();
        let pieces = size.div_ceil(256 * 1024);
        let prospects = vec![Prospect { patience: LATE, backs_off: false, rate: None }; mirrors];
        let (policy, urgency) = (Policy::Balanced, Urgency::Urgent);
        let brief = Brief { size, pieces, prospects, sharing, policy, urgency, grace: None, neighbours: None, resume };
        Self { plan: Plan::new(brief, now), now }
    }

    /// All but [`Action::RetryPeers`], which comes with every stall and changes nothing else.
    fn actions(&mut self) -> Vec<Action> {
        let actions = std::iter::from_fn(|| self.plan.poll_action());
        actions.filter(|action| *action != Action::RetryPeers).collect()
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// Lets time pass until an action comes, a minute at most.
    fn wait(&mut self) -> Vec<Action> {
        let end = self.now + Duration::from_mins(1);
        while let Some(at) = self.plan.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.plan.handle_timeout(self.now);
            let actions = self.actions();
            if !actions.is_empty() {
                return actions;
            }
        }
        Vec::new()
    }

    /// A 60 MiB package, 1 MiB of which the mirror has sent in a second, that has just turned to a swarm.
    fn in_swarm(mirrors: usize) -> Self {
        let mut scene = Self::of(60 * MIB, mirrors);
        assert_eq!(scene.actions(), [Action::SeekMetainfo, OPEN]);
        scene.plan.handle_metainfo(true, scene.now);
        scene.after(Duration::from_secs(1));
        scene.plan.handle_stream_bytes(MIB, scene.now);
        scene.plan.handle_peer(scene.now);
        let actions = scene.actions();
        assert!(actions.ends_with(&[Action::CheckMetainfo { mirror: Some(0) }]), "{actions:?}");
        scene.plan.handle_check(true, scene.now);
        assert_eq!(scene.actions(), [Action::CloseStream, Action::JoinSwarm, Action::AddWebseed { mirror: 0 }]);
        scene
    }
}

/// A mirror that has not answered by then is late. In most scenes it has.
const LATE: Duration = Duration::from_mins(5);
const OPEN: Action = Action::OpenStream { mirror: 0, from: 0 };

#[test]
fn a_small_package_is_one_plain_request() {
    let mut scene = Scene::of(200_000, 3);
    assert_eq!(scene.actions(), [OPEN]);
    scene.plan.handle_stream_bytes(200_000, scene.now);
    scene.plan.handle_stream_end();
    assert_eq!(scene.actions(), [Action::Verify]);
    scene.plan.handle_verified(true, scene.now);
    assert_eq!(scene.actions(), []);
    assert_eq!(scene.plan.poll_timeout(), None);
}

#[test]
fn a_package_that_is_not_shared_is_asked_of_mirrors_only() {
    let mut scene = Scene::with(60 * MIB, 2, Sharing::MirrorsOnly, Resume::Prefix(0));
    assert_eq!(scene.actions(), [OPEN]);
    for mirror in 1..2 {
        scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
        assert_eq!(scene.actions(), [Action::OpenStream { mirror, from: 0 }]);
    }
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::Fail(Despair::Unreachable)]);
}

/// Two mirrors, the first of which is late, so that both have been asked.
fn rivals() -> Scene {
    let mut scene = Scene::of(200_000, 2);
    assert_eq!(scene.actions(), [OPEN]);
    scene.plan.brief.prospects[0].patience = Duration::from_millis(300);
    assert_eq!(scene.wait(), [Action::OpenRival { mirror: 1, from: 0 }]);
    scene
}

#[test]
fn of_two_mirrors_the_first_to_answer_is_the_stream() {
    for winner in 0..2 {
        let mut scene = rivals();
        scene.plan.handle_stream_answer(winner, scene.now);
        scene.plan.handle_stream_bytes(200_000, scene.now);
        scene.plan.handle_stream_end();
        assert_eq!(scene.actions(), [Action::Verify]);
        assert_eq!(scene.plan.sole_mirror(), Some(winner));
    }
}

#[test]
fn a_late_mirror_that_fails_leaves_the_stream_to_the_other() {
    let mut scene = rivals();
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), []);
    assert_eq!(scene.plan.sole_mirror(), Some(1));
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::SeekMetainfo], "nobody is left");
}

#[test]
fn one_that_was_to_help_and_fails_leaves_the_late_one_alone() {
    let mut scene = rivals();
    scene.plan.handle_rival_fault(Verdict::Lacks, scene.now);
    scene.plan.handle_stream_answer(0, scene.now);
    scene.plan.handle_stream_end();
    assert_eq!(scene.actions(), [Action::Verify]);
    assert_eq!(scene.plan.sole_mirror(), Some(0));
}

#[test]
fn nobody_is_asked_beside_a_mirror_where_the_other_one_backs_off() {
    let mut scene = Scene::of(200_000, 2);
    scene.plan.brief.prospects[0].patience = Duration::from_millis(300);
    scene.plan.brief.prospects[1].backs_off = true;
    assert_eq!(scene.actions(), [OPEN]);
    assert_eq!(scene.wait(), [Action::SeekMetainfo], "only this, after a second");
}

/// A package of which fast peers are expected.
fn with_grace(size: u64) -> Scene {
    let (now, pieces) = (Instant::now(), size.div_ceil(256 * 1024));
    let prospects = vec![Prospect { patience: LATE, backs_off: false, rate: None }; 2];
    let (sharing, resume, grace) = (Sharing::Allowed, Resume::Prefix(0), Some(GRACE));
    let (policy, urgency) = (Policy::Balanced, Urgency::Urgent);
    let brief = Brief { size, pieces, prospects, sharing, policy, urgency, grace, neighbours: None, resume };
    Scene { plan: Plan::new(brief, now), now }
}

const GRACE: Duration = Duration::from_millis(200);

#[test]
fn peers_that_have_been_much_faster_begin_without_a_mirror_and_may_end_without_one() {
    let mut scene = with_grace(30 * MIB);
    assert_eq!(scene.actions(), [Action::SeekMetainfo]);
    scene.plan.handle_metainfo(true, scene.now);
    assert_eq!(scene.actions(), [Action::SeekPeers]);
    scene.plan.handle_peer(scene.now);
    assert_eq!(scene.actions(), [Action::CheckMetainfo { mirror: Some(0) }]);
    scene.plan.handle_check(true, scene.now);
    assert_eq!(scene.actions(), [Action::JoinSwarm]);
    scene.plan.handle_swarm_progress(0, scene.now);
    for mib in 1..30 {
        scene.after(GRACE / 2);
        scene.plan.handle_swarm_progress(mib * MIB, scene.now);
        scene.plan.handle_timeout(scene.now);
        assert_eq!(scene.actions(), []);
    }
    assert_eq!(scene.wait(), [Action::AddWebseed { mirror: 0 }], "they have fallen silent");
}

#[test]
fn a_mirror_is_asked_where_no_peer_has_come_in_time_or_none_can() {
    let mut scene = with_grace(60 * MIB);
    assert_eq!(scene.actions(), [Action::SeekMetainfo]);
    assert_eq!(scene.wait(), [OPEN]);
    let mut scene = with_grace(60 * MIB);
    scene.actions();
    scene.plan.handle_metainfo(false, scene.now);
    assert_eq!(scene.actions(), [OPEN]);
    assert_eq!(with_grace(200_000).actions(), [OPEN], "one piece is a plain request");
}

#[test]
fn peers_that_turn_out_slow_get_the_mirrors_help() {
    let mut scene = with_grace(600 * MIB);
    scene.actions();
    scene.plan.handle_metainfo(true, scene.now);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_check(true, scene.now);
    scene.actions();
    scene.plan.handle_swarm_progress(0, scene.now);
    scene.after(GRACE / 2);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    assert_eq!(scene.actions(), [Action::AddWebseed { mirror: 0 }]);
}

#[test]
fn a_stream_that_is_nearly_done_is_left_alone() {
    let mut scene = Scene::of(60 * MIB, 1);
    scene.actions();
    scene.plan.handle_metainfo(true, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(59 * MIB, scene.now);
    scene.actions();
    scene.plan.handle_peer(scene.now);
    assert_eq!(scene.actions(), []);
    assert_eq!(scene.wait(), [Action::CheckMetainfo { mirror: Some(0) }], "until it falls silent");
}

#[test]
fn a_swarm_takes_over_and_the_mirror_goes_on_in_it() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_swarm_progress(60 * MIB, scene.now);
    scene.plan.handle_swarm_complete();
    assert_eq!(scene.actions(), [Action::FinishSwarm, Action::Verify]);
}

#[test]
fn without_peers_a_big_package_takes_a_second_mirror() {
    let mut scene = Scene::of(600 * MIB, 2);
    scene.actions();
    scene.plan.handle_metainfo(true, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(10 * MIB, scene.now);
    assert!(scene.actions().ends_with(&[Action::CheckMetainfo { mirror: Some(0) }]));
    scene.plan.handle_check(true, scene.now);
    assert!(scene.actions().ends_with(&[Action::JoinSwarm, Action::AddWebseed { mirror: 0 }]));
    scene.plan.handle_swarm_progress(10 * MIB, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_swarm_progress(20 * MIB, scene.now);
    assert_eq!(scene.actions(), [Action::AddWebseed { mirror: 1 }]);
}

#[test]
fn a_peer_that_sits_on_the_last_piece_is_cut() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_webseed(0, Activity::Idle, scene.now);
    let cut = |whatever_its_rate| [Action::CutSlowestPeer { whatever_its_rate }];
    assert_eq!(scene.wait(), cut(false));
    assert_eq!(scene.wait(), cut(false), "and the next one");
    assert_eq!(scene.wait(), cut(false));
    assert_eq!(scene.wait(), cut(true), "two seconds without a piece are enough");
    scene.plan.handle_webseed(0, Activity::Serves, scene.now);
    assert_eq!(scene.wait(), [], "nobody holds up a webseed that is busy");
}

#[test]
fn a_mirror_that_sits_on_the_last_piece_is_parted_from_where_others_deliver() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    scene.plan.handle_webseed(0, Activity::Owes, scene.now);
    scene.after(Duration::from_millis(100));
    scene.plan.handle_swarm_progress(59 * MIB, scene.now);
    assert_eq!(scene.wait(), [Action::RemoveWebseed { mirror: 0 }]);
}

#[test]
fn a_mirror_that_is_slow_to_begin_stays_where_nobody_else_delivers() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_webseed(0, Activity::Owes, scene.now);
    scene.after(Duration::from_millis(1));
    scene.plan.handle_swarm_progress(MIB, scene.now);
    scene.after(Duration::from_secs(3));
    scene.plan.handle_timeout(scene.now);
    assert_eq!(scene.actions(), []);
}

#[test]
fn a_dead_mirror_is_replaced_in_the_swarm_and_peers_alone_may_finish() {
    let mut scene = Scene::in_swarm(2);
    scene.plan.handle_webseed_fault(0, Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::AddWebseed { mirror: 1 }]);
    scene.plan.handle_webseed_fault(1, Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), []);
    for mib in 2..60 {
        scene.after(Duration::from_secs(1));
        scene.plan.handle_swarm_progress(mib * MIB, scene.now);
        scene.plan.handle_timeout(scene.now);
        assert!(!scene.actions().iter().any(|action| matches!(action, Action::Fail(_))), "while peers deliver");
    }
}

#[test]
fn a_swarm_in_which_nobody_delivers_ends_in_a_bounded_time() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    scene.plan.handle_webseed_fault(0, Verdict::Lacks, scene.now);
    let start = scene.now;
    assert_eq!(scene.wait(), [Action::LeaveSwarm, Action::Fail(Despair::NotFound)]);
    assert!(scene.now - start < Duration::from_secs(10));
}

#[test]
fn a_mirror_that_breaks_off_is_asked_for_the_rest() {
    let mut scene = Scene::of(60 * MIB, 1);
    scene.actions();
    scene.plan.handle_metainfo(false, scene.now);
    scene.plan.handle_stream_bytes(30 * MIB, scene.now);
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::OpenStream { mirror: 0, from: 30 * MIB }]);
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::Fail(Despair::Unreachable)], "nothing came the second time");
}

#[test]
fn retry_after_is_waited_for_where_it_is_short() {
    let mut scene = Scene::with(100, 1, Sharing::MirrorsOnly, Resume::Prefix(0));
    scene.actions();
    scene.plan.handle_stream_fault(Verdict::Rests(Some(Duration::from_secs(2))), scene.now);
    let start = scene.now;
    assert_eq!(scene.wait(), [OPEN]);
    assert_eq!(scene.now - start, Duration::from_secs(2));
}

#[test]
fn when_all_mirrors_lack_the_package_that_is_said_at_once() {
    let mut scene = Scene::with(100, 2, Sharing::MirrorsOnly, Resume::Prefix(0));
    scene.plan.handle_stream_fault(Verdict::Lacks, scene.now);
    scene.plan.handle_stream_fault(Verdict::Lacks, scene.now);
    assert_eq!(scene.actions().last(), Some(&Action::Fail(Despair::NotFound)));
}

#[test]
fn a_lying_torrent_loses_against_an_honest_mirror() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_contradiction(0, scene.now);
    assert_eq!(scene.actions(), [Action::LeaveSwarm, Action::BeginAnew, OPEN]);
    scene.plan.handle_stream_bytes(60 * MIB, scene.now);
    scene.plan.handle_stream_end();
    scene.plan.handle_verified(true, scene.now);
    assert_eq!(scene.actions(), [Action::Verify]);
}

#[test]
fn a_lying_mirror_loses_against_an_honest_swarm() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_contradiction(0, scene.now);
    scene.plan.handle_stream_bytes(60 * MIB, scene.now);
    scene.plan.handle_stream_end();
    scene.actions();
    scene.plan.handle_verified(false, scene.now);
    assert_eq!(scene.actions(), [Action::BeginAnew, Action::JoinSwarm], "without that mirror");
}

#[test]
fn metainfo_that_the_first_bytes_contradict_is_not_joined() {
    let mut scene = Scene::of(60 * MIB, 1);
    scene.actions();
    scene.plan.handle_metainfo(true, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(MIB, scene.now);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_check(false, scene.now);
    scene.actions();
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(2 * MIB, scene.now);
    assert_eq!(scene.actions(), [], "the stream goes on");
}

#[test]
fn a_corrupt_mirror_gives_way_to_the_next_and_in_the_end_to_a_clear_failure() {
    let mut scene = Scene::with(100, 2, Sharing::MirrorsOnly, Resume::Prefix(0));
    scene.actions();
    for expected in [Action::OpenStream { mirror: 1, from: 0 }, Action::Fail(Despair::Mismatch)] {
        scene.plan.handle_stream_bytes(100, scene.now);
        scene.plan.handle_stream_end();
        scene.actions();
        scene.plan.handle_verified(false, scene.now);
        assert_eq!(scene.actions(), [Action::BeginAnew, expected]);
    }
}

#[test]
fn bytes_of_several_mirrors_that_do_not_fit_accuse_nobody_but_are_not_tried_for_ever() {
    let mut scene = Scene::with(MIB, 1, Sharing::MirrorsOnly, Resume::Prefix(500_000));
    assert_eq!(scene.actions(), [Action::OpenStream { mirror: 0, from: 500_000 }]);
    scene.plan.handle_stream_end();
    scene.plan.handle_verified(false, scene.now);
    assert_eq!(scene.actions(), [Action::Verify, Action::BeginAnew, OPEN]);
    scene.plan.handle_stream_end();
    scene.plan.handle_verified(false, scene.now);
    assert_eq!(scene.actions().last(), Some(&Action::Fail(Despair::Mismatch)));
}

#[test]
fn a_swarm_that_stalls_tries_its_peers_again() {
    let mut scene = Scene::in_swarm(1);
    scene.after(SWARM_STALL_LIMIT);
    scene.plan.handle_timeout(scene.now);
    let actions: Vec<_> = std::iter::from_fn(|| scene.plan.poll_action()).collect();
    assert_eq!(actions, [Action::RetryPeers]);
}

#[test]
fn what_may_not_be_shared_any_more_leaves_its_swarm_and_goes_on_from_the_mirror() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_unshared(2 * MIB, scene.now);
    assert_eq!(scene.actions(), [Action::LeaveSwarm, Action::OpenStream { mirror: 0, from: 2 * MIB }]);
    scene.plan.handle_peer(scene.now);
    scene.plan.handle_metainfo(true, scene.now);
    scene.after(Duration::from_secs(1));
    scene.plan.handle_stream_bytes(3 * MIB, scene.now);
    assert_eq!(scene.actions(), [], "never a swarm again");
}

#[test]
fn pieces_of_an_earlier_run_are_kept_by_joining_at_once() {
    let mut scene = Scene::with(60 * MIB, 1, Sharing::Allowed, Resume::Pieces);
    assert_eq!(scene.actions(), [Action::SeekPeers, Action::JoinSwarm, Action::AddWebseed { mirror: 0 }]);
}

#[test]
fn dead_mirrors_leave_a_bounded_time_for_peers() {
    let mut scene = Scene::of(60 * MIB, 1);
    scene.actions();
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), []);
    scene.plan.handle_metainfo(true, scene.now);
    scene.actions();
    let start = scene.now;
    assert!(matches!(scene.wait().last(), Some(Action::OpenStream { .. } | Action::Fail(_))));
    assert!(scene.now - start <= DESPAIR_AFTER);
}

#[test]
fn a_broken_engine_leaves_the_stream_to_finish() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_swarm_failure(2 * MIB, scene.now);
    assert_eq!(scene.actions(), [Action::LeaveSwarm, Action::OpenStream { mirror: 0, from: 2 * MIB }]);
}

#[test]
fn pieces_of_what_is_not_shared_are_not_resumed_in_a_swarm() {
    let mut scene = Scene::with(60 * MIB, 1, Sharing::MirrorsOnly, Resume::Pieces);
    assert_eq!(scene.actions(), [Action::BeginAnew, OPEN]);
}

#[test]
fn black_holes_instead_of_mirrors_cost_a_bounded_time_in_all() {
    let mut scene = Scene::with(100, 16, Sharing::MirrorsOnly, Resume::Prefix(0));
    let start = scene.now;
    let mut last = scene.actions();
    while !last.iter().any(|action| matches!(action, Action::Fail(_))) {
        scene.after(Duration::from_secs(5));
        scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
        scene.plan.handle_timeout(scene.now);
        last = scene.actions();
    }
    assert!(scene.now - start <= Duration::from_secs(20));
}

#[test]
fn a_slow_peer_that_sends_something_is_not_given_up() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_swarm_progress(MIB, scene.now);
    scene.plan.handle_webseed_fault(0, Verdict::Lacks, scene.now);
    for _ in 0..60 {
        scene.after(Duration::from_secs(1));
        scene.plan.handle_bytes();
        scene.plan.handle_timeout(scene.now);
        assert!(!scene.actions().iter().any(|action| matches!(action, Action::Fail(_))));
    }
}

#[test]
fn disputed_metainfo_gets_its_chance_when_the_mirror_breaks_off() {
    let mut scene = Scene::in_swarm(1);
    scene.plan.handle_contradiction(0, scene.now);
    scene.actions();
    scene.plan.handle_stream_fault(Verdict::Rests(None), scene.now);
    assert_eq!(scene.actions(), [Action::JoinSwarm]);
}

#[test]
fn a_bad_file_of_an_earlier_run_does_not_keep_the_package_from_a_swarm() {
    let mut scene = Scene::with(60 * MIB, 1, Sharing::Allowed, Resume::Prefix(60 * MIB));
    scene.plan.handle_verified(false, scene.now);
    assert!(scene.actions().contains(&Action::SeekMetainfo));
}

#[test]
fn a_file_that_is_complete_already_is_only_verified() {
    let mut scene = Scene::with(100, 1, Sharing::Allowed, Resume::Prefix(100));
    assert_eq!(scene.actions(), [Action::Verify]);
    scene.plan.handle_verified(false, scene.now);
    assert_eq!(scene.actions(), [Action::BeginAnew, OPEN]);
}
