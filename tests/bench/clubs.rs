//! What it costs to be in a club while nobody asks for anything, with few and with many neighbours to choose from.

mod neighbourhood;

use std::time::Duration;

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, DhtNetwork, FixedTracker, Lan, PackageSpec, PacmanRoot, PacmanRootOptions,
    Payload, Repository,
};
use p2p_wire::club_id;

use crate::Size;
use crate::catalog::probe::Idle;
use neighbourhood::Neighbourhood;

/// How long the neighbours may take to come.
const BOUND: Duration = Duration::from_mins(2);
/// Those outside of the local network that a daemon dials.
const DIALLED: usize = 24;
/// Those of them that the tracker knows; the others are told of by neighbours.
const TRACKED: usize = 50;

/// One line of the table.
#[derive(Clone, Copy)]
struct Case {
    is_in_club: bool,
    /// Addresses that the daemon gets to know.
    known: usize,
    /// Of these, those that call it.
    callers: usize,
}

/// What was seen of it.
struct Cost {
    case: Case,
    neighbours: u64,
    idle: Idle,
}

#[test]
fn bench_club_membership_when_idle() {
    let (small, full) = (
        &[(true, 0, 0), (true, 5, 0)][..],
        &[(false, 0, 0), (true, 0, 0), (true, 5, 0), (true, 50, 0), (true, 500, 0), (true, 500, 40)][..],
    );
    let cases = Size::chosen().of(small, full).iter();
    let cases =
        cases.map(|(is_in_club, known, callers)| Case { is_in_club: *is_in_club, known: *known, callers: *callers });
    // Each has a network to itself, so they may run at once; only the processor is shared.
    let running: Vec<_> = cases.map(|case| std::thread::spawn(move || measure(case))).collect();
    let costs: Vec<Cost> = running.into_iter().map(|case| case.join().expect("a case that runs")).collect();
    eprintln!("\none idle daemon in one club, with DHT, tracker and local search, and no package to announce");
    eprintln!("  known neighbours   connections   UDP packets/s   TCP segments/s   memory MiB   open files");
    for Cost { case, neighbours, idle } in costs {
        let known = match case {
            Case { is_in_club: false, .. } => "(in no club)".to_owned(),
            Case { callers: 0, known, .. } => known.to_string(),
            Case { callers, known, .. } => format!("{known}, {callers} call"),
        };
        let (packets, segments) = (idle.packets(), idle.segments());
        let (memory, files) = (idle.memory(), idle.open_files());
        eprintln!("  {known:<16} {neighbours:>13} {packets:>15.3} {segments:>16.3} {memory:>12.1} {files:>12.0}");
    }
}

/// Measures when everybody has come and told of others; the beginning does not count.
fn measure(case: Case) -> Cost {
    let mut lan = Lan::new([203, 0, 113]);
    let [own, elsewhere] = [lan.host(), lan.host()];
    let club = club_id("core", "x86_64");
    let mut others = Neighbourhood::new(&elsewhere, club, case.known);
    let tracker = FixedTracker::start(&elsewhere, &others.addresses()[..case.known.min(TRACKED)]);
    let dht = DhtNetwork::start(&elsewhere);
    let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
    let mut repository = Repository::new(directory.path(), "core");
    repository.add(&PackageSpec::new("not-here").payload(Payload::Random(1000)));
    repository.write_database();
    let options = PacmanRootOptions {
        host: own.clone(),
        ..PacmanRootOptions::new(&[&repository], &["http://127.0.0.1:9/$repo"])
    };
    let pacman = PacmanRoot::new(&options, None);
    pacman.place_database(&repository);
    let mut options = DaemonOptions {
        host: own.clone(),
        lan: true,
        dht_bootstrap: dht.nodes(),
        trackers: vec![tracker.url()],
        ..DaemonOptions::measured(&pacman.config())
    };
    if !case.is_in_club {
        options.repositories = Vec::new();
    }
    let mut daemon = Daemon::start(&Binaries::built(), options);
    others.call(daemon.listen(), case.callers);
    let wanted = (case.known.min(DIALLED) + case.callers) as u64;
    let what = format!("{wanted} neighbours");
    daemon.wait_for_status(&what, BOUND, |status| status.number("neighbours") >= wanted);
    let (beginning, watched) = Size::chosen().of((1, 5), (80, 180));
    // A time and no silence: announces and introductions of later come in rounds as far apart as the first ones.
    std::thread::sleep(Duration::from_secs(beginning));
    let idle = Idle::of(daemon.process().id(), &own, Duration::from_secs(watched));
    Cost { case, neighbours: daemon.status().number("neighbours"), idle }
}
