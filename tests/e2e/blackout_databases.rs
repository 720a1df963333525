//! Databases and signatures when every mirror is dead: a neighbour's, if they are good, and otherwise what pacman has.

use std::time::{Duration, Instant};

use p2p_tests::{DaemonOptions, Fault, Host, Keyring, Lie, LyingNeighbour, Mirror, Package, PackageSpec};

use crate::signed::{Edition, Signed, edition, wait_signed};
use crate::world::{FALLBACK, FETCH_WITHIN, Machine, World, next_second};

/// How long pacman may take to hear that no mirror answers.
const CLEAR_WITHIN: Duration = Duration::from_secs(10);

/// Two neighbours: the first has what the mirror has now, the second has not looked since `earlier`.
fn neighbours(signed: &mut Signed, earlier: impl FnOnce(&mut Signed) -> Package) -> ([Machine; 2], Package) {
    let first = signed.machine(Vec::new());
    let second = signed.machine(vec![first.daemon.listen()]);
    second.refresh("-Sy");
    let package = earlier(signed);
    first.refresh("-Sy");
    let mut machines = [first, second];
    meet(&mut machines);
    (machines, package)
}

fn meet(machines: &mut [Machine]) {
    for machine in machines {
        machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") >= 1);
    }
}

#[test]
fn a_newer_database_a_package_and_its_signature_come_from_a_neighbour_when_every_mirror_is_dead() {
    let mut signed = Signed::new();
    let ([mut first, second], package) = neighbours(&mut signed, |signed| signed.add("fourth"));
    let installed = first.pacman.pacman(&["-S", "fourth"]);
    assert!(!installed.succeeded().output().contains(FALLBACK), "{installed}");
    first.wait_seeding(1);
    wait_signed(&mut first.daemon);
    let from_mirrors = second.daemon.status().from_mirrors();
    signed.mirror.stop();
    let begun = Instant::now();
    second.refresh("-Sy");
    assert!(begun.elapsed() < CLEAR_WITHIN, "{:?}", begun.elapsed());
    assert!(signed.is_current(&second), "{}", second.daemon.log());
    let ran = second.pacman.pacman(&["-S", "fourth"]);
    assert!(!ran.succeeded().output().contains(FALLBACK), "{ran}\n{}", second.daemon.log());
    assert!(second.pacman.has_installed(&package));
    let status = second.daemon.status();
    assert_eq!(status.from_mirrors(), from_mirrors, "{}", second.daemon.log());
    assert!(status.from_peers() > package.size(), "the database came from there, too: {}", status.json());
}

#[test]
fn without_anything_newer_pacman_stays_with_its_database_also_when_forced_and_after_a_restart() {
    let mut signed = Signed::new();
    let mut machine = signed.machine(Vec::new());
    machine.refresh("-Sy");
    signed.mirror.stop();
    for restart in [false, true] {
        if restart {
            assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
            machine.daemon.restart();
        }
        for flags in ["-Sy", "-Syy"] {
            let begun = Instant::now();
            machine.refresh(flags);
            assert!(begun.elapsed() < CLEAR_WITHIN, "{flags}: {:?}", begun.elapsed());
            assert!(signed.is_current(&machine), "{flags}");
            assert!(machine.pacman.pacman(&["-Si", "first"]).status.success(), "{flags}: the pair is good");
        }
    }
}

#[test]
fn mirrors_that_say_nothing_cost_seconds_and_less_the_next_time() {
    let mut signed = Signed::new();
    let ([mut first, second], _package) = neighbours(&mut signed, |signed| signed.add("fourth"));
    wait_signed(&mut first.daemon);
    signed.mirror.fault("*", Fault::Delay(Duration::from_mins(1)));
    for most in [CLEAR_WITHIN, CLEAR_WITHIN / 2] {
        let begun = Instant::now();
        second.refresh("-Sy");
        let elapsed = begun.elapsed();
        assert!(elapsed < most, "{elapsed:?}\n{}", second.daemon.log());
        assert!(signed.is_current(&second), "{}", second.daemon.log());
    }
}

#[test]
fn a_database_that_nobody_signs_stays_as_it_is() {
    let mut world = World::new();
    world.repository.add(&PackageSpec::new("first"));
    world.repository.write_database();
    let mut mirror = Mirror::serve(world.directory.path());
    let first = world.machine(&[mirror.server()]).start();
    let listen = first.daemon.listen();
    let second = world.machine(&[mirror.server()]);
    let second = second.daemon(|options| DaemonOptions { peers: vec![listen], ..options }).start();
    let before = second.pacman.sync_database(&world.repository);
    world.repository.add(&PackageSpec::new("second"));
    world.repository.write_database();
    first.refresh("-Sy");
    let mut machines = [first, second];
    meet(&mut machines);
    mirror.stop();
    let [_first, second] = machines;
    second.refresh("-Sy");
    let after = second.pacman.sync_database(&world.repository);
    assert!(after == before, "{}", second.daemon.log());
}

