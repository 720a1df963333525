//! Thousands of offers: within the budget in every window, the most worth first, and again after a restart.

use std::collections::BTreeMap;

use super::*;

const HOUR: Duration = Duration::from_hours(1);
const MANY: usize = 15_000;
const WALL: Duration = Duration::from_hours(500_000);

fn wall(world: &World) -> SystemTime {
    SystemTime::UNIX_EPOCH + WALL + (world.now - world.start)
}

fn holding(number: usize) -> World {
    holding_with(number, means(vec![tracker("a"), tracker("b")], true, true))
}

fn holding_with(number: usize, means: Means) -> World {
    let mut world = World::new(means);
    hold(&mut world.schedule, number, world.now);
    world
}

/// The higher the number, the newer.
fn hold(schedule: &mut Schedule, number: usize, now: Instant) {
    let since = |number: usize| u32::try_from(number).expect("few");
    schedule.handle_holdings((0..number).map(|number| (hash(number), since(number))).collect(), now);
}

fn dht_only() -> Means {
    means(Vec::new(), true, false)
}

fn packets(task: &Task) -> u32 {
    match task {
        Task::LookUp { .. } | Task::Meet { .. } => offers::LOOKUP_PACKETS,
        Task::Announce { .. } => offers::ANNOUNCE_PACKETS,
        Task::Search(_) => 0,
    }
}

fn announced(world: &World) -> Vec<InfoHash> {
    let hash = |task: &Task| match task {
        Task::LookUp { info_hash, .. } | Task::Announce { info_hash, .. } => Some(*info_hash),
        Task::Meet { .. } | Task::Search(_) => None,
    };
    world.log.iter().filter_map(|(_, task)| hash(task)).collect()
}

/// No window of any length holds more than the rate allows, and one burst.
fn assert_within_budget(log: &[(Duration, Task)], packets_per_second: u32) {
    let rate = f64::from(packets_per_second);
    // The fullest a bucket that leaks at that rate ever gets is the largest excess of any window.
    let (mut level, mut at, mut fullest) = (0_f64, Duration::ZERO, 0_f64);
    for (time, task) in log {
        level = (level - time.saturating_sub(at).as_secs_f64() * rate).max(0.0) + f64::from(packets(task));
        (at, fullest) = (*time, fullest.max(level));
    }
    assert!(fullest <= f64::from(offers::BURST) + 0.1, "{fullest}");
}

#[test]
fn a_day_with_thousands_of_offers_stays_within_the_budget_in_every_window() {
    let mut world = holding(MANY);
    world.run(24 * HOUR);
    assert_within_budget(&world.log, 5);
    let sent: u32 = world.log.iter().map(|(_, task)| packets(task)).sum();
    assert!(sent > 5 * 86_400 * 9 / 10, "the budget is there to be used: {sent}");
    let lookups = world.log.iter().filter(|(_, task)| matches!(task, Task::LookUp { .. })).count();
    let share = f64::from(u32::try_from(lookups).expect("few") * offers::LOOKUP_PACKETS) / f64::from(sent);
    assert!((0.3..0.4).contains(&share), "three ways share it: {share}");
    assert_eq!(world.schedule.announcing().packets, u64::from(sent));
}

#[test]
fn the_first_minute_has_no_burst_and_pays_for_what_the_dht_node_sends_for_itself() {
    for (before, after, upkeep) in [(0, 60, 0), (2, 58, 80), (30, 30, 100)] {
        let mut world = holding(MANY);
        world.run(Duration::from_secs(before));
        world.schedule.handle_upkeep(upkeep, world.now);
        world.run(Duration::from_secs(after));
        let announces: u32 = world.log.iter().map(|(_, task)| packets(task)).sum();
        let all = announces + upkeep;
        assert!((5 * 60 - offers::LOOKUP_PACKETS..=5 * 60).contains(&all), "{all}");
        assert_eq!(world.schedule.announcing().packets, u64::from(announces));
    }
}

#[test]
fn what_is_sought_does_not_wait_for_a_budget_in_debt() {
    let mut world = holding(MANY);
    world.schedule.handle_upkeep(5000, world.now);
    world.schedule.handle_seek(hash(1), &[], world.now);
    let tasks: Vec<_> = std::iter::from_fn(|| world.schedule.poll_task(world.now)).collect();
    assert!(tasks.contains(&Task::LookUp { info_hash: hash(1), purpose: Purpose::Seek }), "{tasks:?}");
}

