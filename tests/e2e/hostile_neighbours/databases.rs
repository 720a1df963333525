//! Databases and signatures that nobody should believe, while every mirror is dead.

use std::time::Instant;

use p2p_tests::Keyring;

use super::*;
use crate::signed::{Edition, Signed, edition, wait_signed};
use crate::world::next_second;

/// How long pacman may take to hear that there is nothing new.
const CLEAR_WITHIN: Duration = Duration::from_secs(10);

/// Beside a liar, and with its mirror dead, a machine keeps the database that it has.
#[track_caller]
fn stays_with_its_own(signed: &mut Signed, lie: Edition, trusted_too: Option<&Keyring>) {
    let liar = liar(Lie::Database(lie.0, lie.1));
    let mut machine = signed.machine(vec![liar.address()]);
    machine.refresh("-Sy");
    machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    signed.mirror.stop();
    if let Some(keyring) = trusted_too {
        keyring.add_to_pacman_keyring(&machine.pacman.gpg_dir());
    }
    let before = liar.questions();
    let begun = Instant::now();
    let ran = machine.pacman.pacman(&["-Sy"]);
    eprintln!("{:?}\n{}", begun.elapsed(), ran.output());
    assert!(begun.elapsed() < CLEAR_WITHIN, "{ran}");
    assert!(liar.questions() > before, "it was not asked\n{}", machine.daemon.log());
    assert!(signed.is_current(&machine), "{ran}\n{}", machine.daemon.log());
}

/// The database of a repository of the same name that somebody else has, signed later than ours.
fn of_somebody_else(names: &[&str], keyring: &Keyring) -> Edition {
    next_second();
    let mut world = World::new();
    for name in names {
        world.repository.add(&PackageSpec::new(name).version("9-1"));
    }
    world.repository.repo_add(Some(keyring));
    edition(&world.repository)
}

#[test]
fn an_older_database_of_the_right_key_is_not_taken() {
    let mut signed = Signed::new();
    let old = signed.edition();
    signed.add("fourth");
    stays_with_its_own(&mut signed, old, None);
}

#[test]
fn a_database_with_a_signature_of_something_else_is_not_taken() {
    let mut signed = Signed::new();
    let (_, signature) = signed.edition();
    let (newer, _) = of_somebody_else(&["first", "second", "third"], &signed.keyring);
    stays_with_its_own(&mut signed, (newer, signature), None);
}

#[test]
fn a_database_of_a_stranger_is_not_taken() {
    let mut signed = Signed::new();
    let lie = of_somebody_else(&["first", "second", "third"], &Keyring::generate());
    stays_with_its_own(&mut signed, lie, None);
}

#[test]
fn a_database_of_another_distribution_that_pacman_trusts_is_not_taken() {
    let mut signed = Signed::new();
    let other = Keyring::generate();
    let lie = of_somebody_else(&["first", "second", "third"], &other);
    stays_with_its_own(&mut signed, lie, Some(&other));
}

#[test]
fn another_repositorys_database_of_the_right_key_is_not_taken() {
    let mut signed = Signed::new();
    let lie = of_somebody_else(&["alpha", "beta", "gamma"], &signed.keyring);
    stays_with_its_own(&mut signed, lie, None);
}

/// The newest claim, by a signature of something else, comes just fast enough not to be blamed. An honest neighbour is asked beside it.
#[test]
fn a_slow_newest_database_costs_seconds_and_the_honest_neighbour_nothing() {
    let mut signed = Signed::new();
    let mut machine = signed.machine(Vec::new());
    machine.refresh("-Sy");
    signed.add("fourth");
    let mut honest = signed.machine(Vec::new());
    honest.refresh("-Sy");
    wait_signed(&mut honest.daemon);
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
    assert!(begun.elapsed() < CLEAR_WITHIN, "{ran}\n{}", machine.daemon.log());
    assert!(signed.is_current(&machine), "{ran}\n{}", machine.daemon.log());
    assert!(liar.served() > 0, "it was not tried\n{}", machine.daemon.log());
    assert_eq!(machine.daemon.status().number("neighbours"), 2, "{}", machine.daemon.log());
}

#[test]
fn a_wrong_signature_of_a_package_is_not_taken_and_an_honest_neighbours_is() {
    let mut signed = Signed::new();
    let package = signed.world.repository.packages()[0].clone();
    let (_, of_the_database) = signed.edition();
    let liar = liar(Lie::Signature(of_the_database.clone()));
    let mut honest = signed.machine(Vec::new());
    honest.refresh("-Sy");
    honest.pacman.pacman(&["-S", "first"]).succeeded();
    honest.wait_seeding(1);
    let mut machine = signed.machine(vec![liar.address(), honest.daemon.listen()]);
    machine.refresh("-Sy");
    machine.daemon.wait_for_status("neighbours", FETCH_WITHIN, |status| status.number("neighbours") == 2);
    signed.mirror.stop();
    let ran = machine.pacman.pacman(&["-S", "first"]);
    assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
    assert!(machine.pacman.has_installed(&package), "{ran}");
    let placed = fs_err::read(format!("{}.sig", machine.pacman.cached(&package).display()));
    assert!(placed.is_ok_and(|placed| placed != of_the_database), "{ran}");
    assert!(liar.questions() > 0, "it was not asked");
}
