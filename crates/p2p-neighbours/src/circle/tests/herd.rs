//! After an outage or a resume nobody dials as part of a herd.

use super::*;

/// Sixty-four addresses, with as many of them connected as one dials, for a minute and more.
fn settled() -> (World, Vec<SocketAddr>) {
    let mut world = World::new(20);
    (1..=40).for_each(|number| world.hear(local(number), Origin::Lan));
    (0..40).for_each(|number| world.hear(stranger(number), Origin::Dht));
    let here = world.run(Duration::from_mins(2), answers);
    assert_eq!(here.len(), 56);
    (world, here)
}

/// Dials within half a minute, evenly and all of them.
fn assert_spread(world: &mut World, expected: usize) {
    let start = world.now;
    world.run(2 * SPREAD, answers);
    let dials = world.dials_after(start);
    assert_eq!(dials.len(), expected);
    assert!(most_within(&dials) <= DIALS_A_SECOND, "{dials:?}");
    for third in 0..3 {
        let (from, to) = (SPREAD * third / 3, SPREAD * (third + 1) / 3);
        let count = dials.iter().filter(|dial| (from..to).contains(*dial)).count();
        assert!((8..=30).contains(&count), "{count} dials between {from:?} and {to:?}");
    }
}

#[test]
fn at_the_start_four_dials_are_made_in_any_second() {
    let mut world = World::new(21);
    let start = world.now;
    (0..100).for_each(|number| world.hear(stranger(number), Origin::Dht));
    world.run(Duration::from_mins(10), fails);
    let dials = world.dials_after(start);
    assert_eq!(most_within(&dials), DIALS_A_SECOND);
    assert_eq!(dials[99], 24 * SECOND, "and no fewer");
}

#[test]
fn after_an_outage_the_dials_are_spread() {
    let (mut world, here) = settled();
    for address in here {
        world.lose(address);
        world.now += Duration::from_millis(150);
    }
    assert_spread(&mut world, 56);
}

#[test]
fn after_a_resume_the_dials_are_spread() {
    let (mut world, here) = settled();
    world.circle.handle_resumed(world.now);
    for address in here {
        world.lose(address);
    }
    assert_spread(&mut world, 56);
}

#[test]
fn those_that_slept_together_do_not_all_call_in_the_same_second() {
    let mut calls: Vec<Duration> = (0..300)
        .flat_map(|seed| {
            let mut world = World::new(seed);
            world.hear(stranger(1), Origin::Configured);
            world.circle.handle_resumed(world.now);
            let start = world.now;
            assert_eq!(world.run(SPREAD + SECOND, answers), [stranger(1)]);
            world.dials_after(start)
        })
        .collect();
    calls.sort_unstable();
    // Ten a second on average.
    assert!(most_within(&calls) <= 30, "{}", most_within(&calls));
    assert!(calls[0] < 2 * SECOND && calls[299] > 28 * SECOND);
}

#[test]
fn one_lost_neighbour_is_no_outage() {
    let (mut world, here) = settled();
    let start = world.now;
    world.lose(here[0]);
    world.lose(here[1]);
    world.run(20 * SECOND, answers);
    let dials = world.dials_after(start);
    assert_eq!(dials.len(), 2);
    assert!(dials.iter().all(|dial| (Duration::ZERO..=FIRST_WAIT.mul_f64(1.25)).contains(dial)));
}

#[test]
fn the_first_who_is_back_after_a_long_outage_brings_the_others_back() {
    let mut world = World::new(22);
    (0..20).for_each(|number| world.hear(stranger(number), Origin::Remembered));
    world.run(5 * HOUR, fails);
    world.hear(local(1), Origin::Lan);
    assert_eq!(world.run(Duration::from_millis(1), answers)[0], local(1));
    let back = world.run(2 * SPREAD, answers).len();
    assert!((0..20).all(|number| world.is_here(&stranger(number))), "{back} are back");
}

#[test]
fn a_link_that_comes_and_goes_does_not_put_dials_off_for_ever() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.hear(stranger(1), Origin::Remembered);
        let start = world.now;
        let dialled = (0..6).find(|_| {
            world.circle.handle_network_change(world.now);
            !world.run(10 * SECOND, answers).is_empty()
        });
        assert!(dialled.is_some(), "seed {seed}");
        assert!(world.dials_after(start)[0] <= SPREAD, "seed {seed}");
    }
}

#[test]
fn a_herd_whose_links_flap_as_it_wakes_up_stays_spread() {
    let mut calls: Vec<Duration> = (0..300)
        .flat_map(|seed| {
            let mut world = World::new(seed);
            world.hear(stranger(1), Origin::Configured);
            let start = world.now;
            world.circle.handle_resumed(world.now);
            world.run(SECOND, answers);
            world.circle.handle_network_change(world.now);
            world.run(SPREAD + SECOND, answers);
            world.dials_after(start)
        })
        .collect();
    calls.sort_unstable();
    assert_eq!(calls.len(), 300);
    // The smaller of two chances: twenty a second at first.
    assert!(most_within(&calls) <= 45, "{}", most_within(&calls));
}