#[test]
fn without_a_budget_nothing_that_is_held_is_announced_and_searches_go_on() {
    let mut world = holding_with(100, Means { announce_budget: 0, ..means(vec![tracker("a")], true, true) });
    world.run(HOUR);
    assert_eq!(world.log, []);
    world.schedule.handle_seek(hash(1), &[], world.now);
    world.run(MINUTE);
    assert!(!world.log.is_empty());
    assert_eq!(world.schedule.announcing(), Announcing { offers: 100, due: 0, packets: 0 });
}

#[test]
fn what_is_held_is_never_multicast() {
    let mut world = holding(100);
    world.run(HOUR);
    assert!(world.log.iter().all(|(_, task)| !matches!(task, Task::Search(_))));
}

#[test]
fn the_newest_stay_announced_and_each_fourth_turn_goes_through_all_others() {
    let mut world = holding_with(2000, dht_only());
    world.run(12 * HOUR);
    let mut last: BTreeMap<InfoHash, Duration> = BTreeMap::new();
    for (at, task) in &world.log {
        let Task::LookUp { info_hash, .. } = task else { panic!("there is nothing else: {task:?}") };
        last.insert(*info_hash, *at);
    }
    let stays = (0..2000).rev().take_while(|number| last.get(&hash(*number)).is_some_and(|at| *at > 11 * HOUR));
    let stays = stays.count();
    assert!((150..200).contains(&stays), "what three quarters of the budget keep announced: {stays}");
    assert!(last.len() > 10 * stays / 2, "{} were announced at least once", last.len());
}

#[test]
fn the_most_wanted_and_rarest_go_first() {
    let mut world = holding_with(1000, dht_only());
    world.schedule.handle_demand(&[(hash(7), 9), (hash(8), 90)]);
    world.run(Duration::from_secs(19));
    assert_eq!(announced(&world), [hash(8), hash(7), hash(999)]);
    // Nobody asks any more; and what the DHT says many have is not announced again before all others.
    world.schedule.handle_demand(&[]);
    let many = LookedUp { others: 500, ..ROUND };
    world.schedule.handle_looked_up(hash(8), Purpose::Offer, many, world.now);
    assert_eq!((world.schedule.rarity(&hash(8)), world.schedule.rarity(&hash(999))), (Some(500), Some(0)));
    assert_eq!(world.schedule.rarity(&hash(1)), None);
    world.log.clear();
    world.run(HOUR);
    assert!(announced(&world).contains(&hash(999)) && !announced(&world).contains(&hash(8)));
}

#[test]
fn trackers_intervals_are_kept_and_counts_tell_how_rare_a_package_is() {
    let mut world = holding_with(3, means(vec![tracker("a")], false, false));
    world.answer = |_| answered(10 * MINUTE, Some(40 * MINUTE));
    world.run(90 * MINUTE);
    assert_eq!(world.seconds().iter().map(|second| second / 60).collect::<Vec<_>>(), [0, 0, 0, 40, 40, 40, 80, 80, 80]);
    assert_eq!(world.schedule.rarity(&hash(1)), Some(1));
    assert_eq!(world.events()[..3], [AnnounceEvent::Started; 3]);
    assert_eq!(world.events()[3..], [AnnounceEvent::Regular; 6]);
}

#[test]
fn a_tracker_that_fails_or_refuses_is_not_asked_for_each_package() {
    for refuses in [false, true] {
        let mut world = holding_with(MANY, means(vec![tracker("a")], false, false));
        world.answer = if refuses {
            |_| Announced::Refused("unregistered".to_owned())
        } else {
            |_| Announced::Failed("silent".to_owned())
        };
        world.run(24 * HOUR);
        assert!(world.log.len() < 300, "{refuses}: {}", world.log.len());
        world.answer = half_an_hour;
        world.log.clear();
        world.run(3 * HOUR);
        assert!(world.log.len() > 1000, "{refuses}: it is back after {} announces", world.log.len());
    }
}

#[test]
fn a_node_that_reaches_nobody_is_tried_again_and_not_for_each_package() {
    let now = Instant::now();
    let mut schedule = Schedule::new(dht_only(), now);
    hold(&mut schedule, MANY, now);
    let (mut at, mut rounds) = (now, 0);
    while at < now + HOUR {
        if let Some(Task::LookUp { info_hash, purpose }) = schedule.poll_task(at) {
            schedule.handle_looked_up(info_hash, purpose, LookedUp::MISSED, at);
            rounds += 1;
        }
        at = schedule.poll_timeout().expect("something is due").max(at);
    }
    assert!((10..20).contains(&rounds), "{rounds}");
}

