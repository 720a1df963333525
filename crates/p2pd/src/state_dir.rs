//! The daemon's state directory: the only place below which it writes.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The directories below `state_dir`, made and locked.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    /// Held as long as the daemon runs.
    _lock: fs::File,
}

/// Why the daemon cannot use its state directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// Something could not be made or opened.
    #[error("cannot use the state directory {0}")]
    Unusable(PathBuf, #[source] std::io::Error),
    /// Another daemon holds the lock.
    #[error("another p2pd is running with the state directory {0}; stop it, or configure another daemon.state_dir")]
    Locked(PathBuf),
}

impl StateDir {
    /// Makes what is missing and takes the lock; drops what only a running daemon needs.
    pub(crate) fn open(root: &Path) -> Result<Self, StateDirError> {
        let unusable = |error| StateDirError::Unusable(root.to_owned(), error);
        fs::create_dir_all(root.join("store")).map_err(unusable)?;
        fs::create_dir_all(root.join("databases")).map_err(unusable)?;
        fs::create_dir_all(root.join("publications")).map_err(unusable)?;
        let lock = fs::File::create(root.join("lock")).map_err(unusable)?;
        match lock.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateDirError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let passing = root.join("passing");
        if passing.exists() {
            fs::remove_dir_all(&passing).map_err(unusable)?;
        }
        fs::create_dir(&passing).map_err(unusable)?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// The state directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Packages: complete ones, and those in progress.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Databases, signatures and unknown files on their way to a client.
    pub(crate) fn passing(&self) -> PathBuf {
        self.root.join("passing")
    }

    /// The last good copy of each sync database.
    pub(crate) fn databases(&self) -> PathBuf {
        self.root.join("databases")
    }

    /// What publishers said, and the files that they named.
    pub(crate) fn publications(&self) -> PathBuf {
        self.root.join("publications")
    }

    /// What is known of mirrors.
    pub(crate) fn mirrors(&self) -> PathBuf {
        self.root.join("mirrors.json")
    }

    /// Where neighbours were.
    pub(crate) fn neighbours(&self) -> PathBuf {
        self.root.join("neighbours")
    }

    /// Packages that are not to be taken into the catalog again.
    pub(crate) fn forgotten(&self) -> PathBuf {
        self.root.join("forgotten.json")
    }

    /// Pauses and limits that people have asked for.
    pub(crate) fn upload_wishes(&self) -> PathBuf {
        self.root.join("upload.json")
    }

    /// The catalog's database.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalog.sqlite")
    }

    /// What was asked for, and what else the replication remembers.
    pub(crate) fn replicate(&self) -> PathBuf {
        self.root.join("replicate.json")
    }

    /// Totals over all runs.
    pub(crate) fn counters(&self) -> PathBuf {
        self.root.join("counters.json")
    }
}
