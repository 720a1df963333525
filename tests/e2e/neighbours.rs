//! Daemons that know one another: what one has the other gets in one round trip, whatever became of the mirrors.

use p2p_tests::{DaemonOptions, DhtNetwork, Fault, Host, Lan, Mirror, Package, PackageSpec, Payload, wait_until};

use crate::world::{FETCH_WITHIN, Machine, World, neighbours, without_torrents};

/// A home network.
const HOME: [u8; 3] = [192, 168, 77];

#[test]
fn a_small_package_comes_from_a_neighbour_when_every_mirror_is_dead() {
    let (world, package, mirror) = without_torrents(200_000);
    let url = mirror.url(&world.path(&package));
    let [first, second] = neighbours(&world, &mirror, &package);
    drop(mirror);
    second.fetch_well(&url, &package);
    let status = second.daemon.status();
    assert_eq!((status.from_peers(), status.from_mirrors()), (package.size(), 0), "{}", status.json());
    let listed = second.daemon.p2pctl(&["neighbours"]);
    let line = listed.succeeded().stdout.lines().find(|line| line.starts_with(&first.daemon.listen().to_string()));
    assert!(line.is_some_and(|line| line.contains("core") && line.contains("configured")), "{listed}");
}

#[test]
fn a_neighbour_nearby_that_takes_its_time_is_waited_for_where_every_mirror_is_dead() {
    let (world, package, mirror) = without_torrents(200_000);
    let url = mirror.url(&world.path(&package));
    let [mut first, mut second] = neighbours(&world, &mirror, &package);
    drop(mirror);
    // So long after a start neighbours are waited for in any case.
    second.daemon.wait_for_status("five seconds", FETCH_WITHIN, |status| status.number("uptime_seconds") > 5);
    first.daemon.process().pause();
    let fetched = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| second.fetch(&url, &package));
        wait_until("the mirror has failed", FETCH_WITHIN, || second.daemon.log().contains("a mirror's stream broke"));
        first.daemon.process().resume();
        fetch.join().expect("no panic")
    });
    fetched.succeeded();
    assert!(package.is_at(&second.out(&package)), "another file than asked for");
}

#[test]
fn a_large_package_comes_from_a_neighbour_that_knows_its_pieces() {
    let (world, package, mirror) = without_torrents(9_000_000);
    let url = mirror.url(&world.path(&package));
    let [_first, second] = neighbours(&world, &mirror, &package);
    drop(mirror);
    second.fetch_well(&url, &package);
    let status = second.daemon.status();
    assert_eq!((status.from_peers(), status.from_mirrors()), (package.size(), 0), "{}", status.json());
}

#[test]
fn what_a_neighbour_has_costs_the_mirror_nothing() {
    let (world, package, mirror) = without_torrents(200_000);
    let url = mirror.url(&world.path(&package));
    let [_first, second] = neighbours(&world, &mirror, &package);
    second.fetch_well(&url, &package);
    let status = second.daemon.status();
    assert_eq!((status.from_peers(), status.from_mirrors()), (package.size(), 0), "{}", status.json());
}

/// Machines on a network of their own, which know nothing of one another; the first one seeds the package. Also its URL, with
/// nobody behind it any more.
fn at_home(world: &World, package: &Package) -> (Lan, [Machine; 2], String) {
    let mut lan = Lan::new(HOME);
    let hosts: [Host; 3] = std::array::from_fn(|_| lan.host());
    let [mirror_host, machine_hosts @ ..] = hosts;
    let mirror = Mirror::serve_on(&mirror_host, world.directory.path());
    let mut machines = machine_hosts.map(|host| {
        let machine = world.machine(&[mirror.server()]);
        machine.daemon(|options| DaemonOptions { host, lan: true, ..options }).start()
    });
    let url = mirror.url(&world.path(package));
    machines[0].fetch_well(&url, package);
    machines[0].wait_seeding(1);
    for machine in &mut machines {
        machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    }
    (lan, machines, url)
}

#[test]
fn machines_on_one_network_find_one_another_and_come_back_after_a_restart_without_any_search() {
    let (world, package, _mirror) = without_torrents(200_000);
    let (_lan, [_first, mut second], url) = at_home(&world, &package);
    assert!(second.daemon.process().stop().success(), "{}", second.daemon.log());
    second.daemon.reconfigure(|options| options.lan = false);
    second.daemon.restart();
    second.daemon.wait_for_status("the same neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    second.fetch_well(&url, &package);
    let status = second.daemon.status();
    assert_eq!((status.from_peers(), status.from_mirrors()), (package.size(), 0), "{}", status.json());
}

#[test]
fn machines_far_apart_find_one_another_by_the_dht_alone() {
    let (world, package, _mirror) = without_torrents(200_000);
    // Global addresses count as far away, on one link too.
    let mut lan = Lan::new([203, 0, 113]);
    let hosts: [Host; 4] = std::array::from_fn(|_| lan.host());
    let [dht_host, mirror_host, machine_hosts @ ..] = hosts;
    let dht = DhtNetwork::start(&dht_host);
    let mirror = Mirror::serve_on(&mirror_host, world.directory.path());
    let mut machines = machine_hosts.map(|host| {
        let machine = world.machine(&[mirror.server()]);
        machine.daemon(|options| DaemonOptions { host, dht_bootstrap: dht.nodes(), ..options }).start()
    });
    let url = mirror.url(&world.path(&package));
    for machine in &mut machines {
        machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    }
    let [mut first, second] = machines;
    first.fetch_well(&url, &package);
    first.wait_seeding(1);
    drop(mirror);
    second.fetch_well(&url, &package);
    let status = second.daemon.status();
    assert_eq!((status.from_peers(), status.from_mirrors()), (package.size(), 0), "{}", status.json());
}

#[test]
fn machines_that_download_a_large_package_together_ask_the_mirror_for_different_pieces() {
    let mut world = World::new();
    let package = world.repository.add(&PackageSpec::new("large").payload(Payload::Random(9_000_000)));
    world.repository.write_database();
    world.repository.write_torrents(&[]);
    let mut lan = Lan::new(HOME);
    let hosts: [Host; 4] = std::array::from_fn(|_| lan.host());
    let [mirror_host, machine_hosts @ ..] = hosts;
    let mirror = Mirror::serve_on(&mirror_host, world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(1_000_000));
    let mut machines = machine_hosts.map(|host| {
        let machine = world.machine(&[mirror.server()]);
        machine.daemon(|options| DaemonOptions { host, lan: true, ..options }).start()
    });
    for machine in &mut machines {
        machine.daemon.wait_for_status("both others", FETCH_WITHIN, |status| status.number("neighbours") == 2);
    }
    let url = mirror.url(&path);
    std::thread::scope(|scope| {
        for machine in &machines {
            scope.spawn(|| machine.fetch_well(&url, &package));
        }
    });
    let served = mirror.served(&path);
    assert!(served <= package.size() * 3 / 2, "{served} bytes of {} from the mirror", package.size());
    for machine in &machines {
        let said = machine.daemon.p2pctl(&["explain", package.file_name()]);
        assert!(said.succeeded().stdout.contains("mirrors are asked for our part of it: 2 nearby"), "{said}");
    }
}
