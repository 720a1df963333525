//! What one call costs where there is nothing left to fetch.

use std::process::Command;
use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Host, Nginx, PackageSpec, PacmanRoot, PacmanRootOptions, Payload, Repository,
};

use crate::figures::{Wanted, ratio};

const CALLS: usize = 200;

#[test]
fn bench_a_call_for_a_file_that_is_already_there() {
    let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
    let mut repository = Repository::new(directory.path(), "core");
    let package = repository.add(&PackageSpec::new("there").payload(Payload::Random(200_000)));
    repository.write_database();
    let nginx = Nginx::serve(&Host::loopback(), directory.path(), None);
    let url = nginx.url(&repository.url_path(package.file_name()));
    let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[&repository], &[&nginx.server()]), None);
    pacman.place_database(&repository);
    let binaries = Binaries::built();
    let daemon = Daemon::start(&binaries, DaemonOptions::measured(&pacman.config()));
    let first = directory.path().join("first");
    daemon.client().fetch(&url, &first, Duration::from_mins(1)).succeeded();
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|n| {
            let out = directory.path().join(format!("{n}.part"));
            let mut command = Command::new(binaries.get());
            command.arg("--socket").arg(daemon.socket()).arg(&url).arg(&out);
            let started = Instant::now();
            let status = command.status().expect("the client can be run");
            let elapsed = started.elapsed();
            assert!(status.success() && package.is_at(&out), "another file than asked for");
            elapsed
        })
        .collect();
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    eprintln!("\n{CALLS} calls for a file of {} bytes that is already there, exec to exit", package.size());
    eprintln!("  median: {:.2} ms, slowest: {:.2} ms", milliseconds(times[CALLS / 2]), milliseconds(times[CALLS - 1]));
    ratio("  p95 in ms", milliseconds(times[CALLS * 95 / 100]), Wanted::AtMost(10.0));
}
