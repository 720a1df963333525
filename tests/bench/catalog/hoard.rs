//! A cache full of packages, and the sync database that lists them.

use std::path::PathBuf;

use p2p_tests::{DaemonOptions, Host, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload, Repository};

/// A machine's pacman whose cache holds all packages of its repository.
pub(super) struct Hoard {
    repository: Repository,
    pacman: PacmanRoot,
    host: Host,
    _directory: tempfile::TempDir,
}

impl Hoard {
    /// With so many packages, which the database lists.
    pub(super) fn new(count: usize, payload: Payload, host: &Host) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-bench-").tempdir().expect("a temporary directory");
        let repository = Repository::new(directory.path(), "core");
        let cache = format!("CacheDir = {}/", repository.directory().display());
        let options = PacmanRootOptions {
            lines: vec![cache],
            host: host.clone(),
            ..PacmanRootOptions::new(&[&repository], &["http://127.0.0.1:9/$repo"])
        };
        let pacman = PacmanRoot::new(&options, None);
        let mut hoard = Self { repository, pacman, host: host.clone(), _directory: directory };
        hoard.add(count, payload);
        hoard.list_all();
        hoard
    }

    /// Puts more packages into the cache; the database that pacman has does not list them yet.
    pub(super) fn add(&mut self, count: usize, payload: Payload) {
        let first = self.repository.packages().len();
        for number in first..first + count {
            self.repository.add(&PackageSpec::new(&format!("package-{number:05}")).payload(payload));
        }
    }

    /// Gives pacman a database that lists all of them, and says so: the daemon looks when the cache changes.
    pub(super) fn list_all(&self) {
        self.repository.write_database();
        self.pacman.place_database(&self.repository);
        let (hint, aside) = (self.cache().join("hint-1-1-any.pkg.tar"), self.cache().join("hint"));
        fs_err::write(&aside, b"no package").expect("the cache is ours");
        fs_err::rename(aside, hint).expect("the cache is ours");
    }

    pub(super) fn packages(&self) -> &[Package] {
        self.repository.packages()
    }

    /// Of all packages.
    pub(super) fn bytes(&self) -> u64 {
        self.packages().iter().map(Package::size).sum()
    }

    /// Where they lie.
    pub(super) fn cache(&self) -> PathBuf {
        self.repository.directory().to_owned()
    }

    /// For a daemon that seeds them.
    pub(super) fn options(&self) -> DaemonOptions {
        DaemonOptions { host: self.host.clone(), ..DaemonOptions::new(&self.pacman.config()) }
    }
}
