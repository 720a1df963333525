use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::*;

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
const MIB: u64 = 1024 * 1024;

/// A package as the repository has it at the moment.
#[derive(Debug, Clone)]
struct Listed {
    name: String,
    version: u32,
    size: u64,
    built: u64,
    demand: f64,
    others: Option<u32>,
    in_cache: bool,
}

impl Listed {
    fn id(&self) -> PackageId {
        let file_name = format!("{}-{}-1-any.pkg.tar", self.name, self.version).parse().expect("a package's name");
        let sha256 = Sha256::of(format!("{} {}", self.name, self.version).as_bytes());
        PackageId { file_name, size: self.size, sha256 }
    }
}

/// One machine, its repository and its disk.
struct World {
    plan: Plan,
    now: SystemTime,
    repository: Vec<Listed>,
    is_readable: bool,
    ours: BTreeMap<String, PackageId>,
    /// What was done, in order.
    fetched: Vec<(SystemTime, String)>,
    dropped: Vec<(SystemTime, String)>,
    /// Names that cannot be had.
    broken: BTreeSet<String>,
    heard: BTreeMap<String, u32>,
    rng: SmallRng,
}

impl World {
    fn new(order: Order, budget: u64, packages: usize) -> Self {
        let mut rng = SmallRng::seed_from_u64(7);
        let listed = |number: usize, rng: &mut SmallRng| Listed {
            name: format!("package{number}"),
            version: 1,
            size: rng.random_range(MIB / 10..10 * MIB),
            built: rng.random_range(0..1_000_000),
            demand: f64::from(rng.random_range(0..20_u32)),
            others: None,
            in_cache: false,
        };
        let repository = (0..packages).map(|number| listed(number, &mut rng)).collect();
        let goal = Goal { budget, order, spread: DAY };
        Self {
            plan: Plan::new(goal, Pace::new(42)),
            now: SystemTime::UNIX_EPOCH + 20_000 * DAY,
            repository,
            is_readable: true,
            ours: BTreeMap::new(),
            fetched: Vec::new(),
            dropped: Vec::new(),
            broken: BTreeSet::new(),
            heard: BTreeMap::new(),
            rng,
        }
    }

    fn look(&mut self) {
        let mut ours = self.ours.clone();
        let listed = self.repository.iter().filter(|_| self.is_readable);
        let candidate = |one: &Listed| {
            let id = one.id();
            let is_ours = ours.remove(id.file_name.as_str()).is_some();
            let place = match is_ours {
                true => Place::Ours,
                false if one.in_cache => Place::Elsewhere,
                false => Place::Missing,
            };
            let (demand, built, others) = (one.demand, one.built, self.heard.get(&one.name).copied());
            Candidate { id, repository: "core".into(), built, demand, others, place }
        };
        let candidates = listed.map(candidate).collect();
        let fate = if self.is_readable { Fate::Fallen } else { Fate::Unknown };
        let others = ours.into_values().map(|id| (id, fate)).collect();
        self.plan.handle_look(Look { candidates, others }, self.now);
    }

    /// Lets time pass, with a look every hour.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut look = self.now;
        while self.now < end {
            if self.now >= look {
                self.look();
                look = self.now + HOUR;
            }
            self.act(look.min(end));
            assert_eq!(self.plan.held().bytes, self.bytes(), "the plan's idea of what it holds");
        }
    }

    fn act(&mut self, until: SystemTime) {
        match self.plan.poll(self.now) {
            Step::Drop(id) => {
                assert!(self.ours.remove(id.file_name.as_str()).is_some(), "only what is ours is dropped");
                self.dropped.push((self.now, id.file_name.to_string()));
            }
            Step::Fetch(wish) if self.broken.contains(wish.id.file_name.package_name()) => {
                self.fetched.push((self.now, wish.id.file_name.to_string()));
                self.plan.handle_failure(&wish.id, self.now);
            }
            Step::Fetch(wish) => {
                self.fetched.push((self.now, wish.id.file_name.to_string()));
                self.now += Duration::from_secs(2);
                self.plan.handle_arrived(&wish.id, self.now);
                self.ours.insert(wish.id.file_name.to_string(), wish.id);
                assert!(self.bytes() <= self.plan.goal.budget, "more than the budget");
            }
            Step::Wait(next) => self.now = next.filter(|next| *next > self.now).map_or(until, |next| next.min(until)),
        }
    }

    fn bytes(&self) -> u64 {
        self.ours.values().map(|id| id.size).sum()
    }

    /// So many packages get a new version, of about the same size.
    fn release(&mut self, packages: usize) -> Vec<String> {
        self.repository.shuffle(&mut self.rng);
        let mut released = Vec::new();
        for one in &mut self.repository[..packages] {
            one.version += 1;
            one.built += 2_000_000;
            one.size = (one.size + one.size / 50).max(1);
            released.push(one.id().file_name.to_string());
        }
        released
    }

    fn fetches_of(&self, file_name: &str) -> usize {
        self.fetched.iter().filter(|(_, name)| name == file_name).count()
    }
}

