//! The real pacman 6.0.2 with its own downloader.

use std::time::Duration;

use p2p_tests::{Fault, Host, Keyring, Mirror, Nginx, Package, PackageSpec, Payload, run, wait_until};

use super::Front;
use crate::world::World;

const PACMAN_WITHIN: Duration = Duration::from_mins(2);

/// An application, and its library with a name that URLs like to encode.
fn fill(world: &mut World) -> (Package, Package) {
    let library = PackageSpec::new("library").version("1:2.0+r5-1").arch("x86_64").payload(Payload::Random(900_000));
    let library = world.repository.add(&library);
    let application = PackageSpec::new("application").depends("library").payload(Payload::Random(300_000));
    (world.repository.add(&application), library)
}

/// Requests that pacman itself sent to the mirror.
fn by_pacman(mirror: &Mirror) -> Vec<String> {
    let is_pacmans = |agent: &Option<String>| agent.as_deref().is_some_and(|agent| agent.starts_with("pacman/"));
    let requests = mirror.requests().into_iter().filter(|request| is_pacmans(&request.user_agent));
    requests.map(|request| request.path).collect()
}

#[track_caller]
fn assert_installed(front: &Front, packages: &[&Package]) {
    for package in packages {
        assert!(package.is_at(&front.pacman.cached(package)), "{}", package.file_name());
        assert!(front.pacman.has_installed(package), "{}", package.file_name());
    }
}

#[test]
fn pacman_refreshes_and_installs_through_the_cache_server_alone() {
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    world.repository.repo_add(None);
    let mirror = Mirror::serve(world.directory.path());
    let mut front = Front::start(&world, &[mirror.server()]);
    front.pacman.pacman(&["-Syy"]).succeeded();
    assert!(!front.daemon.log().contains("status=304"));
    front.pacman.pacman(&["-Sy"]).succeeded();
    assert!(front.daemon.log().contains("status=304"), "{}", front.daemon.log());
    let ran = front.pacman.pacman(&["-S", "application"]);
    assert!(!ran.succeeded().output().contains("error"), "{ran}");
    assert_installed(&front, &[&application, &library]);
    assert_eq!(by_pacman(&mirror), [""; 0]);
    front.daemon.wait_for_status("both packages seeded", PACMAN_WITHIN, |status| status.number("packages_seeded") == 2);
}

#[test]
fn pacman_gets_a_changed_database_and_the_new_version() {
    let mut world = World::new();
    fill(&mut world);
    world.repository.repo_add(None);
    let mirror = Mirror::serve(world.directory.path());
    let front = Front::start(&world, &[mirror.server()]);
    front.pacman.pacman(&["-Sy", "application"]).succeeded();
    let newer = PackageSpec::new("library").version("1:2.1-1").arch("x86_64").payload(Payload::Random(800_000));
    let newer = world.repository.add(&newer);
    world.repository.repo_add(None);
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    let database = world.repository.directory().join("core.db");
    let database = fs_err::File::options().write(true).open(database).expect("our own file");
    database.file().set_modified(later).expect("our own file");
    front.pacman.pacman(&["-Syu"]).succeeded();
    assert!(newer.is_at(&front.pacman.cached(&newer)));
    assert_eq!(by_pacman(&mirror), [""; 0]);
}

#[test]
fn pacman_gets_signed_packages_whose_signatures_are_in_the_database() {
    let keyring = Keyring::generate();
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    world.repository.repo_add(Some(&keyring));
    let mirror = Mirror::serve(world.directory.path());
    let front = Front::signed(&world, &[mirror.server()], &keyring);
    front.pacman.pacman(&["-Sy"]).succeeded();
    front.pacman.pacman(&["-S", "application"]).succeeded();
    assert_installed(&front, &[&application, &library]);
    assert_eq!(by_pacman(&mirror), [""; 0]);
    let signature = front.get(&format!("{}.sig", world.path(&library)), &[]);
    let signed = fs_err::read(format!("{}.sig", library.path.display())).expect("a signature");
    assert_eq!((signature.status, signature.body), (200, signed));
}

/// Detached signatures of all packages and the database, as repo-add leaves them since pacman 6.1: without PGPSIG.
fn sign_apart(world: &World, keyring: &Keyring) {
    for package in world.repository.packages() {
        keyring.sign(&package.path);
    }
    world.repository.write_database();
    keyring.sign(&world.repository.directory().join("core.db"));
}

#[test]
fn pacman_gets_detached_signatures_where_it_got_the_packages_and_no_mirror_is_asked_twice() {
    let keyring = Keyring::generate();
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    sign_apart(&world, &keyring);
    let mirror = Mirror::serve(world.directory.path());
    let front = Front::signed(&world, &[mirror.server()], &keyring);
    front.pacman.pacman(&["-Sy"]).succeeded();
    front.pacman.pacman(&["-S", "application"]).succeeded();
    assert_installed(&front, &[&application, &library]);
    assert_eq!(by_pacman(&mirror), [""; 0]);
    for package in [&application, &library] {
        assert_eq!(mirror.requests_for(&format!("{}.sig", world.path(package))).len(), 1);
    }
}

