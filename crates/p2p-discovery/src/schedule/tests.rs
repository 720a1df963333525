mod clubs;
mod holdings;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn tracker(name: &str) -> Arc<Tracker> {
    Arc::new(Tracker { url: url(name), trust: Trust::Configured })
}

fn url(name: &str) -> Url {
    Url::parse(&format!("udp://{name}:80")).expect("a URL")
}

fn means(trackers: Vec<Arc<Tracker>>, dht: bool, lan: bool) -> Means {
    Means { trackers, strangers: true, dht, lan, announce_budget: 5 }
}

fn hash(number: usize) -> InfoHash {
    InfoHash::of(&number.to_be_bytes())
}

/// A schedule on a clock of its own, in a world where every task ends in the moment in which it begins.
struct World {
    schedule: Schedule,
    start: Instant,
    now: Instant,
    answer: fn(&Tracker) -> Announced,
    /// What comes of a club's rounds.
    met: LookedUp,
    log: Vec<(Duration, Task)>,
}

fn answered(interval: Duration, min_interval: Option<Duration>) -> Announced {
    Announced::Answered { interval, min_interval, peers: 3, seeders: 2 }
}

/// A round that found nobody else.
const ROUND: LookedUp = LookedUp { round: Round::Announced, others: 0, packets: offers::LOOKUP_PACKETS };

fn half_an_hour(_: &Tracker) -> Announced {
    answered(30 * MINUTE, None)
}

impl World {
    fn new(means: Means) -> Self {
        let now = Instant::now();
        Self { schedule: Schedule::new(means, now), start: now, now, answer: half_an_hour, met: ROUND, log: Vec::new() }
    }

    fn with_trackers(names: &[&str]) -> Self {
        let trackers = names.iter().map(|name| tracker(name)).collect();
        Self::new(means(trackers, false, false))
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while let Some(task) = self.schedule.poll_task(self.now) {
                self.finish(&task);
                self.log.push((self.now - self.start, task));
            }
            let next = self.schedule.poll_timeout().unwrap_or(end);
            assert!(next > self.now, "the schedule wants to wake at once with nothing to do");
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
        }
    }

    fn finish(&mut self, task: &Task) {
        match task {
            Task::Announce { tracker, .. } => {
                let outcome = (self.answer)(tracker);
                self.schedule.handle_announced(task, outcome, offers::ANNOUNCE_PACKETS, self.now);
            }
            Task::LookUp { info_hash, purpose } => {
                self.schedule.handle_looked_up(*info_hash, *purpose, ROUND, self.now);
            }
            Task::Meet { club, .. } => self.schedule.handle_met(*club, self.met, self.now),
            Task::Search(_) => {}
        }
    }

    fn events(&self) -> Vec<AnnounceEvent> {
        let event = |task: &Task| if let Task::Announce { event, .. } = task { Some(*event) } else { None };
        self.log.iter().filter_map(|(_, task)| event(task)).collect()
    }

    /// The swarms that trackers were told we leave.
    fn farewells(&self) -> Vec<InfoHash> {
        let stopped = |task: &Task| match task {
            Task::Announce { info_hash, event: AnnounceEvent::Stopped, .. } => Some(*info_hash),
            Task::Announce { .. } | Task::LookUp { .. } | Task::Meet { .. } | Task::Search(_) => None,
        };
        self.log.iter().filter_map(|(_, task)| stopped(task)).collect()
    }

    fn seconds(&self) -> Vec<u64> {
        self.log.iter().map(|(at, _)| at.as_secs()).collect()
    }
}

#[test]
fn a_seek_starts_goes_on_at_the_trackers_interval_and_stops() {
    let mut world = World::with_trackers(&["a"]);
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(61 * MINUTE);
    world.schedule.handle_end(hash(1));
    world.run(MINUTE);
    assert_eq!(world.seconds(), [0, 1800, 3600, 3660]);
    let regular = AnnounceEvent::Regular;
    assert_eq!(world.events(), [AnnounceEvent::Started, regular, regular, AnnounceEvent::Stopped]);
    assert!(world.schedule.is_idle());
}

