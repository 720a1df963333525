//! The real pacman against the real nginx, through client and daemon.

use p2p_tests::{Host, Keyring, Nginx, Package, PackageSpec, Payload};

use crate::world::World;

/// An application, its library, and something that nobody asks for.
fn fill(world: &mut World) -> (Package, Package) {
    let library = PackageSpec::new("library").version("1:2.0+r5-1").arch("x86_64").payload(Payload::Random(900_000));
    let library = world.repository.add(&library);
    let application = PackageSpec::new("application").depends("library").payload(Payload::Random(300_000));
    let application = world.repository.add(&application);
    let _other = world.repository.add(&PackageSpec::new("other"));
    (application, library)
}

#[test]
fn pacman_refreshes_and_installs_with_dependencies_and_the_machine_seeds_what_it_got() {
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    world.repository.repo_add(None);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let mut machine = world.machine(&[nginx.server()]).start();
    machine.pacman.pacman(&["-Sy"]).succeeded();
    machine.pacman.pacman(&["-S", "application", "other"]).succeeded();
    for package in [&application, &library] {
        assert!(package.is_at(&machine.pacman.cached(package)), "{}", package.file_name());
        assert!(machine.pacman.has_installed(package), "{}", package.file_name());
    }
    let listed = machine.pacman.pacman(&["-Q"]);
    assert_eq!(listed.stdout, "application 1-1\nlibrary 1:2.0+r5-1\nother 1-1\n");
    machine.wait_seeding(3);
}

#[test]
fn pacman_upgrades_to_the_new_version() {
    let mut world = World::new();
    let (_application, library) = fill(&mut world);
    world.repository.repo_add(None);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let machine = world.machine(&[nginx.server()]).start();
    machine.pacman.pacman(&["-Sy", "application"]).succeeded();
    let newer = PackageSpec::new("library").version("1:2.1-1").arch("x86_64").payload(Payload::Random(800_000));
    let newer = world.repository.add(&newer);
    world.repository.repo_add(None);
    machine.pacman.pacman(&["-Syu"]).succeeded();
    assert!(newer.is_at(&machine.pacman.cached(&newer)));
    assert!(library.is_at(&machine.pacman.cached(&library)), "the old version stays in the cache");
    assert_eq!(machine.pacman.pacman(&["-Q", "library"]).stdout, "library 1:2.1-1\n");
    let again = machine.pacman.pacman(&["-Syu"]);
    assert!(again.succeeded().stdout.contains("there is nothing to do"), "{again}");
}

#[test]
fn pacman_only_downloads_what_it_is_told_to_download_only() {
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    world.repository.repo_add(None);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let machine = world.machine(&[nginx.server()]).start();
    machine.pacman.pacman(&["-Syw", "application"]).succeeded();
    for package in [&application, &library] {
        assert!(package.is_at(&machine.pacman.cached(package)), "{}", package.file_name());
        assert!(!machine.pacman.has_installed(package), "{}", package.file_name());
    }
    machine.pacman.pacman(&["-S", "application"]).succeeded();
    assert!(machine.pacman.has_installed(&application));
}

#[test]
fn pacman_installs_from_a_url_at_the_second_try_as_it_does_with_curl() {
    let mut world = World::new();
    let package = world.repository.add(&PackageSpec::new("alone").payload(Payload::Random(400_000)));
    world.repository.repo_add(None);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let machine = world.machine(&[nginx.server()]).start();
    let url = nginx.url(&world.path(&package));
    let first = machine.pacman.pacman(&["-U", &url]);
    assert!(first.failed().output().contains("no file in the cache"), "{first}");
    assert!(package.is_at(&machine.pacman.cached(&package)));
    machine.pacman.pacman(&["-U", &url]).succeeded();
    assert!(machine.pacman.has_installed(&package));
}

#[test]
fn pacman_requires_signatures_of_packages_and_databases_and_gets_them() {
    let keyring = Keyring::generate();
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    world.repository.repo_add(Some(&keyring));
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let machine = world.machine(&[nginx.server()]).signed(&keyring).start();
    machine.pacman.pacman(&["-Sy"]).succeeded();
    machine.pacman.pacman(&["-S", "application"]).succeeded();
    for package in [&application, &library] {
        assert!(package.is_at(&machine.pacman.cached(package)), "{}", package.file_name());
        assert!(machine.pacman.has_installed(package), "{}", package.file_name());
    }
}

#[test]
fn pacman_gets_signatures_that_the_database_does_not_bring() {
    let keyring = Keyring::generate();
    let mut world = World::new();
    let (application, _library) = fill(&mut world);
    for package in world.repository.packages() {
        keyring.sign(&package.path);
    }
    // As repo-add writes it since pacman 6.1: without PGPSIG.
    world.repository.write_database();
    keyring.sign(&world.repository.directory().join("core.db"));
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let machine = world.machine(&[nginx.server()]).signed(&keyring).start();
    machine.pacman.pacman(&["-Sy"]).succeeded();
    machine.pacman.pacman(&["-S", "application"]).succeeded();
    assert!(machine.pacman.has_installed(&application));
    assert!(nginx.served(".pkg.tar.zst.sig") > 0);
}

#[test]
fn pacman_installs_a_package_whose_signature_is_wrong_by_no_means() {
    let keyring = Keyring::generate();
    let stranger = Keyring::generate();
    let mut world = World::new();
    let package = world.repository.add(&PackageSpec::new("forged").payload(Payload::Random(300_000)));
    world.repository.repo_add(Some(&stranger));
    let database = world.repository.directory().join("core.db");
    keyring.sign(&database);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let machine = world.machine(&[nginx.server()]).signed(&keyring).start();
    machine.pacman.pacman(&["-Sy"]).succeeded();
    machine.pacman.pacman(&["-S", "forged"]).failed();
    assert!(!machine.pacman.has_installed(&package));
}

#[test]
fn pacman_installs_without_the_daemon_and_is_told_so_in_one_line() {
    let mut world = World::new();
    let (application, _library) = fill(&mut world);
    world.repository.repo_add(None);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let mut machine = world.machine(&[nginx.server()]).start();
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    let refreshed = machine.pacman.pacman(&["-Sy"]);
    assert_eq!(refreshed.succeeded().output().matches("p2pd").count(), 1, "{refreshed}");
    machine.pacman.pacman(&["-S", "application"]).succeeded();
    assert!(machine.pacman.has_installed(&application));
}
