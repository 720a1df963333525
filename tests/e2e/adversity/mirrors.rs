//! Mirrors that die, stall and lie.

use std::time::Duration;

use p2p_tests::{FakePeer, Fault, Host, Mirror, Temper};

use crate::world::World;

const SIZE: u64 = 6_000_000;

#[test]
fn a_mirror_that_dies_half_way_is_replaced_and_its_bytes_are_kept() {
    let (world, package) = World::with_package(SIZE);
    let (dying, living) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    let path = world.path(&package);
    dying.fault(&path, Fault::CutAt(SIZE / 2));
    living.fault(&path, Fault::Rate(4_000_000));
    let machine = world.machine(&[dying.server(), living.server()]).start();
    machine.fetch_well(&dying.url(&path), &package);
    assert!(living.served(&path) < SIZE * 3 / 4, "{} bytes were fetched twice", living.served(&path));
}

#[test]
fn a_mirror_that_stalls_half_way_is_replaced() {
    let (world, package) = World::with_package(SIZE);
    let (stalling, living) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    let path = world.path(&package);
    stalling.fault(&path, Fault::StallAt(SIZE / 2));
    let machine = world.machine(&[stalling.server(), living.server()]).start();
    machine.fetch_well(&stalling.url(&path), &package);
}

#[test]
fn a_mirror_that_is_late_to_answer_is_overtaken_by_the_next() {
    for size in [100_000, SIZE] {
        let (world, package) = World::with_package(size);
        let (late, prompt) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
        let path = world.path(&package);
        late.fault(&path, Fault::StallAt(0));
        let machine = world.machine(&[late.server(), prompt.server()]).start();
        let ran = machine.fetch(&late.url(&path), &package);
        ran.succeeded();
        assert!(package.is_at(&machine.out(&package)) && prompt.served(&path) == package.size(), "{ran}");
        assert!(ran.elapsed < Duration::from_secs(5), "the time-out of the late one was waited for: {ran}");
    }
}

#[test]
fn a_mirror_that_stalls_does_not_stall_a_swarm_with_a_peer() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::StallAt(SIZE / 4));
    let peer = FakePeer::listen(&Host::loopback(), &package, Temper::Honest);
    let machine = world
        .machine(&[mirror.server()])
        .daemon(|options| p2p_tests::DaemonOptions { peers: vec![peer.address()], ..options });
    let machine = machine.start();
    machine.fetch_well(&mirror.url(&path), &package);
    assert!(machine.daemon.status().from_peers() > 0);
}

#[test]
fn a_second_mirror_joins_a_big_package_of_a_slow_one() {
    let (world, package) = World::with_package(24_000_000);
    let mirrors = [Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path())];
    for mirror in &mirrors {
        mirror.limit(Some(2_000_000));
    }
    let path = world.path(&package);
    let machine = world.machine(&mirrors.each_ref().map(Mirror::server)).start();
    machine.fetch_well(&mirrors[0].url(&path), &package);
    let served = mirrors.each_ref().map(|mirror| mirror.served(&path));
    assert!(served.iter().all(|bytes| *bytes > package.size() / 4), "the mirrors gave {served:?} bytes");
    assert!(served.iter().sum::<u64>() < package.size() * 5 / 4, "bytes were fetched twice: {served:?}");
}

#[test]
fn a_mirror_without_the_package_and_one_that_is_busy_are_passed_over() {
    let (world, package) = World::with_package(SIZE);
    let mirrors: Vec<Mirror> = (0..3).map(|_| Mirror::serve(world.directory.path())).collect();
    let path = world.path(&package);
    mirrors[0].fault(&path, Fault::Status(404));
    mirrors[1].fault(&path, Fault::RetryAfter(Duration::from_mins(10)));
    let servers: Vec<String> = mirrors.iter().map(Mirror::server).collect();
    let machine = world.machine(&servers).start();
    machine.fetch_well(&mirrors[0].url(&path), &package);
    assert!(mirrors[1].requests_for(&path).len() <= 1, "a busy mirror is left alone: {:?}", mirrors[1].requests());
}

#[test]
fn a_mirror_that_ignores_ranges_is_used_all_the_same() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::IgnoreRange);
    let machine = world.machine(&[mirror.server()]).start();
    machine.fetch_well(&mirror.url(&path), &package);
}

#[test]
fn a_corrupt_mirror_is_found_out_and_the_next_one_used() {
    let (world, package) = World::with_package(SIZE);
    let (corrupt, honest) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    let path = world.path(&package);
    corrupt.fault(&path, Fault::CorruptAt(SIZE / 2));
    let machine = world.machine(&[corrupt.server(), honest.server()]).start();
    machine.fetch_well(&corrupt.url(&path), &package);
}

#[test]
fn corrupt_bytes_of_the_only_mirror_are_neither_installed_nor_shared() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    mirror.fault(&world.path(&package), Fault::CorruptAt(SIZE / 2));
    let machine = world.machine(&[mirror.server()]).start();
    machine.pacman.pacman(&["-S", "big"]).failed();
    assert!(!machine.pacman.has_installed(&package));
    assert_eq!(machine.daemon.status().number("packages_seeded"), 0);
    mirror.heal(&world.path(&package));
    machine.pacman.pacman(&["-S", "big"]).succeeded();
    assert!(machine.pacman.has_installed(&package));
}

#[test]
fn a_package_that_no_mirror_has_is_a_clear_error_at_once() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    mirror.fault(&world.path(&package), Fault::Status(404));
    let machine = world.machine(&[mirror.server()]).start();
    let ran = machine.fetch(&mirror.url(&world.path(&package)), &package);
    assert!(!ran.failed().stderr.trim().is_empty(), "{ran}");
    assert!(!machine.out(&package).exists(), "an empty or partial file of a missing package");
    assert!(ran.elapsed < Duration::from_secs(10), "{ran}");
}

#[test]
fn a_redirect_to_another_mirror_is_followed() {
    let (world, package) = World::with_package(SIZE);
    let (first, second) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    let path = world.path(&package);
    first.fault(&path, Fault::RedirectTo(second.url(&path)));
    let machine = world.machine(&[first.server()]).start();
    machine.fetch_well(&first.url(&path), &package);
    assert!(second.served(&path) > 0);
}