#[test]
fn while_peers_are_lacking_the_min_interval_counts() {
    let mut world = World::with_trackers(&["a"]);
    world.answer = |_| answered(30 * MINUTE, Some(5 * MINUTE));
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(6 * MINUTE);
    world.schedule.handle_peers(hash(1), ENOUGH_PEERS);
    world.run(60 * MINUTE);
    assert_eq!(world.seconds(), [0, 300, 600, 2400]);
}

#[test]
fn a_finished_seek_says_completed_once_and_looks_no_further() {
    let mut world = World::new(means(vec![tracker("a")], true, true));
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(Duration::from_secs(1));
    world.log.clear();
    world.schedule.handle_progress(hash(1), 0, world.now);
    world.schedule.handle_end(hash(1));
    world.run(60 * MINUTE);
    assert_eq!(world.events(), [AnnounceEvent::Completed]);
    assert_eq!(world.log.len(), 1);
}

#[test]
fn a_dead_tracker_is_left_alone_for_longer_and_longer() {
    let mut world = World::with_trackers(&["dead"]);
    world.answer = |_| Announced::Failed("silent".to_owned());
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.schedule.handle_seek(hash(2), &[], world.now);
    world.run(20 * MINUTE);
    assert_eq!(world.seconds(), [0, 15, 45, 105, 225, 465, 765, 1065]);
    assert!(world.events().iter().all(|event| *event == AnnounceEvent::Started));
    let (record, next) = world.schedule.tracker(&url("dead"));
    assert_eq!(record.last_error.as_deref(), Some("silent"));
    assert_eq!(next, Some(world.start + Duration::from_secs(1365)));
}

#[test]
fn a_dead_tracker_delays_no_other_one() {
    let mut world = World::with_trackers(&["dead", "good"]);
    world.answer = |tracker| {
        if tracker.url.host_str() == Some("dead") { Announced::Failed(String::new()) } else { half_an_hour(tracker) }
    };
    for number in 0..50 {
        world.schedule.handle_seek(hash(number), &[], world.now);
    }
    world.run(Duration::from_secs(1));
    let good = world
        .log
        .iter()
        .filter(|(_, task)| matches!(task, Task::Announce { tracker, .. } if tracker.url == url("good")));
    assert_eq!(good.count(), 50);
    assert_eq!(world.log.len(), 51);
}

#[test]
fn a_tracker_that_refuses_one_swarm_is_asked_about_others() {
    let mut world = World::with_trackers(&["picky"]);
    world.answer = |_| Announced::Refused("not registered".to_owned());
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(10 * MINUTE);
    world.schedule.handle_seek(hash(2), &[], world.now);
    world.run(Duration::from_secs(1));
    assert_eq!(world.seconds(), [0, 60, 180, 420, 600]);
}

#[test]
fn a_stranger_adds_four_trackers_at_most_and_none_where_strangers_do_not_count() {
    let strangers: Vec<_> = ["a", "s1", "s2", "s3", "s4", "s5"].map(url).into();
    let mut world = World::with_trackers(&["a"]);
    world.schedule.handle_seek(hash(1), &strangers, world.now);
    world.schedule.handle_seek(hash(1), &["t1", "t2"].map(url), world.now);
    world.run(Duration::from_secs(1));
    assert_eq!(world.log.len(), 5);

    let mut world = World::new(Means { strangers: false, ..means(Vec::new(), false, false) });
    world.schedule.handle_seek(hash(1), &strangers, world.now);
    world.schedule.handle_offer(hash(1), 0, &strangers, world.now);
    world.run(60 * MINUTE);
    assert_eq!(world.log, []);
}