#[test]
fn all_of_a_repository_that_fits_is_there_within_the_day_and_each_package_was_fetched_once() {
    let mut world = World::new(Order::All, u64::MAX, 300);
    world.pass(DAY);
    assert_eq!((world.ours.len(), world.fetched.len(), world.plan.next()), (300, 300, None));
    let span = world.fetched[299].0.duration_since(world.fetched[0].0).expect("in order");
    assert!(span > 8 * HOUR, "{span:?}");
    world.pass(5 * DAY);
    assert_eq!((world.fetched.len(), world.dropped.len()), (300, 0));
}

#[test]
fn weeks_of_new_versions_are_followed_within_the_budget() {
    for order in [Order::Wanted, Order::Rare, Order::Newest, Order::All] {
        let mut world = World::new(order, 800 * MIB, 300);
        world.pass(2 * DAY);
        for day in 0..14 {
            let released = world.release(10);
            world.pass(DAY);
            for file_name in world.fetched.iter().map(|(_, name)| name) {
                assert!(world.fetches_of(file_name) == 1, "{order:?}: {file_name} was fetched twice by day {day}");
            }
            let listed: BTreeSet<_> = world.repository.iter().map(|one| one.id().file_name.to_string()).collect();
            assert!(world.ours.keys().all(|name| listed.contains(name)), "{order:?}: an old version is left");
            assert!(order != Order::Newest || released.iter().all(|name| world.ours.contains_key(name)));
            let used = world.bytes();
            assert!(used > 700 * MIB, "{order:?}: only {} MiB are used", used / MIB);
        }
        // Per new version one package comes at most, and now and then another one for want of room.
        let more = world.fetched.len().saturating_sub(world.dropped.len());
        assert_eq!(more, world.ours.len(), "{order:?}");
        assert!(world.dropped.len() < 14 * 20, "{order:?}: {} were dropped", world.dropped.len());
    }
}

#[test]
fn moods_of_those_who_ask_do_not_make_it_fetch_and_drop_the_same() {
    let mut world = World::new(Order::Wanted, 400 * MIB, 300);
    let usual: Vec<f64> = world.repository.iter().map(|one| one.demand).collect();
    world.pass(3 * DAY);
    let before = world.fetched.len();
    for _ in 0..30 * 24 {
        for (one, usual) in world.repository.iter_mut().zip(&usual) {
            one.demand = usual * world.rng.random_range(0.85..1.15);
        }
        world.pass(HOUR);
    }
    assert_eq!((world.fetched.len(), world.dropped.len()), (before, 0));
    // What has really become wanted comes, once.
    let missing = |world: &World| {
        let is_missing = |one: &Listed| !world.ours.contains_key(one.id().file_name.as_str());
        world.repository.iter().position(is_missing).expect("not all fit")
    };
    let at = missing(&world);
    world.repository[at].demand = 100.0;
    world.pass(3 * DAY);
    let name = world.repository[at].id().file_name.to_string();
    assert!(world.ours.contains_key(&name) && world.fetches_of(&name) == 1);
    assert!(world.dropped.len() < 20, "{}", world.dropped.len());
}

#[test]
fn what_turns_out_to_be_common_gives_way_to_what_may_be_rare_and_the_set_comes_to_rest() {
    let mut world = World::new(Order::Rare, 400 * MIB, 300);
    for (number, one) in world.repository.iter_mut().enumerate() {
        one.others = Some(if number % 3 == 0 { 100 } else { 2 });
    }
    let mut fetched_late = 0;
    for day in 0..40 {
        let before = world.fetched.len();
        world.pass(DAY);
        // The driver remembers what was heard of them while they were here.
        for one in world.repository.iter().filter(|one| world.ours.contains_key(one.id().file_name.as_str())) {
            world.heard.insert(one.name.clone(), one.others.expect("set above"));
        }
        fetched_late += if day >= 30 { world.fetched.len() - before } else { 0 };
    }
    let is_common = |one: &&Listed| one.others == Some(100);
    let held = world.repository.iter().filter(|one| world.ours.contains_key(one.id().file_name.as_str()));
    // A few small ones still find room.
    assert!(held.filter(is_common).count() < 10);
    assert_eq!(fetched_late, 0);
}