/// Whether a neighbour with such a database and signature is heard in vain, alone and beside an honest one.
#[track_caller]
fn is_refused(lie: impl Fn(&mut Signed) -> Edition, why: &str) {
    let lie = |signed: &mut Signed| {
        let (database, signature) = lie(signed);
        Lie::Database(database, signature)
    };
    is_no_use(lie, why);
}

#[track_caller]
fn is_no_use(lie: impl Fn(&mut Signed) -> Lie, why: &str) {
    for beside_an_honest_one in [false, true] {
        let mut signed = Signed::new();
        let first = signed.machine(Vec::new());
        let second = signed.machine(Vec::new());
        second.refresh("-Sy");
        next_second();
        let liar = LyingNeighbour::listen(&Host::loopback(), lie(&mut signed));
        let mut peers = vec![liar.address()];
        if beside_an_honest_one {
            signed.add("fourth");
            peers.push(first.daemon.listen());
            first.refresh("-Sy");
        }
        let (mut first, mut second) = (first, second);
        let count = peers.len() as u64;
        assert!(second.daemon.process().stop().success(), "{}", second.daemon.log());
        second.daemon.reconfigure(|options| options.peers = peers);
        second.daemon.restart();
        second.daemon.wait_for_status("its neighbours", FETCH_WITHIN, |status| status.number("neighbours") == count);
        if beside_an_honest_one {
            wait_signed(&mut first.daemon);
        }
        let before = second.pacman.sync_database(&signed.world.repository);
        signed.mirror.stop();
        let begun = Instant::now();
        second.refresh("-Sy");
        assert!(begun.elapsed() < CLEAR_WITHIN, "{:?}", begun.elapsed());
        let after = second.pacman.sync_database(&signed.world.repository);
        let log = second.daemon.log();
        if beside_an_honest_one {
            assert!(signed.is_current(&second), "{log}");
        } else {
            assert!(after == before && log.contains(why), "{log}");
        }
        assert!(second.pacman.pacman(&["-Si", "first"]).status.success(), "{log}");
    }
}

#[test]
fn a_database_with_the_signature_of_other_bytes_is_refused() {
    let lie = |signed: &mut Signed| {
        signed.keyring.sign(&signed.world.repository.packages()[0].path);
        let signature = format!("{}.sig", signed.world.repository.packages()[0].path.display());
        (signed.edition().0, fs_err::read(signature).expect("a signature"))
    };
    is_refused(lie, "it is not of these bytes");
}

#[test]
fn a_database_that_drips_in_costs_seconds() {
    let lie = |signed: &mut Signed| {
        let honest = signed.edition();
        signed.keyring.sign(&signed.world.repository.database());
        let (database, signature) = signed.edition();
        signed.restore(honest);
        Lie::SlowDatabase(database, signature, 10)
    };
    is_no_use(lie, "it did not come in time");
}

#[test]
fn a_database_that_another_key_signed_is_refused_before_it_is_fetched() {
    let lie = |signed: &mut Signed| {
        let honest = signed.edition();
        signed.publish(&Keyring::generate());
        let forged = signed.edition();
        signed.restore(honest);
        forged
    };
    is_refused(lie, "another key signed the last one");
}

#[test]
fn an_older_database_is_refused_before_it_is_fetched() {
    is_refused(|signed| signed.edition(), "it is not newer than the last one");
}

#[test]
fn another_distributions_database_by_the_same_key_is_refused() {
    let lie = |signed: &mut Signed| {
        let honest = signed.edition();
        let mut other = World::new();
        for name in ["one", "two", "three"] {
            other.repository.add(&PackageSpec::new(name));
        }
        other.repository.write_database();
        signed.keyring.sign(&other.repository.database());
        signed.restore(honest);
        edition(&other.repository)
    };
    is_refused(lie, "it lists other packages than the last one");
}

#[test]
fn a_wrong_signature_of_a_package_is_not_handed_over() {
    let mut signed = Signed::new();
    let package = signed.world.repository.packages()[0].clone();
    let wrong = fs_err::read(format!("{}.sig", signed.world.repository.packages()[1].path.display()));
    let liar = LyingNeighbour::listen(&Host::loopback(), Lie::Signature(wrong.expect("a signature")));
    let mut machine = signed.machine(vec![liar.address()]);
    machine.refresh("-Sy");
    let url = signed.mirror.url(&signed.world.path(&package));
    machine.fetch_well(&url, &package);
    machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    signed.mirror.stop();
    let out = tempfile::tempdir().expect("a temporary directory");
    let out = out.path().join("signature");
    let ran = machine.daemon.client().fetch(&format!("{url}.sig"), &out, FETCH_WITHIN);
    assert!(!ran.status.success() && !out.exists(), "{ran}");
    let log = machine.daemon.log();
    assert!(log.contains("a neighbour's signature is not taken"), "{log}");
}
