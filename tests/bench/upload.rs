//! How fast and how dear uploading is, compared with libtorrent: one large package, loopback.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Connecting, Daemon, DaemonOptions, Encryption, Host, Libtorrent, LibtorrentOptions, Package, PackageSpec,
    PacmanRoot, PacmanRootOptions, Payload, Repository, Transport, Usage,
};

use crate::Size;
use crate::downloader::{Downloader, Order};
use crate::figures::{Wanted, ratio};

/// As many as libtorrent has on their way at some 100 MB/s.
const ORDER: Order = Order { in_flight: 200, check_every: 32 };
/// How often each is measured; the fastest run counts, because other load only ever slows.
const RUNS: usize = 5;
/// The same with a client, which takes its time.
const CLIENT_RUNS: usize = 2;
const BOUND: Duration = Duration::from_mins(5);

/// What uploading a package once has cost the seeder.
#[derive(Debug, Clone, Copy)]
struct Cost {
    elapsed: Duration,
    cpu: Duration,
}

struct Place {
    _directory: tempfile::TempDir,
    package: Package,
    repository: Repository,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let mut repository = Repository::new(directory.path(), "core");
        let bytes = Size::chosen().of(64, 1024) * 1024 * 1024;
        let package = repository.add(&PackageSpec::new("large").payload(Payload::Random(bytes)));
        repository.write_database();
        Self { _directory: directory, package, repository }
    }

    /// A daemon that has the package in its pacman's cache.
    fn daemon(&self, trackers: &[String]) -> (PacmanRoot, Daemon) {
        let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[&self.repository], &["http://127.0.0.1:9"]), None);
        pacman.place_database(&self.repository);
        fs_err::copy(&self.package.path, pacman.cached(&self.package)).expect("the package can be copied");
        let options = DaemonOptions { trackers: trackers.to_vec(), ..DaemonOptions::new(&pacman.config()) };
        let mut daemon = Daemon::start(&Binaries::built(), options);
        daemon.wait_for_status("the package in the catalog", BOUND, |status| status.number("packages_seeded") == 1);
        (pacman, daemon)
    }

    fn libtorrent(&self) -> Libtorrent {
        Libtorrent::seed(&Host::loopback(), &self.package, &[], &LibtorrentOptions::default())
    }

    fn to_sink(&self, from: SocketAddr) {
        let mut downloader = Downloader::call(from, None, &self.package.info).expect("the seeder answers");
        let came = downloader.download(ORDER).expect("the right bytes");
        assert_eq!(came, self.package.size());
    }

    fn to_client(&self, from: SocketAddr, mut usage: impl FnMut() -> Usage) -> Cost {
        // Over TCP, as the sink; libtorrent itself prefers uTP.
        let connecting = Connecting { transport: Transport::Tcp, encryption: Encryption::Avoided };
        let options = LibtorrentOptions { peers: vec![from], connecting, ..LibtorrentOptions::default() };
        let (started, before) = (Instant::now(), usage().cpu);
        let mut client = Libtorrent::download(&Host::loopback(), &self.package, &[], &options);
        client.wait("the client to be done", BOUND, |state| state["complete"] == true);
        let cost = Cost { elapsed: started.elapsed(), cpu: usage().cpu.saturating_sub(before) };
        client.wait_complete(&self.package, BOUND);
        cost
    }

    fn report(&self, what: &str, cost: Cost) {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let gibibytes = self.package.size() as f64 / f64::from(1 << 30);
        let (speed, cpu) = (gibibytes / cost.elapsed.as_secs_f64(), cost.cpu.as_secs_f64() / gibibytes);
        eprintln!("  {what:<34} {speed:>6.2} GiB/s {cpu:>6.2} s of processor time a GiB");
    }
}

#[test]
fn bench_upload_to_a_sink() {
    let place = Place::new();
    let (_pacman, mut daemon) = place.daemon(&[]);
    let mut libtorrent = place.libtorrent();
    let (from_us, from_libtorrent) = (daemon.listen(), libtorrent.listen());
    let ours = best(RUNS, || measured(|| place.to_sink(from_us), || daemon.process().usage()));
    let theirs = best(RUNS, || measured(|| place.to_sink(from_libtorrent), || libtorrent.process().usage()));
    eprintln!("\none package of {} MiB to a sink on the loopback", place.package.size() >> 20);
    place.report("p2pd", ours);
    place.report("libtorrent", theirs);
    compare(ours, theirs);
}

#[test]
fn bench_upload_to_a_client() {
    let place = Place::new();
    let (_pacman, mut daemon) = place.daemon(&[]);
    let mut libtorrent = place.libtorrent();
    let (from_us, from_libtorrent) = (daemon.listen(), libtorrent.listen());
    let ours = best(CLIENT_RUNS, || place.to_client(from_us, || daemon.process().usage()));
    let theirs = best(CLIENT_RUNS, || place.to_client(from_libtorrent, || libtorrent.process().usage()));
    eprintln!("\none package of {} MiB to libtorrent on the loopback, its start included", place.package.size() >> 20);
    place.report("p2pd", ours);
    place.report("libtorrent", theirs);
    compare(ours, theirs);
}

fn compare(ours: Cost, theirs: Cost) {
    let speed = theirs.elapsed.as_secs_f64() / ours.elapsed.as_secs_f64();
    ratio("throughput, ours to libtorrent's", speed, Wanted::AtLeast(1.3));
    // A small run may cost less than the kernel counts.
    let cpu = ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64().max(0.01);
    ratio("processor time, ours to libtorrent's", cpu, Wanted::AtMost(0.6));
}

fn measured(upload: impl Fn(), mut usage: impl FnMut() -> Usage) -> Cost {
    let (started, before) = (Instant::now(), usage().cpu);
    upload();
    Cost { elapsed: started.elapsed(), cpu: usage().cpu.saturating_sub(before) }
}

fn best(runs: usize, mut run: impl FnMut() -> Cost) -> Cost {
    (0..runs).map(|_| run()).min_by_key(|cost| cost.elapsed).expect("there is more than one run")
}
