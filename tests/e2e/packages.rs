//! `p2pctl list`, `verify`, `rescan` and `forget`, with a daemon that seeds a cache.

use std::fs::{FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use p2p_tests::{Binaries, Caller, Host, Mirror, Package, PackageSpec, Payload, Ran, Terminal, run, wait_until};

use crate::world::{Machine, World};

const BOUND: Duration = Duration::from_mins(1);
/// Somebody whom the tests' daemons do not let fetch.
const ORDINARY_USER: &str = "nobody";

/// A machine that seeds the packages of its cache.
struct Seeding {
    machine: Machine,
    packages: Vec<Package>,
    world: World,
    mirror: Mirror,
}

impl Seeding {
    /// Packages of these names and sizes.
    fn new(packages: &[(&str, u64)]) -> Self {
        let mut world = World::new();
        let add = |&(name, bytes)| world.repository.add(&PackageSpec::new(name).payload(Payload::Random(bytes)));
        let packages: Vec<Package> = packages.iter().map(add).collect();
        world.repository.write_database();
        let mirror = Mirror::serve(world.directory.path());
        let machine = world.machine(&[mirror.server()]).start();
        let mut seeding = Self { machine, packages, world, mirror };
        for package in seeding.packages.clone() {
            seeding.place(&package);
        }
        seeding.machine.wait_seeding(seeding.packages.len() as u64);
        seeding
    }

    fn place(&self, package: &Package) {
        fs::copy(&package.path, self.machine.pacman.cached(package)).expect("the cache is ours");
    }

    fn p2pctl(&self, arguments: &[&str]) -> Ran {
        self.machine.daemon.p2pctl(arguments)
    }

    /// The names of a list.
    #[track_caller]
    fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let ran = self.p2pctl(&[&["list", "--json"], arguments].concat());
        let array: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
        let names = array.as_array().expect("an array").iter();
        names.map(|package| package["name"].as_str().expect("a name").to_owned()).collect()
    }

    fn is_served(&self, package: &Package) -> bool {
        let caller = Caller::dial(&Host::loopback(), self.machine.daemon.listen(), &package.info.info_hash());
        caller.is_ok_and(|mut caller| caller.is_answered())
    }

    /// The command of `p2pctl` as somebody who may not fetch.
    #[track_caller]
    fn as_ordinary_user(&self, arguments: &[&str]) -> Ran {
        let socket = self.machine.daemon.socket();
        let directory = socket.parent().expect("it lies in a directory");
        fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("it is ours");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--reuid", ORDINARY_USER, "--regid", "nogroup", "--clear-groups", "--"]);
        command.arg(Binaries::built().p2pctl()).arg("--socket").arg(&socket).args(arguments);
        run(command, BOUND)
    }
}

/// Turns one bit in the middle, and sets the file's modification time back.
fn corrupt(path: &Path) {
    let before = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("it is there");
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // In place: the same inode.
    fs::write(path, bytes).expect("it is ours");
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is ours");
    file.file().set_times(FileTimes::new().set_modified(before)).expect("it is ours");
}

/// Makes the catalog believe that the file is the one that was hashed: what a disk does that forgets a bit.
fn hide_change(state_dir: &Path, path: &Path) {
    let script = "import os, sqlite3, sys\n\
                  stat = os.stat(sys.argv[2])\n\
                  database = sqlite3.connect(sys.argv[1])\n\
                  changed = database.execute('UPDATE packages SET modified_ns = ?, changed_ns = ? WHERE path = ?',\n\
                  \x20   (stat.st_mtime_ns, stat.st_ctime_ns, sys.argv[2].encode())).rowcount\n\
                  database.commit()\n\
                  sys.exit(changed != 1)\n";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(state_dir.join("catalog.sqlite")).arg(path);
    run(command, BOUND).succeeded();
}

