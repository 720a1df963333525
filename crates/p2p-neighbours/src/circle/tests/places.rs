//! Who gets a place where there are none left.

use super::*;

/// All places are taken by callers from outside, each from another network.
fn full() -> World {
    let mut world = World::new(40);
    for number in 0..64 {
        assert_eq!(world.call(stranger(number)), Stay::Yes);
        world.now += SECOND;
    }
    world
}

#[test]
fn a_stranger_finds_no_place_where_all_are_taken() {
    let mut world = full();
    assert!(!world.circle.may_stay(stranger(100), false));
    assert_eq!(world.call(stranger(100)), Stay::No);
    assert!(world.circle.may_stay(stranger(5), false), "who is here stays");
    assert_eq!(world.call(stranger(5)), Stay::Yes);
    world.lose(stranger(5));
    assert!(world.circle.may_stay(stranger(100), false));
}

#[test]
fn a_caller_from_the_lan_takes_the_place_of_the_latest_stranger() {
    let mut world = full();
    assert!(world.circle.may_stay(local(1), true));
    assert_eq!(world.call(local(1)), Stay::InsteadOf(stranger(63)));
    assert!(!world.is_here(&stranger(63)));
    for number in 2..=32 {
        assert!(matches!(world.call(local(number)), Stay::InsteadOf(_)));
    }
    assert!(!world.circle.may_stay(local(33), true), "the LAN has its most");
    assert_eq!(world.circle.places.connected(), 64);
}

#[test]
fn whom_we_dialled_is_kept_rather_than_who_called() {
    let mut world = World::new(41);
    world.hear(stranger(0), Origin::Dht);
    (1..64).for_each(|number| {
        world.call(stranger(number));
    });
    world.now += SECOND;
    world.run(SECOND, answers);
    assert!(world.is_here(&stranger(0)));
    assert_eq!(world.circle.places.connected(), 64);
    (1..=32).for_each(|number| {
        world.call(local(number));
    });
    assert!(world.is_here(&stranger(0)));
}

#[test]
fn a_caller_of_a_new_network_takes_the_place_of_one_of_a_crowd() {
    let mut world = World::new(42);
    (0..40).for_each(|number| {
        world.call(relative(number));
    });
    (0..24).for_each(|number| {
        world.call(stranger(number));
    });
    assert_eq!(world.call(relative(100)), Stay::No, "the crowd does not grow");
    assert_eq!(world.call(stranger(0)), Stay::Yes, "who is here stays");
    for number in 24..62 {
        assert!(matches!(world.call(stranger(number)), Stay::InsteadOf(other) if is_relative(&other)));
    }
    assert_eq!(world.call(stranger(62)), Stay::No, "two of a network are no crowd");
}

#[test]
fn nobody_takes_the_place_of_a_configured_neighbour() {
    let mut world = World::new(43);
    (0..40).for_each(|number| world.hear(relative(number), Origin::Configured));
    world.run(Duration::from_mins(1), answers);
    (0..24).for_each(|number| {
        world.call(stranger(number));
    });
    (1..=32).for_each(|number| {
        world.call(local(number));
    });
    assert!((0..40).all(|number| world.is_here(&relative(number))));
    assert_eq!(world.circle.places.connected(), 64);
    assert_eq!(world.call(stranger(100)), Stay::No);
}

#[test]
fn who_is_dialled_for_diversity_takes_the_place_of_one_of_a_crowd() {
    let mut world = World::new(44);
    (0..100).for_each(|number| world.hear(relative(number), Origin::Dht));
    assert_eq!(world.run(Duration::from_mins(1), answers).len(), MOST_DIALLED);
    (0..100).for_each(|number| world.hear(stranger(number), Origin::Dht));
    assert_eq!(world.run(Duration::from_mins(1), answers).len(), MOST_DIALLED - 2);
    assert_eq!(world.circle.places.connected(), MOST_DIALLED);
    assert_eq!(world.circle.poll_timeout(), None);
}
