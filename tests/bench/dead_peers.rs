//! Everything peer-to-peer is dead, the mirror lives: what the daemon costs then, beside plain curl.

use std::net::SocketAddr;
use std::time::Duration;

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Death, FixedTracker, Host, Lie, LyingNeighbour, Nginx, Package, PackageSpec,
    PacmanRoot, PacmanRootOptions, Payload, Repository, Router, run,
};

use crate::Size;
use crate::figures::{Wanted, figure};

const BYTES: u64 = 20_000;
const WITHIN: Duration = Duration::from_mins(1);

/// A repository of small packages, its mirror, and a machine whose every way to find peers leads to the dead.
struct Scene {
    // Dropped, and so ended, before what it lives on.
    daemon: Daemon,
    _pacman: PacmanRoot,
    nginx: Nginx,
    repository: Repository,
    directory: tempfile::TempDir,
    place: Host,
    _router: Router,
}

impl Scene {
    /// Half of the dead are silent, the others refuse. The machine has had two neighbours, and remembers them.
    fn new(packages: usize) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let mut repository = Repository::new(directory.path(), "core");
        for n in 0..packages {
            repository.add(&PackageSpec::new(&format!("small-{n:03}")).payload(Payload::Random(BYTES)));
        }
        repository.write_database();
        let mut router = Router::new();
        let (living, dying, town) = (router.site([198, 51, 100]), router.site([192, 0, 2]), router.site([203, 0, 113]));
        let (server, place) = (router.host(living), router.host(town));
        let [silent, refusing] = [(); 2].map(|()| router.host(dying));
        let nginx = Nginx::serve(&server, directory.path(), None);
        let dead = [&silent, &refusing];
        let trackers = dead.map(|host| FixedTracker::start(host, &[]));
        // What they say does not matter: they are to be remembered.
        let neighbours = dead.map(|host| LyingNeighbour::listen(host, Lie::Silence));
        let bootstrap = dead.map(|host| SocketAddr::new(host.address(), 6881));

        let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[&repository], &[&nginx.server()]), None);
        pacman.place_database(&repository);
        let mut daemon = Daemon::start(
            &Binaries::built(),
            DaemonOptions {
                host: place.clone(),
                lan: true,
                dht_bootstrap: bootstrap.to_vec(),
                trackers: trackers.iter().map(FixedTracker::url).collect(),
                peers: neighbours.each_ref().map(LyingNeighbour::address).to_vec(),
                ..DaemonOptions::measured(&pacman.config())
            },
        );
        daemon.wait_for_status("two neighbours", WITHIN, |status| status.number("neighbours") == 2);
        router.kill(&refusing.address().to_string(), Death::Refusing);
        router.kill(&silent.address().to_string(), Death::Silent);
        assert!(daemon.process().stop().success(), "{}", daemon.log());
        daemon.restart();
        Self { daemon, _pacman: pacman, nginx, repository, directory, place, _router: router }
    }

    fn url(&self, package: &Package) -> String {
        let server = self.nginx.server();
        let base = server.strip_suffix("/$repo/os/$arch").expect("a Server line of ours");
        format!("{base}{}", self.repository.url_path(package.file_name()))
    }

    /// From exec to exit.
    fn with_us(&self, package: &Package) -> Duration {
        let out = self.directory.path().join("ours");
        let _absent = fs_err::remove_file(&out);
        let ran = self.daemon.client().fetch(&self.url(package), &out, WITHIN);
        ran.succeeded();
        assert!(package.is_at(&out), "another file than asked for");
        ran.elapsed
    }

    fn with_curl(&self, package: &Package) -> Duration {
        let out = self.directory.path().join("curls");
        let mut command = self.place.command("curl");
        command.args(["--silent", "--show-error", "--fail", "--output"]).arg(&out).arg(self.url(package));
        let ran = run(command, WITHIN);
        ran.succeeded();
        assert!(package.is_at(&out), "another file than asked for");
        ran.elapsed
    }
}

/// The value that so many of a hundred do not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
}

#[test]
fn bench_a_small_package_with_every_peer_dead_in_namespaces() {
    let scene = Scene::new(Size::chosen().of(20, 150));
    let (mut ours, mut curls) = (Vec::new(), Vec::new());
    // By turns, from the moment of the restart on: whatever else the machine does, both bear it.
    for package in scene.repository.packages() {
        ours.push(scene.with_us(package));
        curls.push(scene.with_curl(package));
    }
    eprintln!("\n{} packages of {BYTES} bytes, with every peer, tracker and DHT node dead", ours.len());
    for percent in [50, 95] {
        let (ours, curls) = (percentile(&mut ours, percent), percentile(&mut curls, percent));
        figure(&format!("  pacman2pacman-get, p{percent}"), ours, "ms", None);
        figure(&format!("  curl, p{percent}"), curls, "ms", None);
        let wanted = (percent == 95).then_some(Wanted::AtMost(50.0));
        figure(&format!("  more than curl at p{percent}"), ours - curls, "ms", wanted);
    }
    let status = scene.daemon.status();
    let all: u64 = scene.repository.packages().iter().map(Package::size).sum();
    assert_eq!((status.from_peers(), status.from_mirrors()), (0, all), "{}", status.json());
}