#[test]
fn a_restart_goes_on_where_it_was_and_sends_no_burst() {
    let mut world = holding(MANY);
    let mut told = BTreeMap::new();
    for _ in 0..10 {
        world.run(7 * MINUTE);
        let kept = world.schedule.keep(world.now, wall(&world)).expect("there was something new");
        let kept = Kept::read(&kept.write()).expect("just written");
        let mut next = Schedule::new(means(vec![tracker("a"), tracker("b")], true, true), world.now);
        next.handle_kept(kept, world.now, wall(&world));
        hold(&mut next, MANY, world.now);
        world.schedule = next;
    }
    let sent: u32 = world.log.iter().map(|(_, task)| packets(task)).sum();
    assert!(sent <= 5 * 70 * 60, "{sent}");
    for (at, task) in &world.log {
        let Task::Announce { info_hash, tracker, event, .. } = task else { continue };
        let before = told.insert((*info_hash, tracker.url.clone()), *at);
        assert_eq!(before.is_none(), *event == AnnounceEvent::Started, "{info_hash}");
        assert!(before.is_none_or(|before| *at >= before + 30 * MINUTE), "{info_hash} is announced too early");
    }
    assert!(told.len() > 1500, "{}", told.len());
}

#[test]
fn what_is_kept_outlives_a_run_that_offers_nothing() {
    let mut world = holding_with(5, dht_only());
    world.run(10 * MINUTE);
    let first = world.schedule.keep(world.now, wall(&world)).expect("there was something new");
    let mut second = Schedule::new(dht_only(), world.now);
    second.handle_kept(first.clone(), world.now, wall(&world));
    second.handle_offer(hash(77), 0, &[], world.now);
    let kept = second.keep(world.now, wall(&world)).expect("something new");
    assert_eq!(kept.ways[0].entries.len(), 5);
    let later = world.now + 2 * HOUR;
    second.handle_offer(hash(78), 0, &[], later);
    assert_eq!(second.keep(later, wall(&world)), Some(Kept::default()));
    assert_eq!(second.keep(later, wall(&world)), None, "nothing has changed");
}

#[test]
fn a_clock_that_jumped_does_no_harm() {
    let mut world = holding_with(300, means(vec![tracker("a")], true, false));
    world.run(HOUR);
    let kept = world.schedule.keep(world.now, wall(&world)).expect("there was something new");
    let years = Duration::from_hours(24 * 1000);
    let dates = [wall(&world) + years, wall(&world) - years, SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - years];
    for wall in dates {
        let mut other = World::new(means(vec![tracker("a")], true, false));
        other.schedule.handle_kept(kept.clone(), other.now, wall);
        hold(&mut other.schedule, 300, other.now);
        other.run(3 * HOUR);
        assert_within_budget(&other.log, 5);
        let told: std::collections::BTreeSet<_> = announced(&other).into_iter().collect();
        assert_eq!(told.len(), 300, "everything is announced again before long");
    }
}

#[test]
fn a_machine_that_slept_sends_no_burst() {
    let mut world = holding(MANY);
    world.run(2 * HOUR);
    world.log.clear();
    world.now += 30 * HOUR;
    let woken = world.now - world.start;
    world.run(2 * HOUR);
    assert_within_budget(&world.log, 5);
    assert!(world.log.first().is_some_and(|(at, _)| *at == woken), "and none of it waits");
}

#[test]
fn trackers_of_strangers_hear_of_their_own_packages_only_and_still_after_a_restart() {
    let mut world = holding_with(50, means(vec![tracker("a")], false, false));
    world.schedule.handle_offer(hash(3), 3, &[url("s")], world.now);
    let strangers = |world: &World| -> Vec<InfoHash> {
        let asked = |task: &Task| match task {
            Task::Announce { info_hash, tracker, .. } if tracker.url == url("s") => Some(*info_hash),
            Task::Announce { .. } | Task::LookUp { .. } | Task::Meet { .. } | Task::Search(_) => None,
        };
        world.log.iter().filter_map(|(_, task)| asked(task)).collect()
    };
    world.run(HOUR);
    assert_eq!(strangers(&world), [hash(3); 2]);
    let kept = world.schedule.keep(world.now, wall(&world)).expect("there was something new");
    world.schedule = Schedule::new(means(vec![tracker("a")], false, false), world.now);
    world.schedule.handle_kept(kept, world.now, wall(&world));
    hold(&mut world.schedule, 50, world.now);
    world.run(HOUR);
    assert_eq!(strangers(&world), [hash(3); 4]);
}