#[test]
fn dht_rounds_become_rarer_and_rare_at_once_when_there_are_peers() {
    let mut world = World::new(means(Vec::new(), true, false));
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(40 * MINUTE);
    assert_eq!(world.seconds(), [0, 15, 75, 375, 1275, 2175]);
    world.log.clear();
    world.schedule.handle_seek(hash(2), &[], world.now);
    world.schedule.handle_peers(hash(2), ENOUGH_PEERS);
    world.run(10 * MINUTE);
    assert_eq!(world.seconds(), [2400]);
}

#[test]
fn local_searches_repeat_twice_soon_and_then_every_five_minutes() {
    let mut world = World::new(means(Vec::new(), false, true));
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(11 * MINUTE);
    assert_eq!(world.seconds(), [0, 5, 30, 330, 630]);
    world.log.clear();
    world.schedule.handle_new_links(world.now);
    world.run(Duration::from_secs(1));
    assert_eq!(world.seconds(), [660]);
}

#[test]
fn searches_of_one_transaction_share_datagrams() {
    let mut world = World::new(means(Vec::new(), false, true));
    world.schedule.handle_seek(hash(0), &[], world.now);
    world.run(Duration::from_millis(1));
    for number in 1..100 {
        world.schedule.handle_seek(hash(number), &[], world.now);
    }
    world.run(Duration::from_secs(1));
    let hashes = |task: &Task| if let Task::Search(hashes) = task { hashes.len() } else { 0 };
    assert_eq!(world.log.iter().map(|(_, task)| hashes(task)).collect::<Vec<_>>(), [1, 99]);
}

#[test]
fn what_is_sought_goes_before_what_is_offered() {
    let mut schedule = Schedule::new(means(vec![tracker("a")], true, false), Instant::now());
    let now = Instant::now();
    for number in 0..100 {
        schedule.handle_offer(hash(number), 0, &[], now);
    }
    schedule.handle_seek(hash(500), &[], now);
    assert!(matches!(schedule.poll_task(now), Some(Task::Announce { info_hash, .. }) if info_hash == hash(500)));
    assert!(matches!(schedule.poll_task(now), Some(Task::LookUp { info_hash, .. }) if info_hash == hash(500)));
}

#[test]
fn few_tasks_are_under_way_at_once() {
    let now = Instant::now();
    let mut schedule = Schedule::new(means(vec![tracker("a"), tracker("b")], true, false), now);
    for number in 0..100 {
        schedule.handle_seek(hash(number), &[], now);
        schedule.handle_offer(hash(number), 0, &[], now);
    }
    let mut tasks = std::iter::from_fn(|| schedule.poll_task(now)).collect::<Vec<_>>();
    let lookups = tasks.iter().filter(|task| matches!(task, Task::LookUp { .. })).count();
    assert_eq!((lookups, tasks.len() - lookups), (LOOKUPS, ANNOUNCES));
    assert_eq!(schedule.poll_timeout(), Some(now).filter(|_| false));
    let Some(Task::LookUp { info_hash, purpose }) = tasks.pop() else { panic!("look-ups come last") };
    schedule.handle_looked_up(info_hash, purpose, ROUND, now);
    assert!(matches!(schedule.poll_task(now), Some(Task::LookUp { .. })));
}

#[test]
fn a_farewell_waits_for_the_start_that_is_under_way() {
    let now = Instant::now();
    let mut schedule = Schedule::new(means(vec![tracker("a")], false, false), now);
    schedule.handle_seek(hash(1), &[], now);
    let start = schedule.poll_task(now).expect("a start");
    schedule.handle_stop(now);
    assert_eq!(schedule.poll_task(now), None);
    assert!(!schedule.is_idle());
    schedule.handle_announced(&start, half_an_hour(&tracker("a")), 2, now);
    let farewell = schedule.poll_task(now);
    assert!(matches!(farewell, Some(Task::Announce { event: AnnounceEvent::Stopped, .. })), "{farewell:?}");
}

