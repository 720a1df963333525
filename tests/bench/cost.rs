//! What a download costs, compared with curl: loopback, real pacman, real nginx.

use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Host, Nginx, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload,
    Repository, Usage, run,
};

use crate::Size;
use crate::figures::{Wanted, quotient, ratio, time, usage};
use crate::old_way::OldWay;
use crate::sizes::log_normal;

/// The natural logarithm's standard deviation.
const SPREAD: f64 = 1.4;
const LARGEST: f64 = 20_000_000.0;
/// How often each way is measured; the fastest run counts, because other load only ever slows.
const RUNS: usize = 3;

struct Place {
    directory: tempfile::TempDir,
    repository: Repository,
    nginx: Nginx,
}

impl Place {
    fn new(fill: impl FnOnce(&mut Repository)) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let mut repository = Repository::new(directory.path(), "core");
        fill(&mut repository);
        repository.write_database();
        let nginx = Nginx::serve(&Host::loopback(), directory.path(), None);
        Self { directory, repository, nginx }
    }

    fn pacman(&self) -> (PacmanRoot, PacmanRootOptions) {
        let server = self.nginx.server();
        let options = PacmanRootOptions::new(&[&self.repository], &[&server]);
        let pacman = PacmanRoot::new(&options, None);
        pacman.place_database(&self.repository);
        (pacman, options)
    }
}

fn start_daemon(pacman: &PacmanRoot) -> Daemon {
    Daemon::start(&Binaries::built(), DaemonOptions::measured(&pacman.config()))
}

/// What one way to download has cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    elapsed: Duration,
    /// Of pacman and everything that it ran.
    children: Duration,
    daemon: Usage,
}

#[test]
fn bench_small_packages_through_pacman() {
    let count = Size::chosen().of(40, 200);
    let place = Place::new(|repository| {
        for (name, bytes) in log_normal(count, SPREAD, LARGEST) {
            add(repository, &name, bytes);
        }
    });
    let packages = place.repository.packages();
    let with_curl = best(|| download(&place, packages, "/usr/bin/curl -o %o %u"));
    let with_us = best(|| {
        let (pacman, mut options) = place.pacman();
        let mut daemon = start_daemon(&pacman);
        options.xfer_command = Some(daemon.xfer_command());
        pacman.configure(&options);
        let cost = timed(&pacman, packages);
        Cost { daemon: daemon.process().usage(), ..cost }
    });
    eprintln!("\n{count} packages, median 200 KB, pacman -Sw, nginx on the loopback");
    report("curl -o %o %u", with_curl);
    report("pacman2pacman-get %u %o", with_us);
    usage("p2pd in that time", with_us.daemon);
    ratio("time, ours to curl's", quotient(with_us.elapsed, with_curl.elapsed), Wanted::AtMost(1.5));
    old_way(&place, with_curl.elapsed);
}

/// So slow that a few packages must do; the rest is calculated.
fn old_way(place: &Place, with_curl: Duration) {
    let webseeded = |package: &Package| {
        let url = place.nginx.url(&place.repository.url_path(package.file_name()));
        place.repository.write_torrent(package, &package.metainfo(&[], &[url]));
    };
    let all = place.repository.packages();
    let few = &all[..Size::chosen().of(2, 8)];
    few.iter().for_each(webseeded);
    let old = OldWay::start(&Host::loopback());
    let cost = download(place, few, &old.xfer_command());
    let count = |packages: &[Package]| u32::try_from(packages.len()).expect("a few hundred");
    let each = cost.elapsed / count(few);
    time(&format!("the old way, {} packages", few.len()), cost.elapsed);
    let all_of_them = each * count(all);
    eprintln!(
        "the old way, {} packages (extrapolated): {:.0} s, {:.0} times curl's time",
        all.len(),
        all_of_them.as_secs_f64(),
        quotient(all_of_them, with_curl)
    );
}

#[test]
fn bench_one_large_package_from_one_mirror() {
    let bytes = Size::chosen().of(64, 1024) * 1024 * 1024;
    let place = Place::new(|repository| add(repository, "large", bytes));
    let package = &place.repository.packages()[0];
    let url = place.nginx.url(&place.repository.url_path(package.file_name()));
    let out = place.directory.path().join("out");
    let with_curl = best(|| {
        drop(fs_err::remove_file(&out));
        let mut command = Host::loopback().command("curl");
        command.args(["-sS", "-o"]).arg(&out).arg(&url);
        let before = children();
        let ran = run(command, Duration::from_mins(5));
        ran.succeeded();
        Cost { elapsed: ran.elapsed, children: children().saturating_sub(before), daemon: Usage::default() }
    });
    let with_us = best(|| {
        drop(fs_err::remove_file(&out));
        let (pacman, _) = place.pacman();
        let mut daemon = start_daemon(&pacman);
        let before = children();
        let ran = daemon.client().fetch(&url, &out, Duration::from_mins(5));
        ran.succeeded();
        let children = children().saturating_sub(before);
        assert!(package.is_at(&out), "another file than asked for");
        Cost { elapsed: ran.elapsed, children, daemon: daemon.process().usage() }
    });
    eprintln!("\none package of {} MiB from one nginx on the loopback", bytes / (1024 * 1024));
    report("curl", with_curl);
    report("pacman2pacman-get", with_us);
    usage("p2pd in that time", with_us.daemon);
    ratio("throughput, ours to curl's", quotient(with_curl.elapsed, with_us.elapsed), Wanted::AtLeast(0.7));
}

fn report(what: &str, cost: Cost) {
    let (elapsed, children) = (cost.elapsed.as_secs_f64(), cost.children.as_secs_f64());
    eprintln!("{what}: {elapsed:.2} s, {children:.2} s of processor time");
}

fn best(run: impl Fn() -> Cost) -> Cost {
    (0..RUNS).map(|_| run()).min_by_key(|cost| cost.elapsed).expect("there is more than one run")
}

fn download(place: &Place, packages: &[Package], xfer_command: &str) -> Cost {
    let (pacman, mut options) = place.pacman();
    options.xfer_command = Some(xfer_command.to_owned());
    pacman.configure(&options);
    timed(&pacman, packages)
}

fn timed(pacman: &PacmanRoot, packages: &[Package]) -> Cost {
    let arguments: Vec<&str> = ["-Sw"].into_iter().chain(packages.iter().map(Package::name)).collect();
    let (started, before) = (Instant::now(), children());
    pacman.pacman(&arguments).succeeded();
    let elapsed = started.elapsed();
    for package in packages {
        assert!(package.is_at(&pacman.cached(package)), "{}", package.file_name());
    }
    Cost { elapsed, children: children().saturating_sub(before), daemon: Usage::default() }
}

/// The processor time of all children that have ended.
fn children() -> Duration {
    Usage::of_ended_children()
}

fn add(repository: &mut Repository, name: &str, bytes: u64) {
    repository.add(&PackageSpec::new(name).payload(Payload::Random(bytes)));
}
