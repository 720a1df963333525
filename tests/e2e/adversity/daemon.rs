//! A daemon that is killed, or hangs.

use std::time::{Duration, Instant};

use p2p_tests::{Fault, Mirror, Package, PackageSpec, Payload, wait_until};

use crate::world::World;

const SIZE: u64 = 8_000_000;

/// How long a client waits for a daemon's first record (docs/api.md).
const FIRST_RECORD_WITHIN: Duration = Duration::from_millis(300);

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
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    machine.daemon.restart();
    machine.daemon.process().pause();
    let waits = packages.iter().filter(|package| {
        let started = Instant::now();
        machine.fetch(&mirror.url(&world.path(package)), package).succeeded();
        assert!(package.is_at(&machine.out(package)), "another file than asked for");
        started.elapsed() >= FIRST_RECORD_WITHIN
    });
    // Counted, not summed up: the calls themselves take as long as the machine is busy.
    let waits: u32 = waits.map(|_| 1).sum();
    machine.daemon.process().resume();
    assert!(waits * FIRST_RECORD_WITHIN < Duration::from_secs(5), "{waits} calls waited for a hanging daemon");
}