#[test]
fn each_announce_says_how_much_is_missing_then() {
    let mut world = World::with_trackers(&["a"]);
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.schedule.handle_progress(hash(1), 5000, world.now);
    world.run(MINUTE);
    world.schedule.handle_progress(hash(1), 3000, world.now);
    world.run(30 * MINUTE);
    world.schedule.handle_end(hash(1));
    world.run(MINUTE);
    assert_eq!(world.seconds(), [0, 1800, 1860], "progress alone announces nothing");
    let left = |task: &Task| if let Task::Announce { left, .. } = task { Some(*left) } else { None };
    assert_eq!(world.log.iter().filter_map(|(_, task)| left(task)).collect::<Vec<_>>(), [5000, 3000, 3000]);
}

#[test]
fn trackers_hear_of_the_end_of_an_offer_that_they_know() {
    let mut world = World::with_trackers(&["a"]);
    world.schedule.handle_offer(hash(1), 0, &[], world.now);
    world.schedule.handle_offer(hash(2), 0, &[], world.now);
    world.run(MINUTE);
    world.log.clear();
    world.schedule.handle_withdrawal(hash(1));
    world.schedule.handle_offer(hash(3), 0, &[], world.now);
    world.schedule.handle_withdrawal(hash(3));
    world.run(MINUTE);
    assert_eq!(world.farewells(), [hash(1)]);
    world.schedule.handle_stop(world.now);
    world.run(MINUTE);
    assert_eq!(world.farewells(), [hash(1), hash(2)]);
    assert_eq!(world.log.len(), 2);
    assert!(world.schedule.is_idle());
}

#[test]
fn who_is_still_in_the_swarm_or_came_back_does_not_leave_it() {
    let mut world = World::with_trackers(&["a"]);
    world.schedule.handle_offer(hash(1), 0, &[], world.now);
    world.run(MINUTE);
    world.schedule.handle_withdrawal(hash(1));
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(MINUTE);
    world.schedule.handle_offer(hash(1), 0, &[], world.now);
    world.run(MINUTE);
    world.schedule.handle_end(hash(1));
    world.run(MINUTE);
    assert_eq!(world.events(), [AnnounceEvent::Started; 3]);
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(MINUTE);
    world.schedule.handle_stop(world.now);
    world.run(MINUTE);
    assert_eq!(world.farewells(), [hash(1)], "one farewell is enough");
}

#[test]
fn farewells_to_the_dead_are_left_out() {
    let now = Instant::now();
    let mut schedule = Schedule::new(means(vec![tracker("a")], false, false), now);
    schedule.handle_seek(hash(1), &[], now);
    let start = schedule.poll_task(now).expect("a start");
    schedule.handle_end(hash(1));
    schedule.handle_announced(&start, Announced::Failed(String::new()), 2, now);
    assert_eq!(schedule.poll_task(now), None);
    assert!(schedule.is_idle());
}

#[test]
fn trackers_of_strangers_are_not_remembered_for_ever() {
    let mut world = World::with_trackers(&["a"]);
    for number in 0..500 {
        let names: Vec<_> = (0..4).map(|tracker| format!("s{number}x{tracker}")).collect();
        let urls: Vec<_> = names.iter().map(|name| url(name)).collect();
        world.schedule.handle_seek(hash(number), &urls, world.now);
        world.run(Duration::from_secs(1));
        world.schedule.handle_end(hash(number));
        world.run(Duration::from_secs(1));
    }
    assert!(world.schedule.records.len() <= MAX_RECORDS + 8, "{}", world.schedule.records.len());
}

#[test]
fn an_offer_that_reached_nobody_is_repeated_soon() {
    let mut turn = DhtTurn::new(Instant::now());
    let start = Instant::now();
    turn.ended(Round::Missed, Supply::Enough, start);
    assert_eq!(turn.due, Some(start + Duration::from_secs(2)));
    turn.ended(Round::Missed, Supply::Enough, start);
    assert_eq!(turn.due, Some(start + Duration::from_secs(5)));
    turn.ended(Round::Announced, Supply::Enough, start);
    assert_eq!(turn.due, Some(start + Duration::from_mins(15)));
}