#[test]
fn pacman_does_not_get_a_package_from_us_when_its_signature_cannot_be_had() {
    let keyring = Keyring::generate();
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    sign_apart(&world, &keyring);
    let (bad, good) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    for package in [&application, &library] {
        bad.fault(&format!("{}.sig", world.path(package)), Fault::Delay(PACMAN_WITHIN));
    }
    let front = Front::signed(&world, &[bad.server(), good.server()], &keyring);
    front.pacman.pacman(&["-Sy"]).succeeded();
    for package in [&application, &library] {
        good.fault(&format!("{}.sig", world.path(package)), Fault::Delay(PACMAN_WITHIN));
    }
    let asked = std::time::Instant::now();
    let answer = front.get(&world.path(&library), &[]);
    assert_eq!(answer.status, 302, "{}", answer.head);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn pacman_resumes_what_it_has_of_a_package() {
    let mut world = World::new();
    let (_, library) = fill(&mut world);
    world.repository.repo_add(None);
    let mirror = Mirror::serve(world.directory.path());
    let front = Front::start(&world, &[mirror.server()]);
    front.pacman.pacman(&["-Sy"]).succeeded();
    let part = front.pacman.cache().join(format!("{}.part", library.file_name()));
    fs_err::write(part, &library.bytes()[..200_000]).expect("our own cache");
    front.pacman.pacman(&["-S", "library"]).succeeded();
    assert_installed(&front, &[&library]);
    assert_eq!(by_pacman(&mirror), [""; 0]);
    assert!(front.daemon.log().contains("status=206"), "{}", front.daemon.log());
}

/// The daemon ends while it streams: pacman takes the rest from its mirror.
fn lose_the_daemon(end: impl FnOnce(&mut Front)) {
    let mut world = World::new();
    let big = world.repository.add(&PackageSpec::new("big").payload(Payload::Random(4_000_000)));
    let (application, library) = fill(&mut world);
    world.repository.repo_add(None);
    let mirror = Mirror::serve(world.directory.path());
    let mut front = Front::start(&world, &[mirror.server()]);
    front.pacman.pacman(&["-Sy"]).succeeded();
    let path = world.path(&big);
    mirror.fault(&path, Fault::Rate(400_000));
    let command = front.pacman.command(&["-S", "big", "application"]);
    std::thread::scope(|scope| {
        let pacman = scope.spawn(|| run(command, PACMAN_WITHIN));
        let part = front.pacman.cache().join(format!("{}.part", big.file_name()));
        let has_come = || fs_err::metadata(&part).is_ok_and(|metadata| metadata.len() > 1_800_000);
        wait_until("the middle of the download", PACMAN_WITHIN, has_come);
        assert_eq!(mirror.requests_for(&path).len(), 1);
        end(&mut front);
        mirror.heal(&path);
        pacman.join().expect("pacman ends").succeeded();
    });
    assert_installed(&front, &[&big, &application, &library]);
    let rest = mirror.requests_for(&path).pop().and_then(|request| request.range).expect("pacman resumes");
    assert_ne!(rest, "bytes=0-");
}

#[test]
fn pacman_goes_on_with_its_mirrors_when_the_daemon_stops_in_the_middle() {
    lose_the_daemon(|front| assert!(front.daemon.process().stop().success()));
}

#[test]
fn pacman_goes_on_with_its_mirrors_when_the_daemon_is_killed_in_the_middle() {
    lose_the_daemon(|front| front.daemon.process().kill());
}

#[test]
fn pacman_installs_without_the_daemon() {
    let mut world = World::new();
    let (application, library) = fill(&mut world);
    world.repository.repo_add(None);
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let mut front = Front::start(&world, &[nginx.server()]);
    assert!(front.daemon.process().stop().success());
    front.pacman.pacman(&["-Sy"]).succeeded();
    front.pacman.pacman(&["-S", "application"]).succeeded();
    assert_installed(&front, &[&application, &library]);
}

#[test]
fn fifty_parallel_downloads_are_served() {
    let mut world = World::new();
    let packages: Vec<Package> = (0..70)
        .map(|n| world.repository.add(&PackageSpec::new(&format!("p{n}")).payload(Payload::Random(50_000 + n * 1000))))
        .collect();
    world.repository.repo_add(None);
    let mirror = Mirror::serve(world.directory.path());
    let mut front = Front::start(&world, &[mirror.server()]);
    front.configure(|options| options.lines = vec!["ParallelDownloads = 50".into()]);
    front.pacman.pacman(&["-Sy"]).succeeded();
    let names: Vec<&str> = packages.iter().map(Package::name).collect();
    let arguments: Vec<&str> = ["-S"].into_iter().chain(names).collect();
    let ran = front.pacman.pacman(&arguments);
    assert!(!ran.succeeded().output().contains("error"), "{ran}");
    assert_installed(&front, &packages.iter().collect::<Vec<_>>());
    assert_eq!(by_pacman(&mirror), [""; 0]);
}

#[test]
fn a_package_that_the_mirror_corrupts_is_never_sent_whole() {
    let mut world = World::new();
    let big = world.repository.add(&PackageSpec::new("big").payload(Payload::Random(3_000_000)));
    world.repository.repo_add(None);
    let mirror = Mirror::serve(world.directory.path());
    let front = Front::start(&world, &[mirror.server()]);
    let path = world.path(&big);
    mirror.fault(&path, Fault::Rate(400_000));
    mirror.fault(&path, Fault::CorruptAt(1_000));
    let answer = front.get(&path, &[]);
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.length() as u64, big.size());
    assert!((answer.body.len() as u64) < big.size(), "the whole file was sent");
}
