//! Ten thousand invented addresses.

use super::super::known::FORGOTTEN_AT_ONCE;
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
