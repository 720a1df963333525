//! Clubs: found soon, within the budget, and looked for seldom once there are neighbours.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

fn dht_only() -> Means {
    means(Vec::new(), true, false)
}

fn meeting(clubs: usize, means: Means) -> World {
    let mut world = World::new(means);
    (0..clubs).for_each(|club| world.schedule.handle_meet(hash(club), world.now));
    world
}

fn rounds(world: &World) -> Vec<u64> {
    let rounds = world.log.iter().filter(|(_, task)| is_round(task));
    rounds.map(|(at, _)| at.as_secs()).collect()
}

fn is_round(task: &Task) -> bool {
    matches!(task, Task::Meet { .. })
}

fn packets(world: &World) -> u32 {
    let sent = world.log.iter().map(|(_, task)| match task {
        Task::LookUp { .. } | Task::Meet { .. } => offers::LOOKUP_PACKETS,
        Task::Announce { .. } => offers::ANNOUNCE_PACKETS,
        Task::Search(hashes) => 2 * u32::try_from(hashes.len()).expect("few"),
    });
    sent.sum()
}

fn hold(world: &mut World) {
    world.schedule.handle_holdings((1000..16_000).map(|number| (hash(number), 0)).collect(), world.now);
}

fn company(neighbours: usize) -> Company {
    Company { neighbours, places: 64 - neighbours }
}

#[test]
fn who_is_alone_looks_soon_and_then_with_growing_gaps() {
    let mut world = meeting(1, dht_only());
    world.run(HOUR);
    let paid = [0, 16, 31, 91, 391, 1291, 2191, 3091];
    assert!(rounds(&world).iter().zip(paid).all(|(at, wanted)| at.abs_diff(wanted) < 10), "{:?}", rounds(&world));
    assert_eq!(rounds(&world).len(), paid.len());
}

#[test]
fn with_neighbours_a_round_is_as_rare_as_an_announce_and_rarer_where_nobody_needs_one() {
    for (neighbours, round, wanted) in
        [(1, Round::Announced, 96), (12, Round::Announced, 58), (12, Round::Unneeded, 1), (3, Round::Unneeded, 96)]
    {
        let mut world = World::new(dht_only());
        world.schedule.handle_company(company(neighbours), world.now);
        world.met = LookedUp { round, ..ROUND };
        world.schedule.handle_meet(hash(1), world.now);
        world.run(Duration::from_secs(86_399));
        assert_eq!(rounds(&world).len(), wanted, "{neighbours} neighbours, {round:?}");
    }
}

#[test]
fn the_first_minute_and_every_hour_stay_within_the_budget_with_all_that_is_held() {
    for clubs in [1, 3, 10] {
        let mut world = meeting(clubs, means(vec![tracker("a")], true, true));
        hold(&mut world);
        world.met = LookedUp::MISSED;
        world.run(SECOND);
        // Now the node knows others, whom it had to meet first.
        let upkeep = 100;
        world.schedule.handle_upkeep(upkeep, world.now);
        (world.met, world.log) = (ROUND, world.log.into_iter().filter(|(_, task)| !is_round(task)).collect());
        world.run(59 * SECOND);
        let minute = packets(&world) + upkeep;
        assert!(minute <= 5 * 60, "{clubs} clubs: {minute} packets in the first minute");
        world.run(HOUR);
        let hour = packets(&world) + upkeep - minute;
        assert!((5 * 3600 * 9 / 10..=5 * 3600 + 40).contains(&hour), "{clubs} clubs: {hour} packets in an hour");
        let own = rounds(&world).len();
        assert!(own >= 7 * clubs, "{clubs} clubs: {own} rounds");
    }
}

#[test]
fn clubs_alone_cost_little_in_an_idle_hour() {
    let mut world = meeting(3, means(vec![tracker("a")], true, true));
    world.schedule.handle_company(company(5), world.now);
    world.run(2 * MINUTE);
    let before = packets(&world);
    world.run(HOUR);
    let hour = packets(&world) - before;
    // Each: 4 rounds, 2 announces, 12 searches.
    assert_eq!(hour, 3 * (4 * 30 + 2 * 4 + 12 * 2));
}

#[test]
fn offers_wait_for_clubs_and_clubs_for_no_offer() {
    let mut world = World::new(dht_only());
    hold(&mut world);
    world.run(HOUR);
    world.log.clear();
    (0..5).for_each(|club| world.schedule.handle_meet(hash(club), world.now));
    world.run(SECOND);
    assert_eq!(rounds(&world).len(), 5, "the first rounds are in advance of the budget");
    world.run(20 * SECOND);
    let offered = world.log.iter().filter(|(_, task)| matches!(task, Task::LookUp { .. })).count();
    assert_eq!(offered, 0, "which they have used up");
    world.run(MINUTE);
    assert!(world.log.iter().any(|(_, task)| matches!(task, Task::LookUp { .. })));
}

