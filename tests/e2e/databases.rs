//! Databases that have not changed, mirrors that lie about them, and pages that pass for them.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use p2p_tests::{Fault, Keyring, Mirror, MirrorRequest, PackageSpec, Payload};

use crate::world::{FALLBACK, FETCH_WITHIN, Machine, World};

const HOUR: Duration = Duration::from_hours(1);

/// A repository whose database was written two hours ago.
fn world() -> World {
    let mut world = World::new();
    world.repository.add(&PackageSpec::new("first").payload(Payload::Random(300_000)));
    world.repository.write_database();
    date(&world.repository.database(), SystemTime::now() - 2 * HOUR);
    world
}

fn path(world: &World) -> String {
    world.repository.url_path("core.db")
}

fn date(path: &Path, at: SystemTime) {
    let file = fs_err::File::options().write(true).open(path).expect("the test's own file");
    file.file().set_modified(at).expect("the test's own file");
}

/// Lists another package in the database, which is an hour old then.
fn change(world: &mut World) {
    world.repository.add(&PackageSpec::new("second"));
    world.repository.write_database();
    date(&world.repository.database(), SystemTime::now() - HOUR);
}

/// Whether pacman's database is the mirror's of now.
fn is_current(machine: &Machine, world: &World) -> bool {
    let newest = fs_err::read(world.repository.database()).expect("the repository has a database");
    machine.pacman.sync_database(&world.repository) == newest
}

/// The requests of one pacman run.
fn during(mirror: &Mirror, run: impl FnOnce()) -> Vec<MirrorRequest> {
    let before = mirror.requests().len();
    run();
    mirror.requests().split_off(before)
}

#[test]
fn a_refresh_that_finds_nothing_new_costs_one_request_and_no_body_also_after_a_restart() {
    let world = world();
    let mirror = Mirror::serve(world.directory.path());
    mirror.fault(&path(&world), Fault::EntityTag("\"one\"".into()));
    let mut machine = world.machine(&[mirror.server()]).sig_level("Optional").start();
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world));
    for restart in [false, true] {
        if restart {
            assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
            machine.daemon.restart();
        }
        let requests = during(&mirror, || drop(machine.refresh("-Sy")));
        let database = requests.iter().find(|request| request.path == path(&world)).expect("the mirror is asked");
        assert_eq!((database.status, database.served), (304, 0));
        assert_eq!(database.if_none_match.as_deref(), Some("\"one\""));
        assert!(database.if_modified_since.is_some());
        // A missing signature is not written down.
        assert_eq!(requests.len(), 1 + usize::from(restart), "{requests:?}");
        assert!(is_current(&machine, &world));
    }
}

#[test]
fn a_changed_database_arrives_and_a_forced_refresh_asks_for_all_of_it() {
    let mut world = world();
    let mirror = Mirror::serve(world.directory.path());
    let machine = world.machine(&[mirror.server()]).start();
    machine.refresh("-Sy");
    change(&mut world);
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world));
    let requests = during(&mirror, || drop(machine.refresh("-Syy")));
    let database = requests.iter().find(|request| request.path == path(&world)).expect("the mirror is asked");
    assert_eq!((database.status, &database.if_none_match, &database.if_modified_since), (200, &None, &None));
    assert!(is_current(&machine, &world));
}

#[test]
fn what_is_no_database_never_replaces_the_good_one() {
    let world = world();
    let mirror = Mirror::serve(world.directory.path());
    let machine = world.machine(&[mirror.server()]).start();
    machine.refresh("-Sy");
    // What wants somebody to log in answers with a page, or leads to one where we do not go.
    let login = Fault::RedirectTo("gopher://192.168.0.1/login".into());
    for wrong in [Fault::Empty, Fault::Page("text/html".into()), Fault::Page("application/x-gzip".into()), login] {
        mirror.fault("*", wrong.clone());
        let ran = machine.pacman.pacman(&["-Sy"]);
        assert!(!ran.failed().output().contains(FALLBACK), "{wrong:?}: {ran}");
        assert!(is_current(&machine, &world), "{wrong:?}");
        mirror.heal("*");
    }
}

#[test]
fn mirrors_that_answer_with_errors_are_no_reason_to_call_the_old_database_new() {
    for status in [500, 503] {
        let mut world = world();
        let mirror = Mirror::serve(world.directory.path());
        let machine = world.machine(&[mirror.server()]).start();
        machine.refresh("-Sy");
        change(&mut world);
        mirror.fault("*", Fault::Status(status));
        machine.pacman.pacman(&["-Sy"]).failed();
        mirror.heal("*");
    }
}

