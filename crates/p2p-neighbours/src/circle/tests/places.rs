//! Who gets a place where there are none left.

use super::super::places::FEWEST_DIALLED;
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
    assert_eq!(world.call(stranger(100)), Stay::No);
    assert_eq!(world.call(stranger(5)), Stay::Yes, "who is here stays");
    world.lose(stranger(5));
    assert_eq!(world.call(stranger(100)), Stay::Yes);
}

#[test]
fn a_caller_from_the_lan_takes_the_place_of_the_latest_stranger() {
    let mut world = full();
    assert_eq!(world.call(local(1)), Stay::InsteadOf(stranger(63)));
    assert!(!world.is_here(&stranger(63)));
    for number in 2..=32 {
        assert!(matches!(world.call(local(number)), Stay::InsteadOf(_)));
    }
    assert_eq!(world.call(local(33)), Stay::No, "the LAN has its most");
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
fn callers_do_not_keep_out_those_whom_we_choose() {
    let mut world = full();
    (100..130).for_each(|number| world.hear(stranger(number), Origin::Remembered));
    let dialled = world.run(Duration::from_mins(1), answers);
    let chosen = dialled.iter().filter(|address| world.is_here(address)).count();
    assert_eq!(chosen, FEWEST_DIALLED, "of {}", dialled.len());
    assert_eq!(world.circle.places.connected(), 64);
    assert!((0..52).all(|number| world.is_here(&stranger(number))), "those who have been here for long stay");
    assert_eq!(world.call(stranger(200)), Stay::No, "who calls displaces nobody");
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

#[test]
fn those_that_neighbours_tell_of_are_dialled_before_those_of_trackers_and_the_dht() {
    let mut world = World::new(45);
    for (first, origin) in [(0, Origin::Dht), (100, Origin::Tracker), (200, Origin::Neighbour)] {
        (first..first + 10).for_each(|number| world.hear(stranger(number), origin));
    }
    world.hear(stranger(300), Origin::Remembered);
    let dialled = world.run(10 * SECOND, answers);
    assert_eq!(dialled[0], stranger(300), "a former neighbour comes first");
    assert!(dialled[1..11].iter().all(|address| (200..210).map(stranger).any(|told| told == *address)));
    assert_eq!(dialled.len(), MOST_DIALLED);
}

#[test]
fn a_neighbour_that_tells_of_one_network_only_does_not_fill_the_circle_with_it() {
    let mut world = World::new(46);
    (0..50).for_each(|number| world.hear(relative(number), Origin::Neighbour));
    (0..50).for_each(|number| world.hear(stranger(number), Origin::Dht));
    let dialled = world.run(Duration::from_mins(1), answers);
    assert_eq!(dialled.iter().filter(|address| is_relative(address)).count(), 1);
    assert_eq!(dialled.len(), MOST_DIALLED);
}
