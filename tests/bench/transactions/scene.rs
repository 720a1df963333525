//! A mirror somewhere, and the machine whose pacman downloads from it in one way or another.

use std::net::SocketAddr;
use std::time::Duration;

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, DelayProxy, Host, Lan, Nginx, Package, PackageSpec, PacmanRoot, PacmanRootOptions,
    Payload, Repository, Usage,
};

use crate::old_way::OldWay;

/// Arch's wiki has this line, less what is for slow mirrors.
const ARIA2C: &str = "/usr/bin/aria2c --no-conf --allow-overwrite=true --continue=true --file-allocation=none \
                      --log-level=error --console-log-level=error --summary-interval=0 --max-connection-per-server=2 \
                      --min-split-size=5M --remote-time=true --dir=/ --out %o %u";

/// How pacman downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By itself.
    Alone,
    /// `XferCommand = pacman2pacman-get`.
    Client,
    /// By itself, from the daemon first.
    CacheServer,
    /// `XferCommand = aria2c`.
    Aria2,
    /// `XferCommand` with transmission behind it.
    Old,
}

/// What one run was like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    pub(crate) elapsed: Duration,
    pub(crate) daemon: Usage,
    pub(crate) from_peers: u64,
    pub(crate) from_mirrors: u64,
}

/// Somebody who has everything.
struct Seed {
    daemon: Daemon,
    _pacman: PacmanRoot,
}

/// A mirror, and a machine.
pub(crate) struct Scene {
    repository: Repository,
    /// The mirror's `Server` line.
    server: String,
    machine: Host,
    seed: Option<Seed>,
    _proxy: Option<DelayProxy>,
    nginx: Nginx,
    _directory: tempfile::TempDir,
    // Dropped last: everything else runs in its namespaces.
    lan: Option<Lan>,
}

impl Scene {
    /// All on the loopback.
    pub(crate) fn near(packages: impl IntoIterator<Item = (String, u64)>) -> Self {
        let (host, directory) = (Host::loopback(), directory());
        let repository = repository(directory.path(), packages);
        let nginx = Nginx::serve(&host, directory.path(), None);
        let server = nginx.server();
        Self { repository, server, machine: host, seed: None, _proxy: None, nginx, _directory: directory, lan: None }
    }

    /// The mirror is so far away, one way.
    pub(crate) fn far_away(latency: Duration, packages: impl IntoIterator<Item = (String, u64)>) -> Self {
        let scene = Self::near(packages);
        let proxy = DelayProxy::start(&scene.machine, scene.nginx.address(), latency);
        Self { server: proxy.server(), _proxy: Some(proxy), ..scene }
    }

    /// The mirror sends so many Mbit/s.
    pub(crate) fn on_a_line(megabits: u32, packages: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut lan = Lan::new([203, 0, 113]);
        let (far, machine) = (lan.host(), lan.host());
        let directory = directory();
        let repository = repository(directory.path(), packages);
        let nginx = Nginx::serve(&far, directory.path(), None);
        far.limit_upload(megabits);
        let server = nginx.server();
        Self { repository, server, machine, seed: None, _proxy: None, nginx, _directory: directory, lan: Some(lan) }
    }

    /// The mirror sends so many Mbit/s and has `.torrent` files; a daemon at 1 Gbit/s has all packages in its cache.
    pub(crate) fn with_a_peer(megabits: u32, packages: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut scene = Self::on_a_line(megabits, packages);
        scene.repository.write_torrents(&[]);
        let host = scene.lan.as_mut().expect("it was just made").host();
        host.limit_upload(1_000);
        let pacman = PacmanRoot::new(&PacmanRootOptions::new(&[&scene.repository], &[&scene.server]), None);
        pacman.place_database(&scene.repository);
        for package in scene.packages() {
            fs_err::copy(&package.path, pacman.cached(package)).expect("the package can be copied");
        }
        let options = DaemonOptions { host, ..DaemonOptions::measured(&pacman.config()) };
        let mut daemon = Daemon::start(&Binaries::built(), options);
        let wanted = u64::try_from(scene.packages().len()).expect("a few hundred");
        daemon.wait_for_status("all packages seeded", Duration::from_mins(2), |status| {
            status.number("packages_seeded") == wanted
        });
        Self { seed: Some(Seed { daemon, _pacman: pacman }), ..scene }
    }

