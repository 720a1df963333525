//! The catalog follows the cache: over kills, and over what pacman and paccache do there.

use std::time::{Duration, SystemTime};

use p2p_tests::{Mirror, Package, PackageSpec, Payload, wait_until};

use crate::world::{FETCH_WITHIN, Machine, World};

/// Small packages beside a large one.
const MANY: u64 = 50;
/// So large that a kill comes before all of it is read.
const LARGE: u64 = 500_000_000;
/// How long the daemon may take to notice what others do in the cache.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

fn seeded(machine: &Machine) -> u64 {
    machine.daemon.status().number("packages_seeded")
}

/// How often a package was read whole, by any run.
fn hashed(machine: &Machine) -> u64 {
    machine.daemon.log().matches("package catalogued").count() as u64
}

/// Puts the package where pacman would have.
fn cache(machine: &Machine, package: &Package) {
    let aside = machine.pacman.cache().join("aside");
    fs_err::copy(&package.path, &aside).expect("the cache is ours");
    fs_err::rename(aside, machine.pacman.cached(package)).expect("the cache is ours");
}

#[test]
fn a_daemon_that_was_killed_goes_on_where_it_was_and_reads_no_package_again() {
    let mut world = World::new();
    let large = world.repository.add(&PackageSpec::new("large").payload(Payload::Random(LARGE)));
    for number in 0..MANY {
        drop(world.repository.add(&PackageSpec::new(&format!("small-{number}"))));
    }
    world.repository.write_database();
    let mut machine = world.machine(&["http://127.0.0.1:9/$repo".to_owned()]).start();
    let written = |machine: &Machine| {
        fs_err::metadata(machine.daemon.state_dir().join("catalog.sqlite-wal")).expect("SQLite's log").len()
    };
    let before = written(&machine);
    for package in world.repository.packages() {
        cache(&machine, package);
    }
    // The newest first: so the large one comes last.
    let file = fs_err::File::options().write(true).open(machine.pacman.cached(&large)).expect("the cache is ours");
    file.file().set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(1)).expect("the cache is ours");
    machine.wait_seeding(MANY);
    wait_until("written rows", FETCH_WITHIN, || written(&machine) > before);
    machine.daemon.process().kill();
    assert_eq!(hashed(&machine), MANY, "killed too late");
    machine.daemon.restart();
    assert!(seeded(&machine) >= MANY);
    machine.wait_seeding(MANY + 1);
    assert_eq!(hashed(&machine), MANY + 1, "read again");
}

#[test]
fn what_pacman_and_paccache_remove_from_the_cache_is_not_seeded_any_more() {
    let mut world = World::new();
    let packages = ["a", "b", "c"].map(|name| world.repository.add(&PackageSpec::new(name)));
    world.repository.write_database();
    let mut machine = world.machine(&["http://127.0.0.1:9/$repo".to_owned()]).start();
    for package in &packages {
        cache(&machine, package);
    }
    machine.wait_seeding(3);
    // As paccache does: rm, one by one.
    fs_err::remove_file(machine.pacman.cached(&packages[0])).expect("it is in the cache");
    machine.daemon.wait_for_status("two packages", NOTICED_WITHIN, |status| status.number("packages_seeded") == 2);
    machine.pacman.record_installed([("b".to_owned(), "1-1".to_owned())]);
    machine.pacman.pacman(&["-Sc"]).succeeded();
    let left = machine
        .daemon
        .wait_for_status("what pacman keeps", NOTICED_WITHIN, |status| status.number("packages_seeded") == 1);
    assert!(machine.pacman.cached(&packages[1]).exists());
    assert_eq!(left.number("bytes_seeded"), packages[1].size());
}

#[test]
fn what_pacman_has_copied_is_hashed_when_pacman_is_done_and_the_store_serves_it_until_then() {
    let mut world = World::new();
    for name in ["a", "b"] {
        drop(world.repository.add(&PackageSpec::new(name).payload(Payload::Random(500_000))));
    }
    world.repository.write_database();
    let mirror = Mirror::serve(world.directory.path());
    let mut machine = world.machine(&[mirror.server()]).start();
    machine.pacman.pacman(&["-S", "a", "b"]).succeeded();
    let done = hashed(&machine);
    assert_eq!(done, 0, "hashed while pacman was at work");
    machine.wait_seeding(2);
    machine.daemon.process().wait_for("copies of the cache that were hashed", FETCH_WITHIN, |daemon| {
        (daemon.log().matches("package catalogued").count() == 2).then_some(())
    });
    assert_eq!(seeded(&machine), 2);
}

#[test]
fn packages_of_the_store_are_found_again_when_the_catalog_is_lost() {
    let (world, package) = World::with_package(500_000);
    let mirror = Mirror::serve(world.directory.path());
    let mut machine = world.machine(&[mirror.server()]).start();
    machine.fetch_well(&mirror.url(&world.path(&package)), &package);
    machine.wait_seeding(1);
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs_err::remove_file(machine.daemon.state_dir().join(format!("catalog.sqlite{suffix}")));
    }
    machine.daemon.restart();
    machine.wait_seeding(1);
}
