//! Where it plays: what is public and what is secret, and who could hear of it.

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Host, Lan, Mirror, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload,
    Repository,
};
use tempfile::TempDir;

use super::BOUND;
use super::traces::Marks;

/// Networks, repositories, and a machine on a local network; mirrors, tracker and DHT are far away.
pub(super) struct Stage {
    pub(super) packages: Packages,
    pub(super) pacman: PacmanRoot,
    pub(super) pacman_options: PacmanRootOptions,
    state_dir: TempDir,
    pub(super) machine: Host,
    /// On the machine's local network.
    pub(super) near: Host,
    /// Outside of it.
    pub(super) far: Host,
    /// Of "core", of "secret", and of torrents.
    pub(super) mirrors: [Mirror; 3],
    pub(super) core: Repository,
    pub(super) secret: Repository,
    _directories: [TempDir; 3],
    // Dropped last: everything else runs in its namespaces.
    pub(super) lan: Lan,
}

/// Two of each: the first lies in the cache when discovery begins, the second is fetched then. Of "old", both versions.
pub(super) struct Packages {
    pub(super) public: [Package; 2],
    pub(super) excluded: [Package; 2],
    pub(super) hidden: [Package; 2],
    pub(super) old: [Package; 2],
}

impl Packages {
    /// What is nobody's business, with the mirror that may hear of it: 0 or 1.
    pub(super) fn secret(&self) -> impl Iterator<Item = (&Package, usize)> {
        let excluded = self.excluded.iter().map(|package| (package, 0));
        excluded.chain(self.hidden.iter().map(|package| (package, 1)))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Package> {
        [&self.public, &self.excluded, &self.hidden, &self.old].into_iter().flatten()
    }
}

fn spec(name: &str) -> PackageSpec {
    PackageSpec::new(name).payload(Payload::Random(600_000))
}

impl Stage {
    pub(super) fn new() -> Self {
        let mut lan = Lan::new([10, 7, 0]);
        let [machine, near, far, at_mirror, at_secret, at_torrents] = std::array::from_fn(|_| lan.host());
        let far = far.abroad([198, 51, 100, 10].into());
        let directories = std::array::from_fn(|_| tempfile::tempdir().expect("a temporary directory"));
        let [core_root, secret_root, torrents] = &directories;
        let mut core = Repository::new(core_root.path(), "core");
        let mut secret = Repository::new(secret_root.path(), "secret");
        let packages = Packages {
            public: ["zebra-public", "zebra-public-later"].map(|name| core.add(&spec(name))),
            excluded: ["finch-excluded", "finch-excluded-later"].map(|name| core.add(&spec(name))),
            hidden: ["lynx-hidden", "lynx-hidden-later"].map(|name| secret.add(&spec(name))),
            old: ["1-1", "2-1"].map(|version| core.add(&spec("otter-old").version(version))),
        };
        let mirrors = [
            Mirror::serve_on(&at_mirror.abroad([198, 51, 100, 20].into()), core_root.path()),
            Mirror::serve_on(&at_secret.abroad([198, 51, 100, 30].into()), secret_root.path()),
            Mirror::serve_on(&at_torrents.abroad([198, 51, 100, 40].into()), torrents.path()),
        ];
        secret.repo_add(None);
        secret.write_torrents(&[]);
        let pacman_options = pacman_options(&machine, &mirrors);
        let pacman = PacmanRoot::new(&pacman_options, None);
        let state_dir = tempfile::tempdir().expect("a temporary directory");
        Self {
            packages,
            pacman,
            pacman_options,
            state_dir,
            machine,
            near,
            far,
            mirrors,
            core,
            secret,
            _directories: directories,
            lan,
        }
    }

    /// A daemon that nobody hears of, with everything shared but "secret" and the finches.
    pub(super) fn options(&self) -> DaemonOptions {
        DaemonOptions {
            host: self.machine.clone(),
            repositories: vec!["core".into()],
            exclude: vec!["finch-*".into()],
            state_dir: Some(self.state_dir.path().to_owned()),
            ..DaemonOptions::new(&self.pacman.config())
        }
    }

    /// Starts a daemon, and lets pacman download through it.
    pub(super) fn start(&mut self, options: DaemonOptions) -> Daemon {
        let daemon = Daemon::start(&Binaries::built(), options);
        self.pacman_options.xfer_command = Some(daemon.xfer_command());
        self.pacman.configure(&self.pacman_options);
        daemon
    }

    /// Has pacman install these, and looks whether it did.
    pub(super) fn install(&self, packages: &[&Package]) {
        let names = packages.iter().map(|package| package.name());
        self.pacman.pacman(&["-S"].into_iter().chain(names).collect::<Vec<_>>()).succeeded();
        for package in packages {
            assert!(package.is_at(&self.pacman.cached(package)), "{}", package.file_name());
        }
    }

    /// Fills the cache while nobody hears of it; "otter-old" is superseded in the end.
    pub(super) fn fill_cache(&mut self) {
        let [first, second] = self.packages.old.clone();
        self.list(&first);
        let options = self.options();
        let mut daemon = self.start(options);
        self.pacman.pacman(&["-Sy"]).succeeded();
        let Packages { public: [public, _], excluded: [excluded, _], hidden: [hidden, _], .. } = &self.packages;
        self.install(&[public, excluded, hidden, &first]);
        let seeds_two = |status: &p2p_tests::Status| status.number("packages_seeded") == 2;
        daemon.wait_for_status("the two that may be shared", BOUND, seeds_two);
        self.list(&second);
        // Twice: both databases may be of the same second.
        self.pacman.pacman(&["-Syy"]).succeeded();
        assert!(daemon.process().stop().success(), "{}", daemon.log());
    }

    /// Starts a daemon that seeds the first version of "otter-old", the one that "core" lists.
    pub(super) fn seed_old(&mut self) -> Daemon {
        let first = self.packages.old[0].clone();
        self.list(&first);
        let options = self.options();
        let mut daemon = self.start(options);
        self.pacman.pacman(&["-Sy"]).succeeded();
        self.install(&[&first]);
        daemon.wait_for_status("the package", BOUND, |status| status.number("packages_seeded") == 1);
        daemon
    }

    /// Writes the database of "core" with this version of "otter-old".
    pub(super) fn list(&mut self, version: &Package) {
        self.core.relist(version);
        self.core.write_database();
        self.core.write_torrents(&[]);
    }

    /// What gives a package away, whose content is not all others' as well.
    pub(super) fn marks<'a>(&self, package: &'a Package) -> Marks<'a> {
        let others: Vec<&Package> = self.packages.all().filter(|other| other.id != package.id).collect();
        Marks::of(package, &others)
    }
}

pub(super) fn pacman_options(host: &Host, mirrors: &[Mirror; 3]) -> PacmanRootOptions {
    let repository = |name: &str, mirror: &Mirror| (name.to_owned(), vec![mirror.server()]);
    let repositories = vec![repository("secret", &mirrors[1]), repository("core", &mirrors[0])];
    PacmanRootOptions { repositories, host: host.clone(), ..PacmanRootOptions::new(&[], &[]) }
}
