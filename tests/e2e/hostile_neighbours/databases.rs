//! Databases and signatures that nobody should believe, while every mirror is dead.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use p2p_tests::{Keyring, Repository, wait_until};

use super::*;

/// How long pacman may take to hear that there is nothing new.
const CLEAR_WITHIN: Duration = Duration::from_secs(10);
/// The same where one neighbour is slow: its try takes 15 s at most.
const ONE_TRY_WITHIN: Duration = Duration::from_secs(25);

/// A signed repository, its mirror, and a machine that has the database.
struct Signed {
    world: World,
    keyring: Keyring,
    mirror: Mirror,
}

impl Signed {
    fn new() -> Self {
        let mut world = World::new();
        for name in ["first", "second", "third"] {
            world.repository.add(&PackageSpec::new(name));
        }
        let keyring = Keyring::generate();
        world.repository.repo_add(Some(&keyring));
        let mirror = Mirror::serve(world.directory.path());
        Self { world, keyring, mirror }
    }

    /// A machine beside this liar that has the database of now; then the mirror dies.
    #[track_caller]
    fn machine_beside(&mut self, liar: &LyingNeighbour) -> Machine {
        let machine = self.world.machine(&[self.mirror.server()]).signed(&self.keyring);
        let peers = vec![liar.address()];
        let mut machine = machine.daemon(|options| DaemonOptions { peers, ..options }).start();
        machine.pacman.pacman(&["-Sy"]).succeeded();
        machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
        self.mirror.stop();
        machine
    }

    /// Whatever pacman is told, it keeps the database that it has.
    #[track_caller]
    fn stays_with_its_own(&mut self, lie: (Vec<u8>, Vec<u8>), trusted_too: Option<&Keyring>) {
        let liar = liar(Lie::Database(lie.0, lie.1));
        let machine = self.machine_beside(&liar);
        if let Some(keyring) = trusted_too {
            keyring.add_to_pacman_keyring(&machine.pacman.gpg_dir());
        }
        let before = liar.questions();
        let begun = Instant::now();
        let ran = machine.pacman.pacman(&["-Sy"]);
        eprintln!("{:?}\n{}", begun.elapsed(), ran.output());
        assert!(begun.elapsed() < CLEAR_WITHIN, "{ran}");
        assert!(liar.questions() > before, "it was not asked\n{}", machine.daemon.log());
        let kept = fs_err::read(machine.pacman.db_path().join("sync/core.db")).expect("pacman has a database");
        assert!(kept == database(&self.world.repository).0, "{ran}\n{}", machine.daemon.log());
    }
}

/// A repository's database and its signature now.
fn database(repository: &Repository) -> (Vec<u8>, Vec<u8>) {
    let read = |suffix: &str| -> Vec<u8> {
        let path: PathBuf = repository.directory().join(format!("{}.db{suffix}", repository.name()));
        fs_err::read(path).expect("the repository is signed")
    };
    (read(""), read(".sig"))
}

/// Signatures are dated by the second.
fn next_second() {
    let seconds = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let before = seconds();
    wait_until("the next second", Duration::from_secs(5), || seconds() > before);
}

/// The database of a repository of the same name that somebody else has, signed later than ours.
fn of_somebody_else(names: &[&str], keyring: &Keyring) -> (Vec<u8>, Vec<u8>) {
    next_second();
    let mut world = World::new();
    for name in names {
        world.repository.add(&PackageSpec::new(name).version("9-1"));
    }
    world.repository.repo_add(Some(keyring));
    database(&world.repository)
}

#[test]
fn an_older_database_of_the_right_key_is_not_taken() {
    let mut signed = Signed::new();
    let old = database(&signed.world.repository);
    next_second();
    signed.world.repository.add(&PackageSpec::new("fourth"));
    signed.world.repository.repo_add(Some(&signed.keyring));
    signed.stays_with_its_own(old, None);
}

#[test]
fn a_database_with_a_signature_of_something_else_is_not_taken() {
    let mut signed = Signed::new();
    let (_, signature) = database(&signed.world.repository);
    let (newer, _) = of_somebody_else(&["first", "second", "third"], &signed.keyring);
    signed.stays_with_its_own((newer, signature), None);
}

#[test]
fn a_database_of_a_stranger_is_not_taken() {
    let mut signed = Signed::new();
    let lie = of_somebody_else(&["first", "second", "third"], &Keyring::generate());
    signed.stays_with_its_own(lie, None);
}

