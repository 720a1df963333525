//! What thousands of packages cost that nobody asks for, and how fast they are hashed: beside other clients with the same
//! packages, and beside openssl.

mod hoard;
mod others;
mod peer;
pub(crate) mod probe;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, DhtNetwork, Host, Lan, OpenTracker, Package, Payload, Usage, run, wait_until,
};

use crate::Size;
use crate::figures::{Wanted, figure, quotient, ratio};
use hoard::Hoard;
use others::{Loaded, Other};
use peer::{Downloaded, Peer};
use probe::{Idle, Probe};

/// How long hashing or loading all of them may take.
const BOUND: Duration = Duration::from_mins(4);
const MIB: u64 = 1024 * 1024;

#[test]
fn bench_thousands_of_idle_packages() {
    let (count, minute) = (Size::chosen().of(300, 15_000), Duration::from_secs(Size::chosen().of(5, 60)));
    let mut lan = Lan::new([203, 0, 113]);
    let [own, elsewhere] = [lan.host(), lan.host()];
    let hoard = Hoard::new(count, Payload::Random(3_000), &own);
    let dht = DhtNetwork::start(&elsewhere);
    let hashes = hoard.packages().iter().map(|package| package.info.info_hash().to_string());
    let tracker = OpenTracker::start_for(&elsewhere, &hashes.collect::<Vec<_>>());
    let options = DaemonOptions {
        host: own.clone(),
        lan: true,
        dht_bootstrap: dht.nodes(),
        trackers: vec![tracker.udp_url()],
        ..hoard.options()
    };
    eprintln!("\n{count} packages, {} MB, in one cache, and nobody asks for them", hoard.bytes() / 1_000_000);
    let mut daemon = Daemon::start(&Binaries::built(), options);
    let started = Instant::now();
    wait_seeding(&mut daemon, count);
    figure("p2pd: first scan", started.elapsed().as_secs_f64(), "s", None);
    let idle = Idle::of(daemon.process().id(), &own, minute);
    report("p2pd after it", &idle, Bounds::Held);
    restart(&mut daemon, &hoard, &own);
    let idle = Idle::of(daemon.process().id(), &own, minute);
    report("p2pd after the restart", &idle, Bounds::Held);
    drop(daemon);
    let others = [Other::Transmission, Other::Libtorrent].map(|other| other.load(&own, &hoard));
    let idle = Idle::of_each(&others.each_ref().map(Loaded::id), &own, minute);
    for (loaded, idle) in others.iter().zip(&idle) {
        eprintln!(
            "{}: {} torrents seeded after {:.0} s",
            loaded.name(),
            loaded.count(),
            loaded.elapsed().as_secs_f64()
        );
        report(loaded.name(), idle, Bounds::None);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bounds {
    /// What the issue promises of us.
    Held,
    None,
}

fn report(who: &str, idle: &Idle, bounds: Bounds) {
    let at_most = |bound| (bounds == Bounds::Held).then_some(Wanted::AtMost(bound));
    figure(&format!("{who}: memory"), idle.memory(), "MiB", at_most(60.0));
    figure(&format!("{who}: processor"), idle.processor(), "% of one core", at_most(1.0));
    figure(&format!("{who}: open files"), idle.open_files(), "", at_most(63.0));
    // Theirs share one namespace.
    if bounds == Bounds::Held {
        figure(&format!("{who}: UDP packets sent"), idle.packets(), "a second", at_most(5.0));
    }
}

/// Ends the daemon, starts it again, and says how long it takes until everything is served, and what it reads for that.
fn restart(daemon: &mut Daemon, hoard: &Hoard, own: &Host) {
    let catalogued = |daemon: &Daemon| daemon.log().matches("package catalogued").count();
    let hashed_before = catalogued(daemon);
    assert!(daemon.process().stop().success(), "{}", daemon.log());
    let started = Instant::now();
    daemon.restart();
    wait_seeding(daemon, hoard.packages().len());
    let last = hoard.packages().last().expect("there are some");
    drop(Peer::connect(own, daemon.listen(), last));
    let elapsed = started.elapsed();
    let probe = Probe::of(daemon.process().id());
    let hashed = u32::try_from(catalogued(daemon) - hashed_before).expect("a few thousand");
    figure("p2pd: restart until all is served", elapsed.as_secs_f64(), "s", Some(Wanted::AtMost(2.0)));
    figure("p2pd: read for that", probe.read_mebibytes(), "MiB", Some(Wanted::AtMost(100.0)));
    figure("p2pd: files hashed again", f64::from(hashed), "", Some(Wanted::AtMost(0.0)));
}

#[test]
fn bench_the_first_scan() {
    let batch = Size::chosen().of(4, 32);
    let mut hoard = Hoard::new(1, Payload::Random(8 * MIB), &Host::loopback());
    let mut daemon = Daemon::start(&Binaries::built(), hoard.options());
    wait_seeding(&mut daemon, 1);
    let thread = Probe::thread(daemon.process().id(), "cache-scan");
    let (served, listen) = (hoard.packages()[0].clone(), daemon.listen());
    let mut peer = Peer::connect(&Host::loopback(), listen, &served);
    let before = peer.download(&served, Duration::from_secs(2));
    let mut scan = |peer: Option<&mut Peer>| {
        hoard.add(batch, Payload::Random(64 * MIB));
        let openssl = ["-sha1", "-sha256"].map(|hash| openssl(&hoard, batch, hash)).iter().sum();
        Scan::of(&mut daemon, &hoard, &thread, peer.map(|peer| (peer, &served)), openssl)
    };
    let alone = scan(None);
    let beside = scan(Some(&mut peer));
    eprintln!("\n{} MiB in {batch} packages, new in the cache, in the page cache", alone.bytes / MIB);
    figure("openssl dgst -sha1 and then -sha256", alone.rate(alone.openssl), "MiB/s", None);
    for (what, scan) in [("alone", &alone), ("beside an upload", &beside)] {
        figure(&format!("p2pd's scan {what}, by the clock"), scan.rate(scan.elapsed), "MiB/s", None);
        figure(&format!("p2pd's scan {what}, by its processor time"), scan.rate(scan.processor), "MiB/s", None);
    }
    ratio("alone, by the clock, ours to openssl's", quotient(alone.openssl, alone.elapsed), Wanted::AtLeast(0.7));
    ratio("beside an upload, by processor time", quotient(beside.openssl, beside.processor), Wanted::AtLeast(0.7));
    let during = beside.peer.expect("there was a peer");
    figure("the upload to one peer before the scan", before.rate(), "MiB/s", None);
    figure("the upload during the scan", during.rate(), "MiB/s", None);
    figure(
        "the longest that the peer waited for a block then",
        during.longest_wait().as_secs_f64() * 1000.0,
        "ms",
        None,
    );
}

/// How one batch of packages was hashed.
struct Scan {
    bytes: u64,
    openssl: Duration,
    elapsed: Duration,
    processor: Duration,
    peer: Option<Downloaded>,
}

impl Scan {
    /// Lists what the cache has, and waits until all of it is hashed. A peer downloads a package meanwhile.
    fn of(
        daemon: &mut Daemon,
        hoard: &Hoard,
        thread: &Path,
        peer: Option<(&mut Peer, &Package)>,
        openssl: Duration,
    ) -> Self {
        let (all, status) = (hoard.packages().len() as u64, daemon.status());
        let bytes = hoard.bytes() - status.number("bytes_seeded");
        let before = Probe::processor_time_of(thread);
        let processor = || Probe::processor_time_of(thread).saturating_sub(before);
        hoard.list_all();
        // It waits until the directory is quiet, and reads the database.
        wait_until("the scan to hash", BOUND, || processor() > Duration::from_millis(20));
        let started = Instant::now();
        let is_over = || daemon.status().number("packages_seeded") >= all;
        let peer = peer.map(|(peer, package)| peer.download_until(package, BOUND, is_over));
        wait_seeding(daemon, hoard.packages().len());
        Self { bytes, openssl, elapsed: started.elapsed(), processor: processor(), peer }
    }

    /// In MiB a second.
    fn rate(&self, time: Duration) -> f64 {
        mebibytes(self.bytes) / time.as_secs_f64()
    }
}

/// The processor time of hashing the last packages, the faster of two runs.
fn openssl(hoard: &Hoard, batch: usize, hash: &str) -> Duration {
    let time = || {
        let mut command = Command::new("openssl");
        let packages = &hoard.packages()[hoard.packages().len() - batch..];
        command.args(["dgst", hash]).args(packages.iter().map(|package| &package.path));
        let before = Usage::of_ended_children();
        run(command, BOUND).succeeded();
        Usage::of_ended_children().saturating_sub(before)
    };
    time().min(time())
}

fn wait_seeding(daemon: &mut Daemon, count: usize) {
    let what = format!("{count} seeded packages");
    daemon.wait_for_status(&what, BOUND, |status| status.number("packages_seeded") >= count as u64);
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
