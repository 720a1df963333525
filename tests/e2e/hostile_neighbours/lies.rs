//! One liar, and an honest mirror or an honest neighbour.

use bytes::Bytes;
use p2p_tests::{Fault, Lie};
use p2p_wire::club_id;

use super::*;

/// Fresh machines for each figure.
const TRIES: usize = 5;
/// What the mirror gives of a large package in a second.
const SLOW: u64 = 4_000_000;

/// Compares a small package beside the liar with the same without.
#[track_caller]
fn costs_a_moment(lie: impl Fn(&Scene) -> Lie) {
    let scene = Scene::of(SMALL);
    let lying = liar(lie(&scene));
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        alone.push(scene.time_beside(&[]));
        beside.push(scene.time_beside(&[lying.address()]));
    }
    let (alone, beside) = (median(alone), median(beside));
    eprintln!("alone {alone:?}, beside the liar {beside:?}");
    assert!(lying.questions() >= TRIES as u64, "it was not asked");
    assert!(beside <= alone + COST + NOISE, "{beside:?} beside the liar, {alone:?} alone");
}

#[test]
fn one_that_has_everything_and_sends_nothing_costs_a_small_package_a_moment() {
    costs_a_moment(|_| Lie::Silence);
}

#[test]
fn one_that_sends_wrong_bytes_costs_a_small_package_a_moment() {
    costs_a_moment(|_| Lie::WrongBytes);
}

#[test]
fn one_that_drips_costs_a_small_package_a_moment() {
    costs_a_moment(|_| Lie::Drip(20_000));
}

#[test]
fn one_that_is_always_too_busy_costs_a_small_package_a_moment() {
    costs_a_moment(|_| Lie::Busy(Bytes::new(), Duration::MAX));
}

#[test]
fn one_that_gives_a_forged_package_costs_a_small_package_a_moment() {
    costs_a_moment(Scene::wrong_info);
}

#[test]
fn a_wrong_info_costs_a_large_package_at_most_one_download_from_a_peer() {
    let scene = Scene::of(LARGE);
    scene.mirror.fault(&scene.world.path(&scene.package), Fault::Rate(SLOW));
    let lying = liar(scene.wrong_info());
    let alone = scene.time_beside(&[]);
    let before = scene.mirror.served(&scene.world.path(&scene.package));
    let beside = scene.time_beside(&[lying.address()]);
    let from_mirror = scene.mirror.served(&scene.world.path(&scene.package)) - before;
    eprintln!(
        "alone {alone:?}, beside the liar {beside:?}: {} bytes of it, {from_mirror} of the mirror",
        lying.served()
    );
    assert!(lying.questions() > 0, "it was not asked");
    assert!(lying.served() <= LARGE * 11 / 10, "{} bytes were believed", lying.served());
    assert!(from_mirror <= LARGE * 21 / 10, "{from_mirror} bytes from the mirror");
    assert!(beside <= alone * 2 + NOISE, "{beside:?} beside the liar, {alone:?} alone");
}

#[test]
fn ones_that_say_a_large_package_is_coming_and_bring_nothing_cost_a_bounded_time() {
    let scene = Scene::of(LARGE);
    scene.world.repository.write_torrents(&[]);
    scene.mirror.fault(&scene.world.path(&scene.package), Fault::Rate(SLOW));
    let liars: Vec<_> = (0..3).map(|_| liar(Lie::Coming)).collect();
    let addresses: Vec<_> = liars.iter().map(LyingNeighbour::address).collect();
    let alone = scene.time_beside(&[]);
    let before = scene.mirror.served(&scene.world.path(&scene.package));
    let beside = scene.time_beside(&addresses);
    let from_mirror = scene.mirror.served(&scene.world.path(&scene.package)) - before;
    eprintln!("alone {alone:?}, beside the liars {beside:?}: {from_mirror} bytes of the mirror");
    assert!(liars.iter().all(|liar| liar.questions() > 0), "they were not asked");
    assert!(from_mirror <= LARGE * 13 / 10, "{from_mirror} bytes from the mirror");
    // A second for the one who is elected, and one for what the others are to bring.
    assert!(beside <= alone + Duration::from_secs(2) + NOISE, "{beside:?} beside the liars, {alone:?} alone");
}

