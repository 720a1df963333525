//! A package that a neighbour has: nearby, as far away as the mirror, and not at all.

use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, DelayProxy, Host, Nginx, Package, PackageSpec, PacmanRoot, PacmanRootOptions,
    Payload, Repository,
};

use crate::Size;
use crate::figures::{Wanted, figure, ratio};

const BYTES: u64 = 200_000;
/// One way.
const FAR: Duration = Duration::from_millis(25);

/// One repository, and a machine that has all of it in its cache.
struct Scene {
    directory: tempfile::TempDir,
    repository: Repository,
    seed: Machine,
}

struct Machine {
    daemon: Daemon,
    _pacman: PacmanRoot,
}

impl Scene {
    fn new(packages: usize) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let mut repository = Repository::new(directory.path(), "core");
        for n in 0..packages {
            repository.add(&PackageSpec::new(&format!("lent-{n:03}")).payload(Payload::Random(BYTES)));
        }
        repository.write_database();
        let pacman = pacman(&repository, "http://127.0.0.1:1/$repo/os/$arch");
        for package in repository.packages() {
            fs_err::copy(&package.path, pacman.cached(package)).expect("the package can be copied");
        }
        let mut daemon = Daemon::start(&Binaries::built(), DaemonOptions::measured(&pacman.config()));
        let wanted = u64::try_from(packages).expect("a few");
        daemon.wait_for_status("all packages seeded", Duration::from_mins(1), |status| {
            status.number("packages_seeded") == wanted
        });
        Self { directory, repository, seed: Machine { daemon, _pacman: pacman } }
    }

    /// A machine with this mirror, and a neighbour at this address, if any.
    fn machine(&self, server: &str, neighbour: Option<std::net::SocketAddr>) -> Machine {
        let pacman = pacman(&self.repository, server);
        let options =
            DaemonOptions { peers: neighbour.into_iter().collect(), ..DaemonOptions::measured(&pacman.config()) };
        let mut daemon = Daemon::start(&Binaries::built(), options);
        if neighbour.is_some() {
            daemon.wait_for_status("a neighbour", Duration::from_mins(1), |status| status.number("neighbours") == 1);
        }
        Machine { daemon, _pacman: pacman }
    }

    fn packages(&self) -> &[Package] {
        self.repository.packages()
    }

    fn url(&self, base: &str, package: &Package) -> String {
        format!("{base}{}", self.repository.url_path(package.file_name()))
    }

    /// The time of a client's call for each package, sorted.
    fn times(&self, machine: &Machine, base: &str) -> Vec<Duration> {
        let mut times: Vec<Duration> = self
            .packages()
            .iter()
            .map(|package| {
                let out = self.directory.path().join("out.part");
                let _absent = fs_err::remove_file(&out);
                let started = Instant::now();
                let url = self.url(base, package);
                machine.daemon.client().fetch(&url, &out, Duration::from_mins(1)).succeeded();
                let elapsed = started.elapsed();
                assert!(package.is_at(&out), "{}: another file", package.file_name());
                elapsed
            })
            .collect();
        times.sort_unstable();
        times
    }
}

fn pacman(repository: &Repository, server: &str) -> PacmanRoot {
    let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[repository], &[server]), None);
    pacman.place_database(repository);
    pacman
}

fn base(server: &str) -> &str {
    server.strip_suffix("/$repo/os/$arch").expect("a Server line of ours")
}

fn median(times: &[Duration]) -> Duration {
    times[times.len() / 2]
}

/// The 95th percentile.
fn late(times: &[Duration]) -> Duration {
    times[times.len() * 95 / 100]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[test]
fn bench_a_small_package_that_a_neighbour_has() {
    let scene = Scene::new(Size::chosen().of(5, 101));
    let nginx = Nginx::serve(&Host::loopback(), scene.directory.path(), None);
    let listen = scene.seed.daemon.listen();
    eprintln!("\n{} packages of {BYTES} bytes, one after the other, from exec to exit", scene.packages().len());

    let near = scene.machine(&nginx.server(), Some(listen));
    let times = scene.times(&near, base(&nginx.server()));
    figure("  a neighbour nearby, median", milliseconds(median(&times)), "ms", Some(Wanted::AtMost(15.0)));
    let status = near.daemon.status();
    let all: u64 = scene.packages().iter().map(Package::size).sum();
    assert_eq!((status.from_peers(), status.from_mirrors()), (all, 0), "{}", status.json());
    eprintln!("    {} bytes from peers, {} from the mirror", status.from_peers(), status.from_mirrors());

    let alone = scene.times(&scene.machine(&nginx.server(), None), base(&nginx.server()));
    let later = milliseconds(late(&times)) - milliseconds(late(&alone));
    figure("  p95 of that, less p95 of the mirror on the loopback alone", later, "ms", Some(Wanted::AtMost(50.0)));

    let far_mirror = DelayProxy::start(&Host::loopback(), nginx.address(), FAR);
    let far_neighbour = DelayProxy::start(&Host::loopback(), listen, FAR);
    let (server, neighbour) = (far_mirror.server(), Some(far_neighbour.address()));
    let alone = scene.times(&scene.machine(&server, None), base(&server));
    let both = scene.machine(&server, neighbour);
    let with_neighbour = scene.times(&both, base(&server));
    let round_trip = FAR * 2;
    figure("  a mirror at a round trip of 50 ms, median", milliseconds(median(&alone)), "ms", None);
    figure("  the same, and a neighbour as far away, median", milliseconds(median(&with_neighbour)), "ms", None);
    let quotient = median(&with_neighbour).as_secs_f64() / median(&alone).as_secs_f64();
    ratio("  with the neighbour to the mirror alone", quotient, Wanted::AtMost(1.1));
    let status = both.daemon.status();
    eprintln!("    {} bytes from peers, {} from the mirror", status.from_peers(), status.from_mirrors());
    assert!(alone[0] >= round_trip, "the proxy delays");
}
