//! Whether a crowd is served: many peers on many packages, many on one, and honest ones among thousands that are not.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use p2p_package::Info;
use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload, Repository,
};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Size;
use crate::downloader::{Downloader, Order, handshake, open};
use crate::figures::{Wanted, ratio};

const ORDER: Order = Order { in_flight: 64, check_every: 1 };
/// How often a peer calls: a real one would not give up sooner.
const CALLS: u32 = 5;
const BOUND: Duration = Duration::from_mins(5);
/// Connections from one address. The daemon takes 64 from each of the loopback's.
const PER_ADDRESS: usize = 50;
/// By how much the daemon may grow, in MiB: docs/seeding.md, "Bounds".
const MOST_GROWTH: u64 = 150;

struct Place {
    _directory: tempfile::TempDir,
    _pacman: PacmanRoot,
    packages: Vec<Package>,
    daemon: Daemon,
    listen: SocketAddr,
    /// The daemon's memory before anybody came.
    before: u64,
}

impl Place {
    /// A daemon with so many packages of so many bytes in its pacman's cache.
    fn new(count: usize, bytes: u64) -> Self {
        raise_file_limit();
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let mut repository = Repository::new(directory.path(), "core");
        let spec = |n| PackageSpec::new(&format!("package-{n:03}")).payload(Payload::Random(bytes));
        let packages: Vec<_> = (0..count).map(|n| repository.add(&spec(n))).collect();
        repository.write_database();
        let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[&repository], &["http://127.0.0.1:9"]), None);
        pacman.place_database(&repository);
        for package in &packages {
            fs_err::copy(&package.path, pacman.cached(package)).expect("the package can be copied");
        }
        let mut daemon = Daemon::start(&Binaries::built(), DaemonOptions::new(&pacman.config()));
        daemon.wait_for_status("the packages in the catalog", BOUND, |status| {
            status.number("packages_seeded") == count as u64
        });
        let (listen, before) = (daemon.listen(), daemon.process().usage().peak_memory);
        Self { _directory: directory, _pacman: pacman, packages, daemon, listen, before }
    }

    /// Honest peers, each at an address of its own, all at once; how long until the last of them was served.
    fn serve(&self, peers: usize) -> Duration {
        let (started, (done, all_done)) = (Instant::now(), mpsc::channel());
        for n in 0..peers {
            let (to, info, done) = (self.listen, self.packages[n % self.packages.len()].info.clone(), done.clone());
            thread::spawn(move || done.send(download(to, address(88, n), &info)));
        }
        drop(done);
        let calls: Vec<_> = all_done.iter().collect();
        assert_eq!(calls.len(), peers, "a peer got wrong bytes, or none");
        let again = calls.iter().filter(|calls| **calls > 1).count();
        eprintln!("  {peers} peers served and checked, {again} of them had to call again");
        started.elapsed()
    }

    fn report(&mut self, what: &str, elapsed: Duration) {
        let usage = self.daemon.process().usage();
        let mebibytes = |bytes: u64| bytes >> 20;
        let (before, peak) = (mebibytes(self.before), mebibytes(usage.peak_memory));
        let (seconds, cpu) = (elapsed.as_secs_f64(), usage.cpu.as_secs_f64());
        eprintln!(
            "  {what}: {seconds:.2} s; p2pd {cpu:.2} s of processor time, {before} MiB before, {peak} MiB at its peak"
        );
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let growth = (peak - before) as f64 / MOST_GROWTH as f64;
        eprintln!("  connections with it now: {}", self.daemon.status().number("peers"));
        ratio("  growth to what is documented", growth, Wanted::AtMost(1.0));
    }
}

#[test]
fn bench_many_peers_on_as_many_packages() {
    let count = Size::chosen().of(50, 500);
    let mut place = Place::new(count, 300_000);
    eprintln!("\n{count} peers on {count} packages");
    let elapsed = place.serve(count);
    place.report("all", elapsed);
}

#[test]
fn bench_many_peers_on_one_package() {
    let count = Size::chosen().of(20, 200);
    let mut place = Place::new(1, Size::chosen().of(1, 8) << 20);
    eprintln!("\n{count} peers on one package");
    let elapsed = place.serve(count);
    place.report("all", elapsed);
}

#[test]
fn bench_honest_peers_among_thousands_of_others() {
    let (others, peers) = (Size::chosen().of(500, 5_000), Size::chosen().of(10, 50));
    // More than one, so that they may fill all places and not only those of a package.
    let mut place = Place::new(8, Size::chosen().of(1, 8) << 20);
    eprintln!("\n{peers} honest peers among {others} others");
    let to = place.listen;
    let infos: Vec<Info> = place.packages.iter().map(|package| package.info.clone()).collect();
    let (half, halfway) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let crowd = thread::spawn(move || {
        // Dropped, and so closed, when all is over. Whoever is hung up on at once has played its part.
        let open: Vec<_> = (0..others)
            .map(|n| {
                if n == others / 2 {
                    half.send(()).expect("the test waits for it");
                }
                misbehave(n, to, &infos[n / 6 % infos.len()])
            })
            .collect();
        ended.recv().expect_err("nothing is sent");
        open.iter().flatten().count()
    });
    halfway.recv().expect("the crowd comes");
    let first = place.serve(peers);
    place.report("while they came", first);
    let second = place.serve(peers);
    place.report("later", second);
    drop(end);
    let came = crowd.join().expect("no panic");
    eprintln!("  {came} of the others had a connection");
    let elapsed = place.serve(peers);
    place.report("when they were gone", elapsed);
}

/// Downloads it all, byte for byte; how often that took a call.
fn download(to: SocketAddr, from: IpAddr, info: &Info) -> u32 {
    let once = || Downloader::call(to, Some(from), info)?.download(ORDER);
    let mut faults = Vec::new();
    for call in 1..=CALLS {
        match once() {
            Ok(_) => return call,
            Err(fault) => faults.push(fault),
        }
        thread::sleep(Duration::from_secs(1));
    }
    panic!("a peer was not served: {faults:?}");
}

/// One of those that are up to nothing; none where it was not even let in.
fn misbehave(n: usize, to: SocketAddr, info: &Info) -> Option<TcpStream> {
    let mut stream = open(to, Some(address(66, n / PER_ADDRESS))).ok()?;
    // The kernel shall not take in what they do not read.
    set_socket_recv_buffer_size(&stream, 4096).ok()?;
    let hello = handshake(info);
    let request = |piece: u32, offset: u32| {
        let numbers = [piece, offset, 16 * 1024].map(u32::to_be_bytes).concat();
        [&[0, 0, 0, 13, 6][..], &numbers].concat()
    };
    let says = match n % 6 {
        0 => Vec::new(),
        1 => (0_u32..500).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).map(|byte| byte | 0x80).collect(),
        2 => hello[..40].to_vec(),
        3 => [&hello[..], &u32::MAX.to_be_bytes(), &[5; 1000]].concat(),
        4 => [hello, request(u32::MAX, u32::MAX)].concat(),
        _ => {
            let asked = (0..1_500).flat_map(|n| request(0, n % 15 * 16 * 1024 + n / 15));
            [&hello[..], &[0, 0, 0, 1, 2]].concat().into_iter().chain(asked).collect()
        }
    };
    stream.write_all(&says).ok().map(|()| stream)
}

/// An address of this host.
fn address(network: u8, n: usize) -> IpAddr {
    let [.., high, low] = u32::try_from(n + 256).expect("a small number").to_be_bytes();
    Ipv4Addr::new(127, network, high, low.max(1)).into()
}

/// One file for each connection of the crowd.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
}
