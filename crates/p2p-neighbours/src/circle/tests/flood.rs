//! Ten thousand invented addresses.

use super::super::known::{FORGOTTEN_AT_ONCE, MOST_OF_A_HOST, MOST_OF_THE_LINK};
use super::super::places::MOST_OF_A_NETWORK;
use super::*;

const FAKES: u32 = 10_000;

/// From all over the Internet, or from one network.
fn fakes() -> impl Iterator<Item = SocketAddr> {
    let everywhere = (0..FAKES).map(|number| {
        let [_, a, b, c] = number.wrapping_mul(40_503).to_be_bytes();
        SocketAddr::from(([30 + a % 60, b, c, 7], 6881))
    });
    let network = (0..FAKES).map(|number| {
        let [_, _, high, low] = number.to_be_bytes();
        SocketAddr::from(([203, 0, high, low], 6881))
    });
    everywhere.chain(network)
}

fn flood(world: &mut World) {
    for (number, fake) in fakes().enumerate() {
        world.hear(fake, if number % 2 == 0 { Origin::Dht } else { Origin::Tracker });
        assert!(world.circle.known.len() <= MOST_KNOWN);
    }
    assert!(world.circle.known.len() >= MOST_KNOWN - FORGOTTEN_AT_ONCE);
}

#[test]
fn invented_addresses_displace_nobody_whom_we_have_reason_to_trust() {
    let mut world = World::new(30);
    world.hear(stranger(500), Origin::Configured);
    (1..=5).for_each(|number| world.hear(local(number), Origin::Lan));
    (0..20).for_each(|number| world.hear(stranger(number), Origin::Dht));
    let trusted = world.run(7 * SECOND, answers);
    assert_eq!(trusted.len(), 26);
    world.now += Duration::from_mins(1);
    flood(&mut world);
    assert!(trusted.iter().all(|address| world.is_here(address)), "connections stay");
    trusted.iter().copied().for_each(|address| world.lose(address));
    flood(&mut world);
    assert!(trusted.iter().all(|address| world.knows(address)), "so do the addresses of those who left");
    let dials = world.run(SPREAD * 2, |address| if trusted.contains(address) { Fate::Answers } else { Fate::Vanishes });
    assert!(trusted.iter().all(|address| world.is_here(address)), "and all of them come back");
    assert!(dials[..26].iter().all(|address| trusted.contains(address)), "before anybody else is dialled");
}

#[test]
fn invented_addresses_of_one_network_do_not_displace_those_of_others() {
    let mut world = World::new(31);
    (0..100).for_each(|number| world.hear(stranger(number), Origin::Tracker));
    for fake in fakes().skip(FAKES as usize) {
        world.now += Duration::from_millis(1);
        world.hear(fake, Origin::Dht);
    }
    assert!((0..100).all(|number| world.knows(&stranger(number))));
    world.run(Duration::from_mins(1), answers);
    let fakes = world.circle.places.coming_crowds().of(Some(Network::of(address("203.0.0.1:1").ip())));
    assert!(fakes <= MOST_OF_A_NETWORK, "{fakes}");
}

#[test]
fn the_configured_address_is_reached_though_all_places_are_taken() {
    let mut world = World::new(32);
    flood(&mut world);
    world.run(Duration::from_mins(1), answers);
    (0..100).for_each(|number| {
        world.call(stranger(2_000 + number));
    });
    assert_eq!(world.circle.places.connected(), 64);
    world.now += SECOND;
    world.hear(stranger(500), Origin::Configured);
    world.hear(local(1), Origin::Lan);
    assert_eq!(world.run(SECOND, answers), [stranger(500), local(1)]);
    assert!(world.is_here(&stranger(500)) && world.is_here(&local(1)));
    assert_eq!(world.circle.places.connected(), 64);
}

/// A machine on the link that invents others, one a tenth of a second.
fn invent_machines(world: &mut World, time: Duration, fate: impl Fn(&SocketAddr) -> Fate) {
    for number in 0..u16::try_from(time.as_millis() / 100).expect("it does not take long") {
        world.hear(SocketAddr::from(([192, 168, 1, 7], 1_000 + number)), Origin::Lan);
        world.run(Duration::from_millis(100), &fate);
    }
}

#[test]
fn machines_that_somebody_on_the_link_invents_keep_us_neither_from_others_nor_make_us_forget_them() {
    for fake in [Fate::Fails, Fate::Vanishes] {
        let mut world = World::new(33);
        (0..20).for_each(|number| world.hear(stranger(number), Origin::Remembered));
        let fate = |address: &SocketAddr| if is_private(address) { fake } else { Fate::Answers };
        invent_machines(&mut world, Duration::from_mins(5), fate);
        let met = (0..20).filter(|number| world.is_here(&stranger(*number))).count();
        assert_eq!(met, 20, "{fake:?}");
        let invented = world.circle.known.iter().filter(|(address, _)| is_private(address)).count();
        assert!(invented <= MOST_OF_THE_LINK + MOST_HALF_OPEN, "{invented}");
    }
}

#[test]
fn whatever_strangers_say_one_host_is_not_called_at_all_of_its_ports() {
    for (host, household) in [("203.0.113.9", "203.0.113.9"), ("[2001:db9::9]", "[2001:db9::7]")] {
        let mut world = World::new(34);
        for number in 0..3_000_u32 {
            let port = 1_000 + number;
            let of = if number % 2 == 0 { host } else { household };
            world.hear(address(&format!("{of}:{port}")), [Origin::Neighbour, Origin::Dht][number as usize / 2 % 2]);
            world.run(Duration::from_millis(100), fails);
        }
        assert!(world.dials.len() <= MOST_OF_A_HOST * 8, "{} dials in five minutes", world.dials.len());
        world.hear(address("203.0.114.9:6881"), Origin::Dht);
        assert_eq!(
            world.run(SECOND, answers).last(),
            Some(&address("203.0.114.9:6881")),
            "its neighbour is another one"
        );
    }
}

#[test]
fn a_host_of_which_strangers_told_lies_is_found_all_the_same() {
    let mut world = World::new(35);
    (1..=10).for_each(|port| world.hear(address(&format!("203.0.113.9:{port}")), Origin::Neighbour));
    let true_one = address("203.0.113.9:6881");
    let fate = |address: &SocketAddr| if *address == true_one { Fate::Answers } else { Fate::Fails };
    world.run(SECOND, fate);
    world.hear(true_one, Origin::Neighbour);
    world.run(Duration::from_mins(1), fate);
    assert!(world.is_here(&true_one));
}
