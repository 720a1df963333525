//! pacman 6.0 never asks for the signatures of packages: we bring them, and must not wait for each in turn.

use p2p_tests::{Keyring, Mirror, Package, PackageSpec, Payload};

use super::{BOUND, SIZE, Scene};
use crate::world::World;

/// Four packages whose signatures no database holds, as repo-add writes it since pacman 6.1.
fn scene(sig_level: &str, keyring: Option<&Keyring>) -> Scene {
    let mut world = World::new();
    let spec = |name| PackageSpec::new(name).payload(Payload::Random(SIZE));
    let packages: Vec<Package> = ["a", "b", "c", "d"].map(|name| world.repository.add(&spec(name))).into();
    world.repository.write_database();
    let mirrors = vec![Mirror::serve(world.directory.path())];
    let machine = world.machine(&[mirrors[0].server()]);
    let machine = match keyring {
        Some(keyring) => {
            for package in &packages {
                keyring.sign(&package.path);
            }
            machine.signed(keyring)
        }
        None => machine,
    };
    let machine = machine.sig_level(sig_level).start();
    machine.pacman.place_database(&world.repository);
    Scene { packages, mirrors, machine, world }
}

/// How often the mirror was asked for the signature of each package.
fn asked(scene: &Scene) -> Vec<usize> {
    let path = |package| format!("{}.sig", scene.path(package));
    scene.packages.iter().map(|package| scene.mirror().requests_for(&path(package)).len()).collect()
}

/// Installs all while the first package stalls: everything else, and every signature, is asked for meanwhile, and once.
fn install(scene: &Scene) {
    let (first, others) = scene.packages.split_first().expect("there are packages");
    scene.stall(first);
    let mut pacman = scene.begin(&["-S", "a", "b", "c", "d"]);
    let is_here = |package: &Package| scene.served(package) == package.size();
    pacman.wait_for("all others and all signatures", BOUND, |_| {
        (others.iter().all(is_here) && asked(scene) == [1; 4]).then_some(())
    });
    scene.heal(first);
    assert!(pacman.wait(BOUND).success(), "{}", pacman.log());
    scene.assert_installed(&scene.packages);
    assert_eq!(asked(scene), [1; 4]);
}

#[test]
fn they_come_with_their_packages_while_pacman_waits_for_its_first_file() {
    let keyring = Keyring::generate();
    let scene = scene("PackageRequired DatabaseOptional", Some(&keyring));
    install(&scene);
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn missing_ones_are_asked_for_once_and_ahead() {
    install(&scene("Optional", None));
}

#[test]
fn nobody_asks_for_them_where_pacman_checks_none() {
    let scene = scene("Never", None);
    scene.machine.pacman.pacman(&["-S", "a", "b", "c", "d"]).succeeded();
    scene.assert_installed(&scene.packages);
    assert_eq!(asked(&scene), [0; 4]);
}
