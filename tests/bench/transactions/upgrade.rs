//! An upgrade of many packages on a large database: learning the rest must not delay the first file.

use std::path::Path;
use std::time::Duration;

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Host, Nginx, PackageSpec, PacmanRoot, PacmanRootOptions, Payload, Repository,
};

use crate::Size;
use crate::figures::{Wanted, quotient, ratio, time};

/// How often each is measured, in turn. The median counts: a first file takes some milliseconds.
const RUNS: usize = 7;

/// One upgrade.
#[derive(Clone, Copy)]
struct Upgrade {
    /// From pacman's call for the first package to its call for the second one.
    first: Duration,
    all: Duration,
}

#[derive(Clone, Copy)]
struct Numbers {
    listed: usize,
    installed: usize,
    upgraded: usize,
}

#[test]
fn bench_the_first_file_of_an_upgrade_on_a_large_database() {
    let small = Numbers { listed: 1_400, installed: 300, upgraded: 50 };
    let numbers = Size::chosen().of(small, Numbers { listed: 14_000, installed: 3_000, upgraded: 500 });
    let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
    let mut repository = Repository::new(directory.path(), "core");
    for n in 0..numbers.upgraded {
        repository.add(&PackageSpec::new(&format!("package-{n:03}")).payload(Payload::Random(20_000)));
    }
    repository.list_others(numbers.listed - numbers.upgraded);
    repository.write_database();
    let nginx = Nginx::serve(&Host::loopback(), directory.path(), None);
    let (mut learning, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        learning.push(upgrade(&repository, &nginx, numbers, true));
        plain.push(upgrade(&repository, &nginx, numbers, false));
    }
    let median = |upgrades: &[Upgrade], what: fn(&Upgrade) -> Duration| {
        let mut times: Vec<Duration> = upgrades.iter().map(what).collect();
        times.sort_unstable();
        times[RUNS / 2]
    };
    let first = [&learning, &plain].map(|upgrades| median(upgrades, |upgrade| upgrade.first));
    let all = [&learning, &plain].map(|upgrades| median(upgrades, |upgrade| upgrade.all));
    let Numbers { listed, upgraded, installed } = numbers;
    eprintln!("\n-Syuw of {upgraded} packages, {listed} in the database, {installed} others installed, loopback");
    eprintln!(
        "  the first file: {:.1} ms with learning, {:.1} ms without",
        milliseconds(first[0]),
        milliseconds(first[1])
    );
    ratio("  the first file, with learning to without", quotient(first[0], first[1]), Wanted::AtMost(1.1));
    time("  the whole run, with learning", all[0]);
    time("  the whole run, without", all[1]);
}

fn upgrade(repository: &Repository, nginx: &Nginx, numbers: Numbers, prefetch: bool) -> Upgrade {
    let mut options = PacmanRootOptions::new(&[repository], &[&nginx.server()]);
    let pacman = PacmanRoot::new(&options, None);
    pacman.place_database(repository);
    let old = repository.packages().iter().map(|package| (package.name().to_owned(), "0-1".to_owned()));
    pacman.record_installed(old.chain((0..numbers.installed).map(|n| (format!("other-{n}"), "1-1".to_owned()))));
    let daemon =
        Daemon::start(&Binaries::built(), DaemonOptions { prefetch, ..DaemonOptions::measured(&pacman.config()) });
    let log = pacman.cache().join("starts.log");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/log-start.sh");
    options.xfer_command = Some(format!("{} {} {}", script.display(), log.display(), daemon.xfer_command()));
    pacman.configure(&options);
    let ran = pacman.pacman(&["-Syuw"]);
    ran.succeeded();
    for package in repository.packages() {
        assert!(package.is_at(&pacman.cached(package)), "{}", package.file_name());
    }
    let text = fs_err::read_to_string(log).expect("the script wrote it");
    let starts: Vec<f64> = text.lines().filter_map(package_start).collect();
    assert_eq!(starts.len(), numbers.upgraded, "one call for each package");
    Upgrade { first: Duration::from_secs_f64(starts[1] - starts[0]), all: ran.elapsed }
}

/// When the call for a package began, in seconds.
fn package_start(line: &str) -> Option<f64> {
    let (time, url) = line.split_once(' ')?;
    url.ends_with(".pkg.tar.zst").then(|| time.parse().ok())?
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