/// With every mirror dead, a liar and an honest neighbour.
#[track_caller]
fn does_not_keep_it_from_an_honest_one(bytes: u64, lie: impl Fn(&Scene) -> Lie) {
    let mut scene = Scene::of(bytes);
    let lying = liar(lie(&scene));
    let honest = scene.honest();
    let machine = scene.machine_beside(&[lying.address(), honest.daemon.listen()]);
    scene.mirror.stop();
    let ran = machine.fetch(&scene.url, &scene.package);
    eprintln!("beside the liar {:?}", ran.elapsed);
    assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
    assert!(scene.package.is_at(&machine.out(&scene.package)), "another file than asked for");
    assert_eq!(machine.daemon.status().from_mirrors(), 0);
}

#[test]
fn without_mirrors_one_that_sends_nothing_does_not_keep_a_small_package_from_an_honest_neighbour() {
    does_not_keep_it_from_an_honest_one(SMALL, |_| Lie::Silence);
}

#[test]
fn without_mirrors_one_that_is_always_too_busy_does_not_keep_a_small_package_from_an_honest_neighbour() {
    does_not_keep_it_from_an_honest_one(SMALL, |_| Lie::Busy(Bytes::new(), Duration::MAX));
}

#[test]
fn without_mirrors_the_only_one_that_has_a_package_is_asked_again_when_it_was_too_busy() {
    let mut scene = Scene::of(SMALL);
    let busy = liar(Lie::Busy(scene.package.bytes().into(), Duration::from_millis(500)));
    let machine = scene.machine_beside(&[busy.address()]);
    scene.mirror.stop();
    let ran = machine.fetch(&scene.url, &scene.package);
    eprintln!("from one that was busy for half a second {:?}", ran.elapsed);
    assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
    assert!(scene.package.is_at(&machine.out(&scene.package)), "another file than asked for");
    assert_eq!((busy.served(), machine.daemon.status().from_mirrors()), (scene.package.size(), 0));
}

#[test]
fn without_mirrors_one_that_sends_wrong_bytes_does_not_keep_a_small_package_from_an_honest_neighbour() {
    does_not_keep_it_from_an_honest_one(SMALL, |_| Lie::WrongBytes);
}

#[test]
fn without_mirrors_one_that_drips_does_not_keep_a_small_package_from_an_honest_neighbour() {
    does_not_keep_it_from_an_honest_one(SMALL, |_| Lie::Drip(20_000));
}

#[test]
fn without_mirrors_a_wrong_info_does_not_keep_a_large_package_from_an_honest_neighbour() {
    does_not_keep_it_from_an_honest_one(LARGE, Scene::wrong_info);
}

#[test]
fn nothing_wrong_is_handed_over_where_a_liar_is_all_there_is() {
    for lie in [|_: &Scene| Lie::WrongBytes, Scene::wrong_info] {
        let mut scene = Scene::of(SMALL);
        let lying = liar(lie(&scene));
        let machine = scene.machine_beside(&[lying.address()]);
        scene.mirror.stop();
        let ran = machine.fetch(&scene.url, &scene.package);
        assert!(!ran.failed().stderr.trim().is_empty(), "{ran}");
        assert!(!machine.out(&scene.package).exists(), "something was handed over: {ran}");
        assert_eq!(machine.daemon.status().number("packages_seeded"), 0);
    }
}

#[test]
fn a_flood_of_questions_keeps_nobody_from_a_neighbour() {
    let mut scene = Scene::of(SMALL);
    let mut honest = scene.honest();
    let machine = scene.machine_beside(&[honest.daemon.listen()]);
    let flood = liar(Lie::Flood);
    // From an address of its own: what one address may ask is bounded.
    let (host, club) = (Host::loopback().alias(2), club_id("core", "x86_64"));
    (0..4).for_each(|_| flood.call(&host, honest.daemon.listen(), club));
    p2p_tests::wait_until("a flood", FETCH_WITHIN, || flood.questions() > 1_000);
    scene.mirror.stop();
    let ran = machine.fetch(&scene.url, &scene.package);
    let usage = honest.daemon.process().usage();
    eprintln!("{:?} beside {} questions; {} MiB", ran.elapsed, flood.questions(), usage.peak_memory >> 20);
    assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
    assert!(scene.package.is_at(&machine.out(&scene.package)), "another file than asked for");
    assert_eq!(machine.daemon.status().from_peers(), scene.package.size());
}
