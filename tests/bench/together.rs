//! A LAN that updates together through one slow mirror: what the mirror sends, and how long it takes.

use std::path::Path;
use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Host, Lan, Nginx, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload,
    Process, Repository, wait_until,
};

use crate::Size;
use crate::figures::{Wanted, figure, ratio, time};

/// Of the mirror's line.
const MEGABITS: u32 = 20;
/// The natural logarithm's standard deviation of the sizes.
const SPREAD: f64 = 1.0;
const BOUND: Duration = Duration::from_mins(10);

/// What happens while they download.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turmoil {
    None,
    /// One begins when the mirror has sent a quarter.
    JoinsLate,
    /// One loses its cable when the mirror has sent a quarter; it is asking the mirror for its share by then.
    Dies,
}

/// Machines on one switch, and a mirror on a slow line.
struct Scene {
    machines: Vec<Machine>,
    repository: Repository,
    bytes: u64,
    mirror: Host,
    _nginx: Nginx,
    _directory: tempfile::TempDir,
    // Dropped last: everything else runs in its namespaces.
    _lan: Lan,
}

struct Machine {
    daemon: Daemon,
    pacman: PacmanRoot,
    host: Host,
}

#[test]
fn bench_a_lan_that_updates_together() {
    measure("all at once", Turmoil::None);
}

#[test]
fn bench_a_lan_that_updates_together_and_one_joins_late() {
    measure("one joins late", Turmoil::JoinsLate);
}

#[test]
fn bench_a_lan_that_updates_together_and_one_dies() {
    measure("one dies", Turmoil::Dies);
}

/// With metainfo, by piece: everybody takes other pieces from the mirror.
#[test]
fn bench_a_lan_that_downloads_one_large_package_together() {
    measure_large("one large package with a .torrent", Turmoil::None);
}

#[test]
fn bench_a_lan_that_downloads_one_large_package_together_and_one_joins_late() {
    measure_large("one large package with a .torrent, one joins late", Turmoil::JoinsLate);
}

#[test]
fn bench_a_lan_that_downloads_one_large_package_together_and_one_dies() {
    measure_large("one large package with a .torrent, one dies", Turmoil::Dies);
}

fn measure_large(what: &str, turmoil: Turmoil) {
    let size = Size::chosen().of(12_000_000, 20_000_000);
    let scene = Scene::new(Size::chosen().of(3, 20), |root| {
        let mut repository = Repository::new(root, "core");
        repository.add(&PackageSpec::new("large").payload(Payload::Random(size)));
        repository.write_database();
        repository.write_torrents(&[]);
        repository
    });
    report(&scene, what, turmoil, Size::chosen().of(0.5, 0.08));
}

fn measure(what: &str, turmoil: Turmoil) {
    let (packages, bytes) = Size::chosen().of((12, 5.0e6), (100, 20.0e6));
    let scene = Scene::new(Size::chosen().of(4, 20), |root| repository(root, packages, bytes));
    report(&scene, what, turmoil, Size::chosen().of(0.5, 0.08));
}

fn report(scene: &Scene, what: &str, turmoil: Turmoil, wanted: f64) {
    let (elapsed, sent) = scene.update(turmoil);
    let well = scene.machines.len() - usize::from(turmoil == Turmoil::Dies);
    let line = f64::from(MEGABITS) * 1_000_000.0 / 8.0;
    let (bytes, count) = (as_float(scene.bytes), as_float(scene.machines.len() as u64));
    let packages = scene.repository.packages().len();
    eprintln!("\n{count} machines, {packages} packages of {:.1} MB, {MEGABITS} Mbit/s: {what}", bytes / 1e6);
    ratio("  sent by the mirror's interface, by the packages' bytes", as_float(sent) / bytes, Wanted::AtMost(1.3));
    let statuses: Vec<_> = scene.machines[..well].iter().map(|machine| machine.daemon.status()).collect();
    let from_mirrors: u64 = statuses.iter().map(p2p_tests::Status::from_mirrors).sum();
    figure("  by the daemons' own count", as_float(from_mirrors) / bytes, "times the packages' bytes", None);
    time("  all have all after", elapsed);
    let without_us = count * bytes / line;
    figure("  without us, by arithmetic: each downloads all over the one line", without_us, "s", None);
    ratio("  with us, by that", elapsed.as_secs_f64() / without_us, Wanted::AtMost(wanted));
}

