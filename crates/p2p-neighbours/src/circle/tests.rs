use super::known::{FIRST_WAIT, LONGEST_WAIT, MOST_KNOWN};
use super::memory::MOST_REMEMBERED;
use super::pace::{DIALS_A_SECOND, SPREAD};
use super::places::{DIAL_TIMEOUT, MOST_HALF_OPEN};
use super::*;

mod events;
mod flood;
mod herd;
mod places;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// What becomes of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answers,
    Fails,
    /// Nothing is ever heard of it.
    Vanishes,
}

/// A circle, its clock, and a network in which every dial has its fate at once.
struct World {
    circle: Circle,
    now: Instant,
    dials: Vec<(Instant, SocketAddr)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let circle = Circle::new(CircleOptions { seed, ..CircleOptions::default() });
        Self { circle, now: Instant::now(), dials: Vec::new() }
    }

    fn hear(&mut self, address: SocketAddr, origin: Origin) {
        self.circle.handle_heard(address, origin, is_private(&address), self.now);
    }

    fn call(&mut self, address: SocketAddr) -> Stay {
        self.circle.handle_connected(address, Direction::Incoming, is_private(&address), self.now)
    }

    fn lose(&mut self, address: SocketAddr) {
        self.circle.handle_left(address, Left::Broken, self.now);
    }

    /// Lets so much time pass; returns who was dialled.
    fn run(&mut self, time: Duration, fate: impl Fn(&SocketAddr) -> Fate) -> Vec<SocketAddr> {
        let (end, first) = (self.now + time, self.dials.len());
        loop {
            while let Some(address) = self.circle.poll_dial(self.now) {
                assert!(!self.is_here(&address), "{address} is here already");
                self.dials.push((self.now, address));
                match fate(&address) {
                    Fate::Answers => {
                        let is_local = is_private(&address);
                        self.circle.handle_connected(address, Direction::Outgoing, is_local, self.now);
                    }
                    Fate::Fails => self.circle.handle_failed(address, self.now),
                    Fate::Vanishes => (),
                }
            }
            let next = self.circle.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "the circle is in a hurry and does nothing");
            match next.filter(|next| *next < end) {
                Some(next) => self.now = next,
                None => break,
            }
        }
        self.now = end;
        self.dials[first..].iter().map(|(_, address)| *address).collect()
    }

    fn is_here(&self, address: &SocketAddr) -> bool {
        self.circle.places.get(address).is_some()
    }

    fn knows(&self, address: &SocketAddr) -> bool {
        self.circle.origin(address).is_some()
    }

    /// How long after `start` the dials were made.
    fn dials_after(&self, start: Instant) -> Vec<Duration> {
        let later = self.dials.iter().filter(|(at, _)| *at >= start);
        later.map(|(at, _)| *at - start).collect()
    }
}

fn is_private(address: &SocketAddr) -> bool {
    !is_global(address.ip())
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// One in each /16.
fn stranger(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([20 + high, low, 0, 1], 6881))
}

/// Those of one /16.
fn relative(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([198, 51, high, low], 6881))
}

fn local(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, number], 6881))
}

/// The most of these moments, in order, that lie within any second.
fn most_within(moments: &[Duration]) -> usize {
    let within = |first: &Duration| moments.iter().filter(|at| (*first..*first + SECOND).contains(at)).count();
    moments.iter().map(within).max().unwrap_or(0)
}

fn answers(_: &SocketAddr) -> Fate {
    Fate::Answers
}

fn fails(_: &SocketAddr) -> Fate {
    Fate::Fails
}

#[test]
fn configured_addresses_come_first_then_the_lan_then_former_neighbours() {
    let mut world = World::new(1);
    (0..5).for_each(|number| world.hear(stranger(number), Origin::Dht));
    world.hear(stranger(100), Origin::Remembered);
    world.hear(local(1), Origin::Lan);
    world.hear(address("203.0.113.1:1"), Origin::Configured);
    let dials = world.run(10 * SECOND, answers);
    assert_eq!(dials[..3], [address("203.0.113.1:1"), local(1), stranger(100)]);
    assert_eq!(dials.len(), 8);
}

