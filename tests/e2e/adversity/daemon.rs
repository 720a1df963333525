//! A daemon that is killed, or hangs.

use std::time::{Duration, Instant};

use p2p_tests::{Fault, Mirror, Package, PackageSpec, Payload, wait_until};

use crate::world::World;

const SIZE: u64 = 8_000_000;

#[test]
fn a_killed_daemon_continues_where_it_was_and_fetches_no_byte_twice() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(2_000_000));
    let mut machine = world.machine(&[mirror.server()]).start();
    let mut client = machine.daemon.client().begin(&mirror.url(&path), &machine.out(&package));
    wait_until("half of the package", Duration::from_secs(30), || mirror.served(&path) > SIZE / 2);
    // The client first: it would finish by itself without the daemon.
    client.kill();
    machine.daemon.process().kill();
    fs_err::remove_file(machine.out(&package)).ok();
    machine.daemon.restart();
    machine.fetch_well(&mirror.url(&path), &package);
    let served = mirror.served(&path);
    assert!(served < SIZE * 5 / 4, "{served} bytes for a package of {SIZE}");
}

#[test]
fn a_daemon_killed_half_way_does_not_keep_its_client_from_the_file() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(4_000_000));
    let mut machine = world.machine(&[mirror.server()]).start();
    let mut client = machine.daemon.client().begin(&mirror.url(&path), &machine.out(&package));
    wait_until("half of the package", Duration::from_secs(30), || mirror.served(&path) > SIZE / 2);
    machine.daemon.process().kill();
    assert!(client.wait(Duration::from_mins(1)).success(), "{}", client.log());
    assert!(package.is_at(&machine.out(&package)));
}

#[test]
fn a_package_is_still_seeded_after_a_kill() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let mut machine = world.machine(&[mirror.server()]).start();
    machine.fetch_well(&mirror.url(&world.path(&package)), &package);
    machine.wait_seeding(1);
    machine.daemon.process().kill();
    machine.daemon.restart();
    machine.wait_seeding(1);
    machine.fetch_well(&mirror.url(&world.path(&package)), &package);
    assert_eq!(mirror.requests_for(&world.path(&package)).iter().filter(|request| request.served > 0).count(), 1);
}

#[test]
fn a_daemon_that_hangs_costs_five_seconds_at_most_over_two_hundred_files() {
    let mut world = World::new();
    let packages: Vec<Package> = (0..200)
        .map(|n| world.repository.add(&PackageSpec::new(&format!("small-{n}")).payload(Payload::Random(20_000))))
        .collect();
    world.repository.write_database();
    let mirror = Mirror::serve(world.directory.path());
    let mut machine = world.machine(&[mirror.server()]).start();
    let fetch_all = |machine: &crate::world::Machine| {
        let started = Instant::now();
        for package in &packages {
            machine.fetch(&mirror.url(&world.path(package)), package).succeeded();
            assert!(package.is_at(&machine.out(package)), "another file than asked for");
            fs_err::remove_file(machine.out(package)).expect("it was just written");
        }
        started.elapsed()
    };
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    let without = fetch_all(&machine);
    machine.daemon.restart();
    machine.daemon.process().pause();
    let hanging = fetch_all(&machine);
    machine.daemon.process().resume();
    let waited = hanging.saturating_sub(without);
    assert!(waited < Duration::from_secs(5), "{hanging:?} with a hanging daemon, {without:?} without any");
}
