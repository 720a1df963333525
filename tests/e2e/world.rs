//! What most tests begin with: a repository, and a machine whose pacman downloads through its daemon.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Keyring, Mirror, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload,
    Ran, Repository, wait_until,
};
use tempfile::TempDir;

/// What the client says when it downloads by itself.
pub(crate) const FALLBACK: &str = "trying the URL itself";
/// How long one fetch may take, whatever is wrong with its sources.
pub(crate) const FETCH_WITHIN: Duration = Duration::from_mins(1);

/// A repository "core" in a directory that mirrors serve.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) repository: Repository,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-world-").tempdir().expect("a temporary directory");
        let repository = Repository::new(directory.path(), "core");
        Self { directory, repository }
    }

    /// A repository of one package of so many bytes, with its canonical `.torrent`.
    pub(crate) fn with_package(bytes: u64) -> (Self, Package) {
        let mut world = Self::new();
        let package = world.repository.add(&PackageSpec::new("big").payload(Payload::Random(bytes)));
        world.repository.write_database();
        world.repository.write_torrents(&[]);
        (world, package)
    }

    /// Where a mirror has a package.
    pub(crate) fn path(&self, package: &Package) -> String {
        self.repository.url_path(package.file_name())
    }

    /// A machine with these mirrors, in order.
    pub(crate) fn machine(&self, servers: &[String]) -> MachineSpec<'_> {
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let pacman = PacmanRootOptions::new(&[&self.repository], &servers);
        MachineSpec { world: self, pacman, keyring: None, adjust: Box::new(|options| options) }
    }
}

/// A machine that is to be started.
pub(crate) struct MachineSpec<'a> {
    world: &'a World,
    pacman: PacmanRootOptions,
    keyring: Option<&'a Keyring>,
    adjust: Box<dyn FnOnce(DaemonOptions) -> DaemonOptions + 'a>,
}

impl<'a> MachineSpec<'a> {
    /// Another configuration of the daemon.
    pub(crate) fn daemon(mut self, adjust: impl FnOnce(DaemonOptions) -> DaemonOptions + 'a) -> Self {
        self.adjust = Box::new(adjust);
        self
    }

    /// `SigLevel = Required`, with a trusted key.
    pub(crate) fn signed(mut self, keyring: &'a Keyring) -> Self {
        self.pacman.sig_level = "Required".into();
        self.keyring = Some(keyring);
        self
    }

    /// Another `SigLevel`.
    pub(crate) fn sig_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.pacman.sig_level);
        self
    }

    /// Starts its daemon; the sync database is there already, as after `pacman -Sy`, where there is one.
    pub(crate) fn start(mut self) -> Machine {
        let pacman = PacmanRoot::new(&self.pacman, self.keyring);
        if self.keyring.is_none() {
            pacman.place_database(&self.world.repository);
        }
        let options = DaemonOptions { repositories: vec!["core".into()], ..DaemonOptions::new(&pacman.config()) };
        let options = (self.adjust)(options);
        self.pacman.host = options.host.clone();
        let daemon = Daemon::start(&Binaries::built(), options);
        self.pacman.xfer_command = Some(daemon.xfer_command());
        pacman.configure(&self.pacman);
        let downloads = tempfile::tempdir().expect("a temporary directory");
        Machine { daemon, pacman, downloads }
    }
}

/// A running machine.
pub(crate) struct Machine {
    pub(crate) daemon: Daemon,
    pub(crate) pacman: PacmanRoot,
    downloads: TempDir,
}

impl Machine {
    /// Where [`Self::fetch`] puts a file.
    pub(crate) fn out(&self, package: &Package) -> PathBuf {
        self.downloads.path().join(package.file_name())
    }

    /// Fetches a package through client and daemon, without pacman.
    #[track_caller]
    pub(crate) fn fetch(&self, url: &str, package: &Package) -> Ran {
        self.daemon.client().fetch(url, &self.out(package), FETCH_WITHIN)
    }

    /// Fetches a package, which must arrive byte for byte, and through the daemon: the client could do without.
    #[track_caller]
    pub(crate) fn fetch_well(&self, url: &str, package: &Package) {
        let ran = self.fetch(url, package);
        assert!(ran.status.success(), "{ran}");
        assert!(!ran.stderr.contains(FALLBACK), "{ran}");
        assert!(package.is_at(&self.out(package)), "another file than asked for");
    }

    /// Has pacman refresh its databases, through the daemon.
    #[track_caller]
    pub(crate) fn refresh(&self, flags: &str) -> Ran {
        let ran = self.pacman.pacman(&[flags]);
        assert!(!ran.succeeded().output().contains(FALLBACK), "{ran}\n{}", self.daemon.log());
        ran
    }

    /// Waits until so many packages are seeded.
    #[track_caller]
    pub(crate) fn wait_seeding(&mut self, packages: u64) {
        let what = format!("{packages} seeded packages");
        self.daemon.wait_for_status(&what, FETCH_WITHIN, |status| status.number("packages_seeded") >= packages);
    }
}

/// Waits for another second of the clock: signatures and publications are dated by it.
pub(crate) fn next_second() {
    let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
    let before = second();
    wait_until("the next second", Duration::from_secs(5), || second() > before);
}

/// A package of so many bytes that nobody has a `.torrent` of, and its mirror.
pub(crate) fn without_torrents(bytes: u64) -> (World, Package, Mirror) {
    let mut world = World::new();
    let package = world.repository.add(&PackageSpec::new("lent").payload(Payload::Random(bytes)));
    world.repository.write_database();
    let mirror = Mirror::serve(world.directory.path());
    (world, package, mirror)
}

/// Two machines that are neighbours; the first one seeds the package.
pub(crate) fn neighbours(world: &World, mirror: &Mirror, package: &Package) -> [Machine; 2] {
    let mut first = world.machine(&[mirror.server()]).start();
    first.fetch_well(&mirror.url(&world.path(package)), package);
    first.wait_seeding(1);
    let listen = first.daemon.listen();
    let second = world.machine(&[mirror.server()]);
    let second = second.daemon(|options| DaemonOptions { peers: vec![listen], ..options }).start();
    let mut machines = [first, second];
    for machine in &mut machines {
        machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    }
    machines
}