    /// What the mirror has.
    pub(crate) fn packages(&self) -> &[Package] {
        self.repository.packages()
    }

    /// Downloads these packages on a fresh machine, in one transaction. They must arrive byte for byte.
    pub(crate) fn time(&self, way: Way, packages: &[Package]) -> Timed {
        let mut options = PacmanRootOptions::new(&[&self.repository], &[&self.server]);
        options.host = self.machine.clone();
        options.lines = vec!["ParallelDownloads = 5".into()];
        let pacman = PacmanRoot::new(&options, None);
        pacman.place_database(&self.repository);
        let old = (way == Way::Old).then(|| self.old_way(packages));
        let mut daemon = self.daemon(way, &pacman, &mut options);
        options.xfer_command = match way {
            Way::Alone | Way::CacheServer => None,
            Way::Client => daemon.as_ref().map(Daemon::xfer_command),
            Way::Aria2 => Some(ARIA2C.into()),
            Way::Old => old.as_ref().map(OldWay::xfer_command),
        };
        pacman.configure(&options);
        let arguments: Vec<&str> = ["-Sw"].into_iter().chain(packages.iter().map(Package::name)).collect();
        let ran = pacman.pacman(&arguments);
        ran.succeeded();
        for package in packages {
            assert!(package.is_at(&pacman.cached(package)), "{way:?}: {}", package.file_name());
        }
        let status = daemon.as_ref().map(Daemon::status);
        Timed {
            elapsed: ran.elapsed,
            daemon: daemon.as_mut().map(|daemon| daemon.process().usage()).unwrap_or_default(),
            from_peers: status.as_ref().map_or(0, p2p_tests::Status::from_peers),
            from_mirrors: status.as_ref().map_or(0, p2p_tests::Status::from_mirrors),
        }
    }

    /// The machine's daemon, where there is one; pacman is told of its `CacheServer`.
    fn daemon(&self, way: Way, pacman: &PacmanRoot, options: &mut PacmanRootOptions) -> Option<Daemon> {
        let inside = self.machine.inside();
        let cache_server = match way {
            Way::Client => String::new(),
            Way::CacheServer => SocketAddr::new(inside.address(), inside.free_port()).to_string(),
            Way::Alone | Way::Aria2 | Way::Old => return None,
        };
        if way == Way::CacheServer {
            for (_, servers) in &mut options.repositories {
                servers.insert(0, format!("http://{cache_server}/$repo/os/$arch"));
            }
            pacman.configure(options);
        }
        let peers = self.seed.iter().map(|seed| seed.daemon.listen()).collect();
        let options = DaemonOptions {
            host: self.machine.clone(),
            peers,
            cache_server,
            ..DaemonOptions::measured(&pacman.config())
        };
        Some(Daemon::start(&Binaries::built(), options))
    }

    fn old_way(&self, packages: &[Package]) -> OldWay {
        for package in packages {
            let url = self.nginx.url(&self.repository.url_path(package.file_name()));
            self.repository.write_torrent(package, &package.metainfo(&[], &[url]));
        }
        OldWay::start(&self.machine)
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory")
}

fn repository(root: &std::path::Path, packages: impl IntoIterator<Item = (String, u64)>) -> Repository {
    let mut repository = Repository::new(root, "core");
    for (name, bytes) in packages {
        repository.add(&PackageSpec::new(&name).payload(Payload::Random(bytes)));
    }
    repository.write_database();
    repository
}