#[test]
fn a_mirror_that_breaks_off_late_leaves_the_next_one_its_time() {
    let mut world = world();
    let mirrors = [Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path())];
    let machine = world.machine(&mirrors.each_ref().map(Mirror::server)).start();
    machine.refresh("-Sy");
    change(&mut world);
    mirrors[0].fault(&path(&world), Fault::StallAt(1000));
    machine.refresh("-Sy");
    assert_eq!(mirrors[0].requests_for(&path(&world)).len(), 2, "it was asked first");
    assert!(is_current(&machine, &world), "{}", machine.daemon.log());
}

#[test]
fn a_captive_portal_is_passed_over_for_databases_and_packages() {
    let mut world = world();
    let mirrors = [Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path())];
    let machine = world.machine(&mirrors.each_ref().map(Mirror::server)).start();
    for content_type in ["text/html", "application/octet-stream"] {
        mirrors[0].fault("*", Fault::Page(content_type.into()));
        change(&mut world);
        machine.refresh("-Sy");
        assert!(is_current(&machine, &world), "{content_type}");
    }
    let ran = machine.pacman.pacman(&["-S", "first"]);
    assert!(!ran.succeeded().output().contains(FALLBACK), "{ran}");
}

#[test]
fn a_package_that_is_a_web_page_everywhere_does_not_reach_the_cache() {
    let world = world();
    let mirror = Mirror::serve(world.directory.path());
    let machine = world.machine(&[mirror.server()]).start();
    let package = &world.repository.packages()[0];
    mirror.fault("*", Fault::Page("application/octet-stream".into()));
    let ran = machine.pacman.pacman(&["-S", "first"]);
    assert!(!ran.failed().output().contains(FALLBACK), "{ran}");
    assert!(!machine.pacman.cached(package).exists());
}

#[test]
fn a_dead_first_mirror_costs_next_to_nothing() {
    let mut world = world();
    let mut mirrors = [Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path())];
    let machine = world.machine(&mirrors.each_ref().map(Mirror::server)).start();
    machine.refresh("-Sy");
    mirrors[0].stop();
    change(&mut world);
    let begun = Instant::now();
    machine.refresh("-Sy");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(is_current(&machine, &world));
}

#[test]
fn a_silent_first_mirror_costs_a_moment_and_that_once() {
    for silence in [Fault::Delay(Duration::from_mins(1)), Fault::StallAt(0)] {
        let mut world = world();
        let mirrors = [Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path())];
        mirrors[0].fault("*", silence.clone());
        let mut machine = world.machine(&mirrors.each_ref().map(Mirror::server)).start();
        for (most, restart) in
            [(Duration::from_secs(4), false), (Duration::from_secs(1), false), (Duration::from_secs(1), true)]
        {
            if restart {
                assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
                machine.daemon.restart();
            }
            change(&mut world);
            let begun = Instant::now();
            machine.refresh("-Sy");
            let elapsed = begun.elapsed();
            assert!(elapsed < most, "{silence:?}: {elapsed:?}\n{}", machine.daemon.log());
            assert!(is_current(&machine, &world), "{silence:?}");
        }
    }
}

#[test]
fn an_entity_tag_that_never_changes_hides_no_new_database() {
    let mut world = world();
    let mirror = Mirror::serve(world.directory.path());
    mirror.fault(&path(&world), Fault::EntityTag("\"one\"".into()));
    let machine = world.machine(&[mirror.server()]).start();
    machine.refresh("-Sy");
    change(&mut world);
    let requests = during(&mirror, || drop(machine.refresh("-Sy")));
    let asked = requests.iter().filter(|request| request.path == path(&world));
    assert_eq!(asked.map(|request| request.status).collect::<Vec<_>>(), [304, 200], "{requests:?}");
    assert!(is_current(&machine, &world));
}

#[test]
fn a_date_in_the_future_hides_no_new_database() {
    let mut world = world();
    let mirror = Mirror::serve(world.directory.path());
    mirror.fault(&path(&world), Fault::Modified(SystemTime::now() + 1000 * HOUR));
    let machine = world.machine(&[mirror.server()]).start();
    machine.refresh("-Sy");
    change(&mut world);
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world));
    mirror.heal(&path(&world));
    change(&mut world);
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world));
}

