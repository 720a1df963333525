//! `p2pctl prefetch`: what pacman will want in the evening is there in the afternoon.

use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use p2p_tests::{
    Binaries, DaemonOptions, Fault, Mirror, Package, PackageSpec, Payload, Process, Ran, Terminal, run, wait_until,
};
use rustix::process::Signal;

use crate::world::{Machine, World};

/// Somebody whom the tests' daemons let fetch, and who owns nothing.
const ORDINARY_USER: &str = "nobody";

const BOUND: Duration = Duration::from_mins(1);
const SIZE: u64 = 900_000;

/// A machine on which `application` 1-1 is installed; the mirror has had 2-1 for a while, which needs a new `library`.
struct Afternoon {
    machine: Machine,
    mirror: Mirror,
    application: Package,
    library: Package,
    world: World,
}

impl Afternoon {
    fn new() -> Self {
        Self::with_fetchers(&[ORDINARY_USER])
    }

    fn with_fetchers(users: &[&str]) -> Self {
        let mut world = World::new();
        let old = world.repository.add(&PackageSpec::new("application").payload(Payload::Random(SIZE)));
        world.repository.write_database();
        let mirror = Mirror::serve(world.directory.path());
        let fetch_users = users.iter().map(ToString::to_string).collect();
        let machine = world.machine(&[mirror.server()]).daemon(|options| DaemonOptions { fetch_users, ..options });
        let machine = machine.start();
        machine.pacman.record_installed([(old.name().to_owned(), "1-1".to_owned())]);
        let random = Payload::Random(SIZE);
        let library = world.repository.add(&PackageSpec::new("library").payload(random));
        let newer = PackageSpec::new("application").version("2-1").depends("library").payload(random);
        let application = world.repository.add(&newer);
        world.repository.write_database();
        // As a system and a daemon that were installed have it.
        for path in [machine.pacman.config(), machine.daemon.socket()] {
            let directory = path.parent().expect("it lies in a directory");
            fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("it is ours");
        }
        Self { machine, mirror, application, library, world }
    }

    /// `p2pctl prefetch` with these arguments and a directory for its temporary files.
    fn command(&self, arguments: &[&str], temporary: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--reuid", ORDINARY_USER, "--regid", "nogroup", "--clear-groups", "--"]);
        command.arg(Binaries::built().p2pctl()).arg("--socket").arg(self.machine.daemon.socket());
        command.arg("prefetch").arg("--config").arg(self.machine.pacman.config()).args(arguments);
        command.env("TMPDIR", temporary).env("LC_ALL", "C");
        command
    }

    #[track_caller]
    fn prefetch(&self, arguments: &[&str]) -> Ran {
        let temporary = temporary();
        let ran = run(self.command(arguments, temporary.path()), BOUND);
        assert_eq!(entries(temporary.path()), 0, "it left something behind: {ran}");
        ran
    }

    /// Nobody fetches any more, no process is left, and no file.
    #[track_caller]
    fn assert_nothing_is_left(&mut self, temporary: &Path) {
        assert_eq!(entries(temporary), 0);
        wait_until("the end of pacman, its client and fakeroot's daemon", BOUND, || !is_environment(temporary));
        self.machine.daemon.wait_for_status("an idle daemon", BOUND, |status| status.number("active_fetches") == 0);
    }

    fn requests(&self, package: &Package) -> usize {
        self.mirror.requests_for(&self.world.path(package)).len()
    }

    fn system_database(&self) -> (Vec<u8>, SystemTime) {
        let sync = self.machine.pacman.db_path().join("sync");
        assert_eq!(entries(&sync), 1);
        let path = sync.join("core.db");
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("it is there");
        (fs::read(&path).expect("it is there"), modified)
    }
}

/// Where everybody may write.
fn temporary() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("p2pt-prefetch-").tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("it is ours");
    directory
}

/// Whether a process has this directory in its environment: all have that p2pctl started.
fn is_environment(temporary: &Path) -> bool {
    let path = temporary.as_os_str().as_bytes();
    let environments = fs::read_dir("/proc").expect("it is there").flatten();
    environments
        .filter_map(|entry| fs::read(entry.path().join("environ")).ok())
        .any(|environment| environment.windows(path.len()).any(|window| window == path))
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).expect("it is there").count()
}

#[test]
fn an_upgrade_fetched_ahead_as_an_ordinary_user_downloads_nothing_in_the_evening() {
    let mut afternoon = Afternoon::new();
    let before = afternoon.system_database();
    let ran = afternoon.prefetch(&["--sysupgrade"]);
    assert_eq!(ran.succeeded().stdout, "2 files, 1.7 MiB, 0 % from peers\n");
    assert_eq!(ran.stderr, "");
    assert!(afternoon.system_database() == before, "the system's database was touched");
    assert!(!afternoon.machine.pacman.db_path().join("db.lck").exists());
    let status = afternoon.machine.daemon.status();
    assert_eq!(status.number("packages_seeded"), 0, "shared before the system's database lists it");
    assert_eq!(status.number("active_fetches"), 0);

    let packages = [&afternoon.application, &afternoon.library];
    let asked = packages.map(|package| afternoon.requests(package));
    let upgraded = afternoon.machine.pacman.pacman(&["-Syu"]);
    upgraded.succeeded();
    assert_eq!(packages.map(|package| afternoon.requests(package)), asked, "the mirror was asked again: {upgraded}");
    for package in packages {
        assert!(package.is_at(&afternoon.machine.pacman.cached(package)), "{}", package.file_name());
        assert!(afternoon.machine.pacman.has_installed(package), "{}", package.file_name());
    }
    afternoon.machine.wait_seeding(2);
    let ran = afternoon.prefetch(&["-u"]);
    assert_eq!(ran.succeeded().stdout, "nothing to fetch\n");
}