#[test]
fn a_database_of_another_distribution_that_pacman_trusts_is_not_taken() {
    let mut signed = Signed::new();
    let other = Keyring::generate();
    let lie = of_somebody_else(&["first", "second", "third"], &other);
    signed.stays_with_its_own(lie, Some(&other));
}

#[test]
fn another_repositorys_database_of_the_right_key_is_not_taken() {
    let mut signed = Signed::new();
    let lie = of_somebody_else(&["alpha", "beta", "gamma"], &signed.keyring);
    signed.stays_with_its_own(lie, None);
}

/// The newest claim, by a signature of something else, comes just fast enough not to be blamed.
#[test]
fn a_slow_newest_database_costs_one_try_and_the_honest_neighbour_nothing() {
    let mut signed = Signed::new();
    let start = |signed: &Signed| {
        let machine = signed.world.machine(&[signed.mirror.server()]).signed(&signed.keyring);
        let machine = machine.daemon(|options| options).start();
        machine.pacman.pacman(&["-Sy"]).succeeded();
        machine
    };
    let mut machine = start(&signed);
    next_second();
    signed.world.repository.add(&PackageSpec::new("fourth"));
    signed.world.repository.repo_add(Some(&signed.keyring));
    let mut honest = start(&signed);
    honest.daemon.wait_for_status("a signed database", FETCH_WITHIN, |status| {
        status.json()["databases"][0]["signed_age_seconds"].is_number()
    });
    let (newer, signature) = of_somebody_else(&["first"], &signed.keyring);
    let liar = liar(Lie::SlowDatabase([newer, vec![0; 900_000]].concat(), signature, 40_000));
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    machine.daemon.reconfigure(|options| options.peers = vec![liar.address(), honest.daemon.listen()]);
    machine.daemon.restart();
    machine.daemon.wait_for_status("neighbours", FETCH_WITHIN, |status| status.number("neighbours") == 2);
    signed.mirror.stop();
    let begun = Instant::now();
    let ran = machine.pacman.pacman(&["-Sy"]);
    eprintln!("{:?}\n{}", begun.elapsed(), ran.output());
    assert!(begun.elapsed() < ONE_TRY_WITHIN, "{ran}\n{}", machine.daemon.log());
    let taken = fs_err::read(machine.pacman.db_path().join("sync/core.db")).expect("pacman has a database");
    assert!(taken == database(&signed.world.repository).0, "{ran}\n{}", machine.daemon.log());
    assert!(machine.daemon.log().contains("it comes too slowly"), "it was not tried\n{}", machine.daemon.log());
    assert_eq!(machine.daemon.status().number("neighbours"), 2, "{}", machine.daemon.log());
}

#[test]
fn a_wrong_signature_of_a_package_is_not_taken_and_an_honest_neighbours_is() {
    let mut world = World::new();
    let package = world.repository.add(&PackageSpec::new("wanted"));
    let keyring = Keyring::generate();
    keyring.sign(&package.path);
    // No signature of a package stands in this database.
    world.repository.write_database();
    let database = world.repository.directory().join("core.db");
    keyring.sign(&database);
    let mut mirror = Mirror::serve(world.directory.path());
    let of_the_database = fs_err::read(database.with_extension("db.sig")).expect("it was just signed");
    let liar = liar(Lie::Signature(of_the_database.clone()));
    let machine = |peers| {
        let machine = world.machine(&[mirror.server()]).signed(&keyring);
        let machine = machine.daemon(|options| DaemonOptions { peers, ..options }).start();
        machine.pacman.pacman(&["-Sy"]).succeeded();
        machine
    };
    let mut honest = machine(Vec::new());
    honest.pacman.pacman(&["-S", "wanted"]).succeeded();
    honest.wait_seeding(1);
    let mut machine = machine(vec![liar.address(), honest.daemon.listen()]);
    machine.daemon.wait_for_status("neighbours", FETCH_WITHIN, |status| status.number("neighbours") == 2);
    mirror.stop();
    let ran = machine.pacman.pacman(&["-S", "wanted"]);
    assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
    assert!(machine.pacman.has_installed(&package), "{ran}");
    let placed = fs_err::read(format!("{}.sig", machine.pacman.cached(&package).display()));
    assert!(placed.is_ok_and(|placed| placed != of_the_database), "{ran}");
    assert!(liar.questions() > 0, "it was not asked");
}