impl Scene {
    fn new(machines: usize, repository: impl FnOnce(&Path) -> Repository) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let repository = repository(directory.path());
        let mut lan = Lan::new([10, 77, 0]);
        let mirror = lan.host();
        let nginx = Nginx::serve(&mirror, directory.path(), None);
        mirror.limit_upload(MEGABITS);
        let hosts: Vec<Host> = (0..machines).map(|_| lan.host()).collect();
        let mut machines: Vec<Machine> =
            hosts.into_iter().map(|host| Machine::start(host, &repository, &nginx.server())).collect();
        let others = machines.len() as u64 - 1;
        for machine in &mut machines {
            machine.daemon.wait_for_status("all others for neighbours", Duration::from_mins(2), |status| {
                status.number("neighbours") >= others
            });
        }
        let bytes = repository.packages().iter().map(Package::size).sum();
        Self { machines, repository, bytes, mirror, _nginx: nginx, _directory: directory, _lan: lan }
    }

    /// Updates all machines; says how long that took, and what the mirror sent.
    fn update(&self, turmoil: Turmoil) -> (Duration, u64) {
        let (before, begun) = (self.sent(), Instant::now());
        let (last, others) = self.machines.split_last().expect("there are machines");
        let mut running: Vec<Process> = others.iter().map(|machine| machine.begin(&self.repository)).collect();
        if turmoil != Turmoil::JoinsLate {
            running.push(last.begin(&self.repository));
        }
        if turmoil != Turmoil::None {
            wait_until("a quarter of the packages", BOUND, || self.sent() - before > self.bytes / 4);
        }
        match turmoil {
            Turmoil::None => {}
            Turmoil::JoinsLate => running.push(last.begin(&self.repository)),
            Turmoil::Dies => {
                last.host.unplug();
                running.pop();
            }
        }
        for pacman in &mut running {
            let status = pacman.wait(BOUND);
            assert!(status.success(), "{}", pacman.log());
        }
        let elapsed = begun.elapsed();
        let well = if turmoil == Turmoil::Dies { others } else { &self.machines };
        let files = well.iter().flat_map(|machine| self.packages().map(move |package| (machine, package)));
        for (machine, package) in files {
            assert!(package.is_at(&machine.pacman.cached(package)), "{}: another file", package.file_name());
        }
        (elapsed, self.sent() - before)
    }

    fn packages(&self) -> impl Iterator<Item = &Package> {
        self.repository.packages().iter()
    }

    /// Bytes that have left the mirror's interface.
    fn sent(&self) -> u64 {
        let mut command = self.mirror.command("cat");
        let output = command.arg("/sys/class/net/eth0/statistics/tx_bytes").output().expect("cat can be run");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    }
}

impl Machine {
    fn start(host: Host, repository: &Repository, server: &str) -> Self {
        let mut options = PacmanRootOptions::new(&[repository], &[server]);
        options.host = host.clone();
        let pacman = PacmanRoot::new(&options, None);
        pacman.place_database(repository);
        let daemon = DaemonOptions { host: host.clone(), lan: true, ..DaemonOptions::measured(&pacman.config()) };
        let daemon = Daemon::start(&Binaries::built(), daemon);
        options.xfer_command = Some(daemon.xfer_command());
        pacman.configure(&options);
        Self { daemon, pacman, host }
    }

    fn begin(&self, repository: &Repository) -> Process {
        let names = repository.packages().iter().map(Package::name);
        let arguments: Vec<&str> = ["-Sw"].into_iter().chain(names).collect();
        let log = self.pacman.root().join("pacman-output.log");
        Process::start("pacman", self.pacman.command(&arguments), &log)
    }
}

fn repository(root: &Path, packages: usize, bytes: f64) -> Repository {
    let sizes: Vec<(String, u64)> = crate::sizes::log_normal(packages, SPREAD, 3.0e6).collect();
    let sum = as_float(sizes.iter().map(|(_, size)| size).sum());
    let mut repository = Repository::new(root, "core");
    for (name, size) in sizes {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some megabytes at most")]
        let size = (as_float(size) * bytes / sum) as u64;
        repository.add(&PackageSpec::new(&name).payload(Payload::Random(size)));
    }
    repository.write_database();
    repository
}

#[expect(clippy::cast_precision_loss, reason = "some megabytes")]
fn as_float(number: u64) -> f64 {
    number as f64
}