#[test]
fn networks_of_which_we_have_the_fewest_come_first() {
    let mut world = World::new(2);
    (0..30).for_each(|number| world.hear(relative(number), Origin::Tracker));
    (0..10).for_each(|number| world.hear(stranger(number), Origin::Dht));
    let dials = world.run(HOUR, |address| if *address == stranger(3) { Fate::Fails } else { Fate::Answers });
    assert_eq!(dials.iter().filter(|dial| is_relative(dial)).count(), 24 - 9);
    let third = dials.iter().enumerate().filter(|(_, dial)| is_relative(dial)).nth(2).expect("a third").0;
    assert!((0..10).all(|number| dials[..third].contains(&stranger(number))), "all others are tried before");
    assert_eq!(dials[..third].iter().filter(|dial| **dial == stranger(3)).count(), 2, "one that failed once is, too");
}

fn is_relative(address: &SocketAddr) -> bool {
    address.to_string().starts_with("198.51.")
}

#[test]
fn twenty_four_strangers_are_enough_and_then_nothing_is_left_to_do() {
    let mut world = World::new(3);
    (0..200).for_each(|number| world.hear(stranger(number), Origin::Dht));
    assert_eq!(world.run(HOUR, answers).len(), MOST_DIALLED);
    assert_eq!(world.circle.poll_timeout(), None);
    (1..100).for_each(|number| world.hear(local(number), Origin::Lan));
    assert_eq!(world.run(HOUR, answers).len(), 32);
    assert_eq!(world.circle.poll_timeout(), None);
}

#[test]
fn each_failure_doubles_the_wait_up_to_half_an_hour() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.hear(stranger(1), Origin::Configured);
        for failure in 0..12 {
            assert_eq!(world.circle.poll_dial(world.now), Some(stranger(1)));
            world.circle.handle_failed(stranger(1), world.now);
            let wait = world.circle.poll_timeout().expect("another try") - world.now;
            let expected = (FIRST_WAIT * (1 << failure)).min(LONGEST_WAIT);
            assert!((expected.mul_f64(0.75)..=expected.mul_f64(1.25)).contains(&wait), "{failure}: {wait:?}");
            world.now += wait.mul_f64(0.999);
            assert_eq!(world.circle.poll_dial(world.now), None);
            world.now += wait.mul_f64(0.002);
        }
    }
}

#[test]
fn who_comes_and_goes_waits_longer_and_who_stayed_a_minute_begins_anew() {
    let mut world = World::new(4);
    world.hear(stranger(1), Origin::Dht);
    let lose_after = |world: &mut World, time| {
        assert_eq!(world.run(time, answers), [stranger(1)]);
        world.lose(stranger(1));
        let wait = world.circle.poll_timeout().expect("another try") - world.now;
        world.now += wait;
        wait
    };
    let waits: Vec<Duration> = (0..4).map(|_| lose_after(&mut world, 10 * SECOND)).collect();
    assert!(waits[3] >= (FIRST_WAIT * 8).mul_f64(0.75), "{waits:?}");
    assert!(lose_after(&mut world, 60 * SECOND) <= FIRST_WAIT.mul_f64(1.25));
}

#[test]
fn a_machine_that_announces_itself_on_the_lan_is_dialled_again_soon() {
    let mut world = World::new(5);
    world.hear(local(1), Origin::Lan);
    assert!(world.run(HOUR, fails).len() > 5);
    assert_eq!(world.run(20 * SECOND, fails), [], "it waits for long now");
    world.hear(local(1), Origin::Lan);
    assert_eq!(world.run(SECOND, answers), [local(1)]);
    world.circle.handle_left(local(1), Left::Fault, world.now);
    world.hear(local(1), Origin::Lan);
    assert_eq!(world.run(20 * 60 * SECOND, answers), [], "who broke the protocol waits all the same");
    assert_eq!(world.run(20 * 60 * SECOND, answers), [local(1)]);
}

#[test]
fn who_turns_out_to_be_no_neighbour_is_left_alone_for_half_an_hour() {
    for why in [Left::Useless, Left::Fault] {
        let mut world = World::new(11);
        world.hear(stranger(1), Origin::Configured);
        assert_eq!(world.circle.poll_dial(world.now), Some(stranger(1)));
        world.circle.handle_left(stranger(1), why, world.now);
        assert_eq!(world.run(LONGEST_WAIT.mul_f64(0.75), answers), []);
        assert_eq!(world.run(LONGEST_WAIT.mul_f64(0.5), answers), [stranger(1)]);
        assert_eq!(world.circle.to_remember(), [stranger(1)], "it is one now");
    }
}

#[test]
fn what_a_stranger_says_of_a_machine_of_the_lan_changes_nothing() {
    let mut world = World::new(12);
    world.circle.handle_heard(stranger(1), Origin::Lan, true, world.now);
    world.circle.handle_heard(stranger(1), Origin::Dht, false, world.now);
    world.hear(stranger(2), Origin::Remembered);
    assert_eq!(world.run(SECOND, answers), [stranger(1), stranger(2)]);
    assert_eq!(world.circle.origin(&stranger(1)), Some(Origin::Lan));
    assert!(world.circle.known.get(&stranger(1)).is_some_and(|of| of.is_local));
}