#[test]
fn packages_by_name_and_files_by_url_are_fetched_as_the_systems_databases_have_them() {
    let mut afternoon = Afternoon::new();
    let ran = afternoon.prefetch(&["core/application", "--json"]);
    let record: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).expect("it is JSON");
    let numbers = ["files_done", "files", "from_peers"].map(|key| record[key].as_u64());
    assert_eq!((record["event"].as_str(), numbers), (Some("done"), [Some(1), Some(1), Some(0)]), "{record}");
    afternoon.machine.wait_seeding(1);
    assert_eq!(afternoon.requests(&afternoon.application), 0, "the newer one is not the system's");

    let url = |file_name: &str| afternoon.mirror.url(&afternoon.world.repository.url_path(file_name));
    let missing = url("missing-1-1-any.pkg.tar.zst");
    let ran = afternoon.prefetch(&[&missing, &url("application-1-1-any.pkg.tar.zst")]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert!(ran.stdout.starts_with("1 of 2 files, "), "{ran}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(lines[0].starts_with(&format!("p2pctl: {missing}: ")), "{ran}");
    assert_eq!(lines[1..], ["p2pctl: 1 of 2 could not be fetched"], "{ran}");
}

#[test]
fn root_fetches_names_as_the_newest_databases_have_them() {
    let afternoon = Afternoon::new();
    let config = afternoon.machine.pacman.config();
    let ran =
        afternoon.machine.daemon.p2pctl(&["prefetch", "-u", "library", "--config", &config.display().to_string()]);
    assert_eq!(ran.succeeded().stdout, "2 files, 1.7 MiB, 0 % from peers\n", "{ran}");
    assert!(afternoon.requests(&afternoon.application) > 0);
    assert_eq!(afternoon.machine.daemon.status().number("packages_seeded"), 0);
}

#[test]
fn a_name_that_no_database_has_is_told_as_pacman_tells_it() {
    let afternoon = Afternoon::new();
    for arguments in [&["nonesuch"][..], &["-u", "nonesuch"]] {
        let ran = afternoon.prefetch(arguments);
        assert_eq!(ran.status.code(), Some(1), "{ran}");
        let said = "p2pctl: pacman can't say what it would download: error: target not found: nonesuch\n";
        assert_eq!(ran.stderr, said);
    }
}

#[test]
fn without_a_daemon_pacman_is_not_even_asked() {
    let mut afternoon = Afternoon::new();
    assert!(afternoon.machine.daemon.process().stop().success(), "{}", afternoon.machine.daemon.log());
    let ran = afternoon.prefetch(&["--sysupgrade"]);
    assert_eq!(ran.status.code(), Some(3), "{ran}");
    assert!(ran.stderr.starts_with("p2pctl: p2pd is not running\nhint: "), "{ran}");
    assert_eq!(afternoon.mirror.requests().len(), 0);
}

#[test]
fn a_user_who_may_not_fetch_is_told_so() {
    let afternoon = Afternoon::with_fetchers(&["root"]);
    let ran = afternoon.prefetch(&["--sysupgrade"]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert!(ran.stderr.starts_with("p2pctl: p2pd does not serve this user\nhint: "), "{ran}");
    assert!(ran.stderr.contains("daemon.fetch_users"), "{ran}");
    assert_eq!(afternoon.mirror.requests().len(), 0);
}

#[test]
fn a_person_sees_a_bar_and_ends_it_all_with_the_interrupt_key() {
    let mut afternoon = Afternoon::new();
    let path = afternoon.world.path(&afternoon.application);
    afternoon.mirror.fault(&path, Fault::Rate(SIZE / 40));
    let temporary = temporary();
    let command = afternoon.command(&["--sysupgrade"], temporary.path());
    let log = afternoon.world.directory.path().join("terminal.log");
    let mut terminal = Terminal::start("p2pctl", &command, &log);
    terminal.wait_for("one file of two", BOUND, |shown| shown.contains("1/2 files, 0 % from peers"));
    terminal.interrupt();
    assert_eq!(terminal.wait(BOUND).code(), Some(128 + 2), "{}", terminal.shown());
    afternoon.assert_nothing_is_left(temporary.path());
    let served = afternoon.mirror.served(&path);
    assert!(served < SIZE, "the daemon has fetched on: {served} bytes");
}

#[test]
fn a_terminated_refresh_leaves_nothing() {
    let mut afternoon = Afternoon::new();
    let path = afternoon.world.repository.url_path("core.db");
    afternoon.mirror.fault(&path, Fault::StallAt(10));
    let temporary = temporary();
    let command = afternoon.command(&["--sysupgrade"], temporary.path());
    let mut p2pctl = Process::start("p2pctl", command, &afternoon.world.directory.path().join("log"));
    p2pctl.wait_for("a stalled database", BOUND, |_| (afternoon.mirror.served(&path) > 0).then_some(()));
    p2pctl.signal(Signal::TERM);
    assert_eq!(p2pctl.wait(BOUND).signal(), Some(15), "{}", p2pctl.log());
    assert_eq!(p2pctl.log(), "");
    afternoon.assert_nothing_is_left(temporary.path());
}