#[test]
fn packages_are_listed_sorted_filtered_and_as_json() {
    let mut seeding = Seeding::new(&[("bravo", 400_000), ("alpha", 2_000), ("charlie", 90_000)]);
    assert_eq!(seeding.listed(&[]), ["alpha", "bravo", "charlie"]);
    assert_eq!(seeding.listed(&["--sort", "size"]), ["bravo", "charlie", "alpha"]);
    assert_eq!(seeding.listed(&["--sort", "size", "--reverse", "--limit", "1"]), ["alpha"]);
    assert_eq!(seeding.listed(&["*r*", "alpha-1-1-any.pkg.tar.zst", "--repository", "core"]).len(), 3);
    assert_eq!(seeding.listed(&["core/[ab]*"]), ["alpha", "bravo"]);
    assert!(seeding.listed(&["--repository", "extra"]).is_empty());
    assert!(seeding.listed(&["--lan"]).is_empty());

    let unknown = seeding.p2pctl(&["list", "alpha", "delta"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown}");
    assert!(unknown.stdout.contains("alpha  ") && unknown.stdout.ends_with("1 package, 2.3 KiB\n"), "{unknown}");
    assert_eq!(unknown.stderr, "p2pctl: no package in the catalog is called \"delta\"\n");
    assert_eq!(seeding.p2pctl(&["list", "[a"]).status.code(), Some(2));

    // A newer version: the old one goes to the local networks only.
    let newer = seeding.world.repository.add(&PackageSpec::new("alpha").version("2-1"));
    seeding.world.repository.write_database();
    seeding.machine.pacman.place_database(&seeding.world.repository);
    seeding.place(&newer);
    seeding.machine.wait_seeding(4);
    wait_until("a superseded package", BOUND, || seeding.listed(&["--lan"]) == ["alpha"]);
    let text = seeding.p2pctl(&["list", "--lan"]);
    assert!(text.stdout.contains("1-1") && text.stdout.contains("  lan\n"), "{text}");
}

#[test]
fn a_list_fits_a_terminal_and_whoever_has_read_enough_may_hang_up() {
    let long = format!("python-{}", "very-long-".repeat(9));
    let seeding = Seeding::new(&[("alpha", 2_000), (&long, 2_000)]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(Binaries::built().p2pctl());
    command.arg("--socket").arg(seeding.machine.daemon.socket()).arg("list").env("TERM", "xterm");
    let mut terminal = Terminal::start("p2pctl", &command, &directory.path().join("log"));
    assert!(terminal.wait(BOUND).success(), "{}", terminal.shown());
    let shown = terminal.shown().replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
    assert!(shown.lines().all(|line| line.trim_end().chars().count() <= 80), "{shown}");
    assert!(shown.contains("python-very-") && shown.contains('…'), "{shown}");

    let plain = seeding.p2pctl(&["list"]);
    assert!(plain.stdout.contains(&long) && !plain.stdout.contains('\u{1b}'), "{plain}");

    let mut pipe = Command::new("sh");
    let line = "\"$0\" --socket \"$1\" list; echo \"status $?\" >&2";
    pipe.args(["-c", &format!("({line}) | true")]);
    pipe.arg(Binaries::built().p2pctl()).arg(seeding.machine.daemon.socket());
    assert_eq!(run(pipe, BOUND).stderr, "status 0\n");
}

#[test]
fn a_file_that_changed_on_the_disk_unnoticed_is_found_by_verify_and_served_no_more() {
    let mut seeding = Seeding::new(&[("good", 900_000), ("rotten", 900_000), ("lost", 2_000)]);
    let [good, rotten, lost] = seeding.packages.clone().try_into().expect("three packages");
    let all_good = seeding.p2pctl(&["verify"]);
    assert!(all_good.succeeded().stdout.starts_with("3 packages verified, "), "{all_good}");

    assert!(seeding.machine.daemon.process().stop().success());
    let path = seeding.machine.pacman.cached(&rotten);
    corrupt(&path);
    hide_change(&seeding.machine.daemon.state_dir(), &path);
    seeding.machine.daemon.restart();
    assert!(seeding.is_served(&good) && seeding.is_served(&rotten), "nobody knows yet");

    let one = seeding.p2pctl(&["verify", "good", "nothing"]);
    assert_eq!(one.status.code(), Some(1), "{one}");
    assert!(one.stdout.starts_with("1 package verified, "), "{one}");
    assert_eq!(one.stderr, "p2pctl: no package in the catalog is called \"nothing\"\n");

    let ran = seeding.p2pctl(&["verify"]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    assert!(ran.stdout.starts_with("2 of 3 packages verified, ") && ran.stdout.ends_with("; 1 wrong\n"), "{ran}");
    assert!(ran.stderr.contains(&format!("{}: the file is not what", path.display())), "{ran}");
    assert!(!seeding.is_served(&rotten) && seeding.is_served(&good) && seeding.is_served(&lost));
    // Nor does the scan take it for good.
    seeding.p2pctl(&["rescan"]).succeeded();
    assert_eq!(seeding.listed(&[]), ["good", "lost"]);
    assert!(path.exists(), "pacman's cache is never written to");

    let json = seeding.p2pctl(&["verify", "--json", "*o*"]);
    let value: serde_json::Value = serde_json::from_str(&json.succeeded().stdout).expect("JSON");
    assert_eq!((&value["packages"], &value["wrong"]), (&2.into(), &0.into()), "{json}");
}

#[test]
fn a_verification_ends_with_the_one_who_wants_to_know() {
    let seeding = Seeding::new(&[("large", 80_000_000), ("small", 2_000)]);
    let mut command = Command::new(Binaries::built().p2pctl());
    command.arg("--socket").arg(seeding.machine.daemon.socket()).arg("verify");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut first = p2p_tests::Process::start("p2pctl", command, &directory.path().join("log"));
    // Two at a time would only be in each other's way.
    let second = seeding.p2pctl(&["verify", "small"]);
    if first.is_running() && !second.status.success() {
        assert!(second.stderr.contains("packages are being verified already\nhint: "), "{second}");
    }
    first.kill();
    wait_until("an end of the first", BOUND, || seeding.p2pctl(&["verify", "small"]).status.success());
}

#[test]
fn a_forgotten_package_stays_forgotten_until_all_are_wanted_again() {
    let mut seeding = Seeding::new(&[("alpha", 2_000), ("bravo", 2_000)]);
    let alpha = seeding.packages[0].clone();
    let listen = seeding.machine.daemon.listen();
    let mut peer = Caller::dial(&Host::loopback(), listen, &alpha.info.info_hash()).expect("a listener");
    assert!(peer.is_answered());

    let ran = seeding.p2pctl(&["forget", "alpha", "zulu*"]);
    assert_eq!(ran.status.code(), Some(1), "{ran}");
    let answer = "alpha-1-1-any.pkg.tar.zst: stays in pacman's cache\n1 package forgotten, 0 B freed\n";
    assert_eq!(ran.stdout, answer);
    assert_eq!(ran.stderr, "p2pctl: no package in the catalog is called \"zulu*\"\n");
    assert!(peer.is_hung_up(BOUND) && !seeding.is_served(&alpha));
    assert!(alpha.is_at(&seeding.machine.pacman.cached(&alpha)), "pacman's cache is never written to");

    seeding.p2pctl(&["rescan"]).succeeded();
    assert_eq!(seeding.listed(&[]), ["bravo"]);
    assert!(seeding.machine.daemon.process().stop().success());
    seeding.machine.daemon.restart();
    seeding.p2pctl(&["rescan"]).succeeded();
    assert_eq!(seeding.listed(&[]), ["bravo"]);
    assert!(!seeding.is_served(&alpha));

    let ran = seeding.p2pctl(&["rescan", "--all", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
    assert_eq!((&value["event"], &value["packages"]), (&"done".into(), &2.into()), "{ran}");
    assert_eq!(seeding.listed(&[]), ["alpha", "bravo"]);
}

#[test]
fn a_copy_in_the_store_is_deleted_with_its_row_and_a_new_fetch_recalls_it() {
    let mut seeding = Seeding::new(&[("alpha", 2_000)]);
    let alpha = seeding.packages[0].clone();
    seeding.p2pctl(&["forget", "alpha"]).succeeded();
    fs::remove_file(seeding.machine.pacman.cached(&alpha)).expect("it is ours");

    let url = seeding.mirror.url(&seeding.world.path(&alpha));
    seeding.p2pctl(&["prefetch", &url]).succeeded();
    wait_until("a package that is seeded from the store", BOUND, || seeding.listed(&[]) == ["alpha"]);
    let ran = seeding.p2pctl(&["list", "--json"]);
    let array: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(array[0]["where"], "store", "{ran}");
    let path = array[0]["path"].as_str().expect("a path").to_owned();
    assert!(alpha.is_at(Path::new(&path)));
    // What was fetched a moment ago is not deleted under a client's hands.
    assert!(seeding.machine.daemon.process().stop().success());
    seeding.machine.daemon.restart();

    let ran = seeding.p2pctl(&["forget", "--json", "alpha"]);
    let value: serde_json::Value = serde_json::from_str(&ran.succeeded().stdout).expect("JSON");
    assert_eq!((&value["forgotten"][0]["removed"], &value["freed_bytes"]), (&true.into(), &alpha.size().into()));
    assert!(!Path::new(&path).exists());
    assert!(seeding.listed(&[]).is_empty());
}

#[test]
fn a_rescan_finds_a_new_file_at_once_and_a_hook_never_fails() {
    let mut seeding = Seeding::new(&[("alpha", 2_000)]);
    let bravo = seeding.world.repository.add(&PackageSpec::new("bravo"));
    seeding.world.repository.write_database();
    seeding.machine.pacman.place_database(&seeding.world.repository);
    seeding.place(&bravo);
    assert!(seeding.p2pctl(&["rescan"]).succeeded().stdout.starts_with("2 packages, "));
    assert_eq!(seeding.listed(&[]), ["alpha", "bravo"]);
    assert_eq!(seeding.p2pctl(&["rescan", "--no-wait"]).succeeded().output(), "");
    assert_eq!(seeding.p2pctl(&["rescan", "--quiet"]).succeeded().output(), "");

    seeding.machine.daemon.process().pause();
    let began = Instant::now();
    assert_eq!(seeding.p2pctl(&["rescan", "--quiet"]).succeeded().output(), "");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    seeding.machine.daemon.process().resume();
    assert!(seeding.machine.daemon.process().stop().success());
    assert_eq!(seeding.p2pctl(&["rescan", "--quiet", "--all"]).succeeded().output(), "");
    for command in [&["list"][..], &["list", "--json"], &["verify"], &["rescan"], &["forget", "alpha"]] {
        let ran = seeding.p2pctl(command);
        assert_eq!(ran.status.code(), Some(3), "{command:?}: {ran}");
        assert!(ran.stderr.starts_with("p2pctl: p2pd is not running\nhint: "), "{ran}");
    }
}

#[test]
fn everyone_may_list_and_only_those_who_may_fetch_may_do_more() {
    let seeding = Seeding::new(&[("alpha", 2_000)]);
    assert!(seeding.as_ordinary_user(&["list"]).succeeded().stdout.contains("alpha"));
    for command in [&["verify"][..], &["rescan"], &["rescan", "--all"], &["forget", "alpha"]] {
        let ran = seeding.as_ordinary_user(command);
        assert_eq!(ran.status.code(), Some(1), "{command:?}: {ran}");
        assert!(ran.stderr.starts_with("p2pctl: p2pd does not serve this user\nhint: "), "{ran}");
    }
    assert_eq!(seeding.as_ordinary_user(&["rescan", "--quiet"]).succeeded().output(), "");
    assert_eq!(seeding.listed(&[]), ["alpha"]);
}

#[test]
fn three_thousand_packages_are_listed_quickly_and_cost_the_daemon_no_memory() {
    const PACKAGES: usize = 3_000;
    let names: Vec<String> = (0..PACKAGES).map(|number| format!("package-{number:04}")).collect();
    let packages: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 100)).collect();
    let mut seeding = Seeding::new(&packages);
    let process = seeding.machine.daemon.process().id();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel writes it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    seeding.p2pctl(&["list"]).succeeded();
    let before = resident();
    for _ in 0..5 {
        let began = Instant::now();
        let ran = seeding.p2pctl(&["list", "--sort", "added"]);
        assert!(ran.succeeded().stdout.contains("\n\n3000 packages, "), "{ran}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB");
    assert_eq!(seeding.listed(&["package-17??"]).len(), 100);
}
