//! A repository that is signed, for machines that take nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use p2p_tests::{Daemon, DaemonOptions, Keyring, Mirror, Package, PackageSpec, Payload, Repository};

use crate::world::{FETCH_WITHIN, Machine, World, next_second};

/// Packages and database are signed; the database holds no signatures of packages.
pub(crate) struct Signed {
    pub(crate) world: World,
    pub(crate) keyring: Keyring,
    pub(crate) mirror: Mirror,
}

/// A database, and its signature.
pub(crate) type Edition = (Vec<u8>, Vec<u8>);

impl Signed {
    /// The packages "first", "second" and "third".
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        for name in ["first", "second", "third"] {
            world.repository.add(&spec(name));
        }
        let keyring = Keyring::generate();
        let mirror = Mirror::serve(world.directory.path());
        let signed = Self { world, keyring, mirror };
        signed.publish(&signed.keyring);
        signed
    }

    /// Writes and signs the database, and the packages.
    pub(crate) fn publish(&self, by: &Keyring) {
        for package in self.world.repository.packages() {
            by.sign(&package.path);
        }
        self.world.repository.write_database();
        by.sign(&self.world.repository.database());
    }

    /// Lists one more package, in a database that is signed later than the one before.
    pub(crate) fn add(&mut self, name: &str) -> Package {
        let package = self.world.repository.add(&spec(name));
        next_second();
        self.publish(&self.keyring);
        package
    }

    /// The database as it is now.
    pub(crate) fn edition(&self) -> Edition {
        edition(&self.world.repository)
    }

    /// Has the mirror serve this one again.
    pub(crate) fn restore(&self, edition: Edition) {
        let (database, signature) = paths(&self.world.repository);
        fs_err::write(database, edition.0).expect("the test's own file");
        fs_err::write(signature, edition.1).expect("the test's own file");
    }

    /// A machine that knows these neighbours, and no database yet.
    pub(crate) fn machine(&self, peers: Vec<SocketAddr>) -> Machine {
        let machine = self.world.machine(&[self.mirror.server()]).signed(&self.keyring);
        machine.daemon(|options| DaemonOptions { peers, ..options }).start()
    }

    /// Whether a machine's pacman has the database as it is now.
    pub(crate) fn is_current(&self, machine: &Machine) -> bool {
        machine.pacman.sync_database(&self.world.repository) == self.edition().0
    }
}

fn spec(name: &str) -> PackageSpec {
    PackageSpec::new(name).payload(Payload::Random(100_000))
}

/// A repository's database as it is now.
pub(crate) fn edition(repository: &Repository) -> Edition {
    let (database, signature) = paths(repository);
    let read = |path: PathBuf| fs_err::read(path).expect("the repository has a signed database");
    (read(database), read(signature))
}

fn paths(repository: &Repository) -> (PathBuf, PathBuf) {
    let database = repository.database();
    let signature = database.with_extension("db.sig");
    (database, signature)
}

/// Waits until a machine offers a signed database to others.
pub(crate) fn wait_signed(daemon: &mut Daemon) {
    daemon.wait_for_status("a signed database", FETCH_WITHIN, |status| {
        status.json()["databases"][0]["signed_age_seconds"].is_number()
    });
}