#[test]
fn few_rounds_are_under_way_at_once_and_searches_do_not_wait_for_them() {
    let now = Instant::now();
    let mut schedule = Schedule::new(means(vec![tracker("a")], true, false), now);
    (0..20).for_each(|club| schedule.handle_meet(hash(club), now));
    let tasks: Vec<_> = std::iter::from_fn(|| schedule.poll_task(now)).collect();
    let rounds = tasks.iter().filter(|task| matches!(task, Task::Meet { .. })).count();
    assert_eq!((rounds, tasks.len() - rounds), (3, 8));
    schedule.handle_seek(hash(50), &[], now);
    let tasks: Vec<_> = std::iter::from_fn(|| schedule.poll_task(now)).collect();
    assert!(tasks.contains(&Task::LookUp { info_hash: hash(50), purpose: Purpose::Seek }), "{tasks:?}");
    assert_eq!(tasks.len(), 2);
}

#[test]
fn a_node_that_knows_somebody_after_some_seconds_finds_neighbours_then() {
    let mut world = meeting(2, dht_only());
    world.met = LookedUp::MISSED;
    world.run(Duration::from_millis(3500));
    let tries = rounds(&world).len();
    world.met = ROUND;
    world.schedule.handle_upkeep(140, world.now);
    world.run(3 * SECOND);
    assert!(rounds(&world).len() == tries + 2, "{:?}: both at once, whatever meeting nodes has cost", rounds(&world));
    world.met = LookedUp::MISSED;
    world.run(HOUR);
    assert!(rounds(&world).len() < 60, "{:?}", rounds(&world));
}

#[test]
fn nodes_that_are_silent_are_asked_within_the_budget() {
    let mut world = meeting(3, dht_only());
    world.met = LookedUp { packets: 24, ..LookedUp::MISSED };
    world.run(MINUTE);
    assert!(24 * rounds(&world).len() <= 5 * 60, "{:?}", rounds(&world));
}

#[test]
fn another_network_begins_again_and_one_that_comes_and_goes_does_not_each_time() {
    let mut world = meeting(1, means(Vec::new(), true, true));
    world.run(HOUR);
    world.log.clear();
    world.schedule.handle_new_links(world.now);
    let is_search = |(_, task): &(Duration, Task)| matches!(task, Task::Search(_));
    world.run(SECOND);
    assert_eq!((rounds(&world).len(), world.log.iter().filter(|task| is_search(task)).count()), (1, 1));
    world.log.clear();
    for _ in 0..360 {
        world.schedule.handle_new_links(world.now);
        world.run(10 * SECOND);
    }
    let often = rounds(&world).len();
    assert!((60..=120).contains(&often), "{often} rounds in an hour");
}

#[test]
fn who_loses_its_neighbours_looks_for_others_but_not_each_time() {
    let mut world = meeting(1, dht_only());
    world.schedule.handle_company(company(20), world.now);
    world.run(10 * MINUTE);
    world.log.clear();
    world.schedule.handle_company(company(0), world.now);
    world.run(SECOND);
    assert_eq!(rounds(&world).len(), 1);
    world.run(HOUR);
    world.log.clear();
    for count in 0..360 {
        world.schedule.handle_company(company(12 - count % 2), world.now);
        world.run(10 * SECOND);
    }
    assert!(rounds(&world).len() <= 13, "{:?}", rounds(&world));
}

#[test]
fn who_is_not_needed_is_not_announced_unless_it_seems_to_be_told_lies() {
    let mut world = meeting(1, dht_only());
    world.run(HOUR);
    let told: Vec<u32> = world
        .log
        .iter()
        .filter_map(|(_, task)| if let Task::Meet { tell_below, .. } = task { Some(*tell_below) } else { None })
        .collect();
    assert_eq!(told[..3], [300, 300, u32::MAX]);
    world.schedule.handle_company(Company { neighbours: 60, places: 4 }, world.now);
    world.run(HOUR);
    assert!(matches!(world.log.last(), Some((_, Task::Meet { tell_below: 0, .. }))), "{:?}", world.log.last());
}

#[test]
fn trackers_hear_of_a_club_at_their_interval_and_when_we_leave_it() {
    let mut world = meeting(1, means(vec![tracker("a")], false, false));
    world.run(61 * MINUTE);
    assert_eq!(world.seconds(), [0, 1800, 3600]);
    world.schedule.handle_parting(hash(0));
    world.run(MINUTE);
    assert_eq!(world.farewells(), [hash(0)]);
    world.schedule.handle_meet(hash(7), world.now);
    world.run(MINUTE);
    world.schedule.handle_stop(world.now);
    world.run(MINUTE);
    assert_eq!(world.farewells(), [hash(0), hash(7)]);
    assert!(world.schedule.is_idle());
}

#[test]
fn without_a_budget_clubs_are_looked_for_all_the_same() {
    let mut world = meeting(1, Means { announce_budget: 0, ..dht_only() });
    world.run(HOUR);
    assert_eq!(rounds(&world), [0, 5, 20, 80, 380, 1280, 2180, 3080]);
}