#[test]
fn a_dial_that_vanishes_has_failed_after_a_while() {
    let mut world = World::new(6);
    (0..100).for_each(|number| world.hear(stranger(number), Origin::Dht));
    assert_eq!(world.run(DIAL_TIMEOUT, |_| Fate::Vanishes).len(), MOST_HALF_OPEN);
    assert_eq!(world.run(DIAL_TIMEOUT, |_| Fate::Vanishes).len(), MOST_HALF_OPEN);
    assert!(world.circle.known.iter().filter(|(_, of)| of.failures == 1).count() >= MOST_HALF_OPEN);
}

#[test]
fn a_strangers_word_does_not_lead_home_and_nobodys_address_leads_nowhere() {
    let mut world = World::new(7);
    for origin in [Origin::Neighbour, Origin::Tracker, Origin::Dht] {
        for home in ["10.0.0.1:80", "127.0.0.1:80", "[fe80::1]:80", "[::ffff:192.168.1.1]:80"] {
            world.hear(address(home), origin);
        }
    }
    for nobody in ["0.0.0.0:80", "203.0.113.1:0", "255.255.255.255:80", "224.0.0.1:80", "[ff02::1]:80"] {
        world.hear(address(nobody), Origin::Configured);
    }
    assert_eq!(world.run(HOUR, answers), []);
    world.hear(address("[::ffff:203.0.113.1]:80"), Origin::Dht);
    world.hear(address("[fe80::1%2]:80"), Origin::Lan);
    assert_eq!(world.run(HOUR, answers), [address("[fe80::1%2]:80"), address("203.0.113.1:80")]);
}

#[test]
fn on_another_network_the_old_link_is_forgotten_and_failures_are_forgiven() {
    let mut world = World::new(8);
    world.hear(local(1), Origin::Lan);
    world.hear(local(2), Origin::Lan);
    world.hear(stranger(1), Origin::Remembered);
    world.run(HOUR, |address| if *address == local(2) { Fate::Answers } else { Fate::Fails });
    world.lose(local(2));
    world.circle.handle_network_change(world.now);
    assert_eq!([local(1), local(2), stranger(1)].map(|address| world.knows(&address)), [false, true, true]);
    let mut dials = world.run(2 * SPREAD, answers);
    dials.sort_unstable();
    assert_eq!(dials, [stranger(1), local(2)]);
}

#[test]
fn the_neighbours_that_were_good_last_are_remembered_two_of_a_network_first() {
    let mut world = World::new(9);
    world.hear(local(1), Origin::Lan);
    world.hear(stranger(7), Origin::Dht);
    (0..23).for_each(|number| world.hear(relative(number), Origin::Dht));
    world.run(60 * SECOND, answers);
    for lost in [stranger(7)].into_iter().chain((0..23).map(relative)) {
        world.lose(lost);
        world.now += SECOND;
    }
    let expected = [local(1), relative(22), relative(21), stranger(7), relative(20)];
    assert_eq!(world.circle.to_remember()[..5], expected);
    world.circle.known = Known::default();
    (0..24).for_each(|number| world.hear(stranger(number), Origin::Remembered));
    world.run(60 * SECOND, answers);
    (0..20).for_each(|number| world.circle.handle_left(stranger(number), Left::Fault, world.now));
    world.hear(stranger(500), Origin::Neighbour);
    world.hear(stranger(501), Origin::Neighbour);
    assert_eq!(world.call(stranger(500)), Stay::Yes);
    let mut remembered = world.circle.to_remember();
    assert_eq!(remembered.pop(), Some(stranger(500)), "who called, but is not proven to listen");
    remembered.sort_unstable();
    assert_eq!(remembered, [20, 21, 22, 23].map(stranger));
}

#[test]
fn no_more_are_remembered_than_two_hundred() {
    let mut world = World::new(10);
    for number in 0..300 {
        world.hear(stranger(number), Origin::Dht);
        world.run(5 * SECOND, |address| if *address == stranger(number) { Fate::Answers } else { Fate::Fails });
        world.lose(stranger(number));
    }
    let remembered = world.circle.to_remember();
    assert_eq!(remembered.len(), MOST_REMEMBERED);
    assert_eq!(remembered[0], stranger(299));
}