#[test]
fn only_so_many_trackers_of_strangers_are_announced_to() {
    let mut world = World::with_trackers(&[]);
    for number in 0..100 {
        let names: Vec<_> = (0..9).map(|tracker| url(&format!("s{number}x{tracker}"))).collect();
        world.schedule.handle_offer(hash(number), 0, &names, world.now);
    }
    world.run(20 * MINUTE);
    assert_eq!(world.log.len(), 16);
    for number in 0..100 {
        world.schedule.handle_withdrawal(hash(number));
    }
    world.schedule.handle_offer(hash(100), 0, &[url("another")], world.now);
    world.log.clear();
    world.run(20 * MINUTE);
    let told = |task: &Task| matches!(task, Task::Announce { tracker, .. } if tracker.url == url("another"));
    assert!(world.log.iter().any(|(_, task)| told(task)), "an unused one makes room");
}

#[test]
fn what_is_held_no_more_leaves_its_trackers_within_the_budget() {
    let mut world = holding_with(MANY, means(vec![tracker("a")], false, false));
    world.run(30 * MINUTE);
    let told = world.log.len();
    world.schedule.handle_holdings(vec![(hash(1), 1)], world.now);
    world.log.clear();
    world.run(HOUR);
    assert_within_budget(&world.log, 5);
    let farewells = world.farewells().len();
    assert!(farewells == 500 && told > farewells, "{farewells} of {told}: the tracker forgets the others by itself");
    assert_eq!(world.schedule.announcing().offers, 1);
    hold(&mut world.schedule, 50, world.now);
    assert_eq!(world.schedule.announcing().offers, 50);
}

#[test]
fn a_stop_says_few_farewells_and_the_next_run_begins_with_these() {
    let mut world = holding_with(100, means(vec![tracker("a")], false, false));
    world.run(10 * MINUTE);
    world.schedule.handle_stop(world.now);
    let kept = world.schedule.keep(world.now, wall(&world)).expect("there was something new");
    world.log.clear();
    world.run(MINUTE);
    let left = world.farewells();
    assert_eq!(left.len(), 10);
    assert!(world.schedule.is_idle() && left.contains(&hash(99)));
    let told = kept.ways[0].entries.iter().filter(|entry| entry.is_told).count();
    assert_eq!((kept.ways[0].entries.len(), told), (100, 90));
    let mut next = Schedule::new(means(vec![tracker("a")], false, false), world.now);
    next.handle_kept(kept, world.now, wall(&world));
    hold(&mut next, 100, world.now);
    world.schedule = next;
    world.log.clear();
    world.run(MINUTE);
    assert_eq!(world.events(), [AnnounceEvent::Started; 10]);
}

#[test]
fn offers_beyond_the_limit_are_left_out_and_those_are_the_oldest() {
    let world = holding_with(20_500, dht_only());
    assert_eq!(world.schedule.announcing().offers, 20_000);
    let mut schedule = world.schedule;
    schedule.handle_looked_up(hash(20_499), Purpose::Offer, ROUND, world.now);
    schedule.handle_looked_up(hash(3), Purpose::Offer, ROUND, world.now);
    assert_eq!((schedule.rarity(&hash(20_499)), schedule.rarity(&hash(3))), (Some(0), None));
}

#[test]
fn offers_wait_for_what_is_sought_and_hold_nothing_up() {
    let start = Instant::now();
    let mut schedule = Schedule::new(means(vec![tracker("a")], true, false), start);
    hold(&mut schedule, 100, start);
    // By then the budget has saved a burst up.
    let now = start + MINUTE;
    let offers: Vec<_> = std::iter::from_fn(|| schedule.poll_task(now)).collect();
    assert!(!offers.is_empty());
    // The very swarms that are being offered are sought: nothing of that waits.
    for offer in &offers {
        let (Task::Announce { info_hash, .. } | Task::LookUp { info_hash, .. }) = offer else { panic!("{offer:?}") };
        schedule.handle_seek(*info_hash, &[], now);
    }
    let sought: Vec<_> = std::iter::from_fn(|| schedule.poll_task(now)).collect();
    let (lookups, announces): (Vec<_>, Vec<_>) = sought.iter().partition(|task| matches!(task, Task::LookUp { .. }));
    let swarms: std::collections::BTreeSet<_> =
        offers.iter().map(|task| format!("{task:?}")[..40].to_owned()).collect();
    assert!(!swarms.is_empty() && !lookups.is_empty() && lookups.len() == announces.len());
    let later = now + HOUR;
    let idle: Vec<_> = std::iter::from_fn(|| schedule.poll_task(later)).collect();
    assert_eq!(idle, [], "offers wait until these have ended");
}