#[test]
fn not_modified_without_a_condition_is_a_fault_of_that_mirror() {
    let mut world = world();
    let mirrors = [Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path())];
    let machine = world.machine(&mirrors.each_ref().map(Mirror::server)).start();
    mirrors[0].fault("*", Fault::Status(304));
    change(&mut world);
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world));
}

#[test]
fn another_mirror_brings_what_is_newer_and_not_what_is_older() {
    let mut world = world();
    let stale = tempfile::tempdir().expect("a temporary directory");
    let directory = stale.path().join("core/os/x86_64");
    fs_err::create_dir_all(&directory).expect("a temporary directory");
    let old = directory.join("core.db");
    fs_err::copy(world.repository.database(), &old).expect("a temporary directory");
    date(&old, SystemTime::now() - 3 * HOUR);
    let (mut first, second) = (Mirror::serve(world.directory.path()), Mirror::serve(stale.path()));
    let machine = world.machine(&[first.server(), second.server()]).start();
    change(&mut world);
    machine.refresh("-Sy");
    first.stop();
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world), "the other mirror is behind");
    assert_eq!(second.requests_for(&path(&world)).len(), 1, "it was asked");
    change(&mut world);
    fs_err::copy(world.repository.database(), &old).expect("a temporary directory");
    date(&old, SystemTime::now());
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world), "now the other mirror is ahead");
}

#[test]
fn half_a_database_is_not_called_unchanged_the_next_time() {
    let world = world();
    let mirror = Mirror::serve(world.directory.path());
    let mut machine = world.machine(&[mirror.server()]).start();
    let whole = fs_err::read(world.repository.database()).expect("the repository has a database");
    fs_err::write(world.repository.database(), &whole[..whole.len() / 2]).expect("the test's own file");
    let written = SystemTime::now() - HOUR;
    date(&world.repository.database(), written);
    machine.refresh("-Sy");
    machine.daemon.process().wait_for("its judgement", FETCH_WITHIN, |process| {
        process.log().contains("a mirror sent a broken database").then_some(())
    });
    fs_err::write(world.repository.database(), &whole).expect("the test's own file");
    date(&world.repository.database(), written);
    machine.refresh("-Sy");
    assert!(is_current(&machine, &world));
}

#[test]
fn files_databases_are_kept_too_and_two_clients_share_a_request() {
    let world = world();
    let mirror = Mirror::serve(world.directory.path());
    let files = world.repository.database().with_extension("files");
    fs_err::copy(world.repository.database(), &files).expect("the test's own files");
    date(&files, SystemTime::now() - HOUR);
    let path = world.repository.url_path("core.files");
    mirror.fault(&path, Fault::Delay(Duration::from_millis(300)));
    let machine = world.machine(&[mirror.server()]).start();
    let downloads = tempfile::tempdir().expect("a temporary directory");
    let out = |name: &str| downloads.path().join(name);
    let mut clients = ["a", "b"].map(|name| machine.daemon.client().begin(&mirror.url(&path), &out(name)));
    for client in &mut clients {
        assert!(client.wait(FETCH_WITHIN).success(), "{}", client.log());
    }
    assert_eq!(fs_err::read(out("a")).expect("the file"), fs_err::read(out("b")).expect("the file"));
    assert_eq!(mirror.requests_for(&path).len(), 1);
    mirror.heal(&path);
    machine.refresh("-Fy");
    let requests = mirror.requests_for(&path);
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [200, 304]);
}

#[test]
fn a_missing_signature_is_remembered_until_the_database_changes() {
    let keyring = Keyring::generate();
    let mut world = world();
    let mirror = Mirror::serve(world.directory.path());
    let machine = world.machine(&[mirror.server()]).signed(&keyring).sig_level("Optional").start();
    let path = world.repository.url_path("core.db.sig");
    for _ in 0..2 {
        machine.refresh("-Sy");
    }
    assert_eq!(mirror.requests_for(&path).len(), 1, "{:?}", mirror.requests());
    change(&mut world);
    keyring.sign(&world.repository.database());
    machine.refresh("-Sy");
    assert_eq!(mirror.requests_for(&path).len(), 2, "{:?}", mirror.requests());
    assert!(machine.pacman.db_path().join("sync/core.db.sig").exists());
}
