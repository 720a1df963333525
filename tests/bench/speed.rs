//! How fast peers and mirrors are together, on lines of known speed (network namespaces).

use std::time::Duration;

use p2p_tests::{
    Binaries, Client, Daemon, DaemonOptions, Fault, Host, Lan, Mirror, Package, PackageSpec, PacmanRoot,
    PacmanRootOptions, Payload, Ran, Repository, run,
};

use crate::Size;
use crate::figures::{Wanted, quotient, ratio, time};

const BOUND: Duration = Duration::from_mins(4);

/// A mirror, a daemon that seeds, and a daemon that will fetch; each on a host of its own.
struct Scene {
    fetching: Daemon,
    _seeding: Daemon,
    mirror: Mirror,
    package: Package,
    url: String,
    hosts: [Host; 3],
    directory: tempfile::TempDir,
    _pacman: [PacmanRoot; 2],
    // Dropped last: everything else runs in its namespaces.
    _lan: Lan,
}

fn scene(bytes: u64) -> Scene {
    let mut lan = Lan::new([203, 0, 113]);
    let hosts = [lan.host(), lan.host(), lan.host()];
    let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
    let mut repository = Repository::new(directory.path(), "core");
    let package = repository.add(&PackageSpec::new("large").payload(Payload::Random(bytes)));
    repository.write_database();
    repository.write_torrents(&[]);
    let mirror = Mirror::serve_on(&hosts[0], directory.path());
    let url = mirror.url(&repository.url_path(package.file_name()));
    let pacman = [(); 2].map(|()| {
        let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[&repository], &[&mirror.server()]), None);
        pacman.place_database(&repository);
        pacman
    });
    let mut seeding = daemon(&hosts[1], &pacman[0], Vec::new());
    fetch(&seeding.client(), &url, &directory.path().join("seed")).succeeded();
    seeding.wait_for_status("a seeded package", BOUND, |status| status.number("packages_seeded") == 1);
    let fetching = daemon(&hosts[2], &pacman[1], vec![seeding.listen()]);
    Scene { fetching, _seeding: seeding, mirror, package, url, hosts, directory, _pacman: pacman, _lan: lan }
}

fn daemon(host: &Host, pacman: &PacmanRoot, peers: Vec<std::net::SocketAddr>) -> Daemon {
    let options = DaemonOptions { host: host.clone(), peers, ..DaemonOptions::measured(&pacman.config()) };
    Daemon::start(&Binaries::built(), options)
}

fn fetch(client: &Client, url: &str, out: &std::path::Path) -> Ran {
    client.fetch(url, out, BOUND)
}

impl Scene {
    /// Fetches through the daemon; the file must be right.
    fn fetch(&self) -> Duration {
        let out = self.directory.path().join("out");
        let ran = fetch(&self.fetching.client(), &self.url, &out);
        ran.succeeded();
        assert!(self.package.is_at(&out), "another file than asked for");
        let status = self.fetching.status();
        eprintln!("{} bytes from the peer, {} from the mirror", status.from_peers(), status.from_mirrors());
        ran.elapsed
    }

    /// Fetches from the mirror alone, with curl on the same host.
    fn fetch_with_curl(&self) -> Duration {
        let mut command = self.hosts[2].command("curl");
        command.args(["-sS", "-o"]).arg(self.directory.path().join("curl")).arg(&self.url);
        let ran = run(command, BOUND);
        ran.succeeded();
        ran.elapsed
    }
}

#[test]
fn bench_a_mirror_and_a_peer_at_twenty_megabits_each() {
    let scene = scene(Size::chosen().of(15_000_000, 60_000_000));
    scene.hosts[0].limit_upload(20);
    scene.hosts[1].limit_upload(20);
    eprintln!("\nmirror 20 Mbit/s, peer 20 Mbit/s, a package of {} bytes", scene.package.size());
    let alone = scene.fetch_with_curl();
    let together = scene.fetch();
    time("the mirror alone (curl)", alone);
    time("the mirror and the peer", together);
    ratio("times as fast as the mirror alone", quotient(alone, together), Wanted::AtLeast(1.7));
}

#[test]
fn bench_one_peer_at_a_gigabit() {
    let scene = scene(Size::chosen().of(120_000_000, 1_000_000_000));
    scene.hosts[0].limit_upload(1_000);
    scene.hosts[1].limit_upload(1_000);
    eprintln!("\none peer at 1 Gbit/s, a package of {} bytes", scene.package.size());
    let line = scene.fetch_with_curl();
    scene.mirror.fault(scene.url.strip_prefix(&scene.mirror.url("")).expect("it is the mirror's"), Fault::Status(404));
    let peer = scene.fetch();
    time("the line (curl)", line);
    time("the peer", peer);
    let ideal = Duration::from_nanos(scene.package.size() * 8);
    ratio("of the line's nominal speed", quotient(ideal, peer), Wanted::AtLeast(0.9));
    ratio("of what curl gets out of the line", quotient(line, peer), Wanted::AtLeast(0.9));
}