#[test]
fn a_smaller_budget_drops_the_least_worth_at_once_and_a_larger_one_fetches_them_again() {
    let mut world = World::new(Order::Newest, 1 << 40, 100);
    world.pass(DAY);
    let all = world.bytes();
    world.plan.set_goal(Goal { budget: all / 2, ..world.plan.goal });
    world.pass(Duration::from_secs(1));
    assert!(world.bytes() <= all / 2 && world.bytes() > all / 3);
    let oldest_held = world.repository.iter().filter(|one| world.ours.contains_key(one.id().file_name.as_str()));
    let oldest_held = oldest_held.map(|one| one.built).min().expect("half of them");
    let newest_dropped = world.dropped.iter().filter_map(|(_, name)| {
        world.repository.iter().find(|one| one.id().file_name.as_str() == name).map(|one| one.built)
    });
    let older = newest_dropped.filter(|built| *built < oldest_held).count();
    assert!(older * 10 > world.dropped.len() * 8, "{older} of {}", world.dropped.len());
    world.plan.set_goal(Goal { budget: 1 << 40, ..world.plan.goal });
    world.pass(DAY);
    assert_eq!(world.ours.len(), 100);
}

#[test]
fn an_unreadable_database_drops_nothing_and_what_is_in_the_cache_is_left_there() {
    let mut world = World::new(Order::All, 1 << 40, 20);
    world.repository[3].in_cache = true;
    world.pass(DAY);
    assert_eq!(world.ours.len(), 19);
    world.is_readable = false;
    world.pass(DAY);
    assert_eq!((world.ours.len(), world.plan.held().packages, world.dropped.len()), (19, 19, 0));
    world.is_readable = true;
    world.repository[3].in_cache = false;
    world.pass(DAY);
    assert_eq!((world.ours.len(), world.dropped.len()), (20, 0));
}

#[test]
fn a_database_change_drops_the_old_version_at_once_and_brings_the_new_one() {
    let mut world = World::new(Order::All, 1 << 40, 20);
    world.pass(DAY);
    let released = world.release(1);
    world.look();
    world.act(world.now);
    assert_eq!((world.dropped.len(), world.ours.len()), (1, 19));
    world.pass(DAY);
    assert!(world.ours.contains_key(&released[0]));
    assert_eq!((world.dropped.len(), world.ours.len()), (1, 20));
}

#[test]
fn what_cannot_be_had_is_tried_ever_more_rarely_and_holds_nothing_up() {
    let mut world = World::new(Order::Newest, 1 << 40, 50);
    let newest = world.repository.iter().max_by_key(|one| one.built).expect("fifty").name.clone();
    world.broken.insert(newest.clone());
    world.pass(DAY);
    assert_eq!(world.ours.len(), 49);
    let name = format!("{newest}-1-1-any.pkg.tar");
    let tries = world.fetches_of(&name);
    assert!((2..10).contains(&tries), "{tries}");
    world.pass(10 * DAY);
    let later = world.fetches_of(&name) - tries;
    assert!((5..=11).contains(&later), "{later}");
    world.broken.clear();
    world.pass(2 * DAY);
    assert_eq!((world.ours.len(), world.plan.next()), (50, None));
}

#[test]
fn with_every_mirror_gone_there_are_few_tries_and_it_recovers() {
    let mut world = World::new(Order::All, 1 << 40, 200);
    world.broken = world.repository.iter().map(|one| one.name.clone()).collect();
    world.pass(2 * DAY);
    assert!((5..40).contains(&world.fetched.len()), "{}", world.fetched.len());
    world.broken.clear();
    world.pass(3 * DAY);
    assert_eq!(world.ours.len(), 200);
}

#[test]
fn after_a_restart_the_set_stays_as_it_is() {
    let mut world = World::new(Order::Wanted, 400 * MIB, 300);
    world.pass(2 * DAY);
    let before = world.ours.clone();
    world.plan = Plan::new(world.plan.goal, world.plan.pace().clone());
    world.pass(2 * DAY);
    assert!(world.ours == before && world.dropped.is_empty());
}

#[test]
fn a_package_that_a_client_took_over_is_tried_again_when_nobody_waits() {
    let mut world = World::new(Order::All, 1 << 40, 1);
    world.look();
    world.now = world.plan.next().expect("one is missing");
    let Step::Fetch(wish) = world.plan.poll(world.now) else { panic!("it is due") };
    assert!(world.plan.next() > Some(world.now), "the next one is not due at once");
    world.plan.handle_interruption(world.now);
    assert_eq!(world.plan.poll(world.now), Step::Fetch(wish.clone()));
    world.plan.handle_no_room(world.now);
    let next = world.plan.next();
    assert!(next >= Some(world.now + DAY / PAUSE));
    assert_eq!(world.plan.poll(world.now), Step::Wait(next));
    world.plan.handle_gone(&wish.id, world.now);
    assert_eq!((world.plan.poll(world.now), world.plan.wanted()), (Step::Wait(None), 1));
}
