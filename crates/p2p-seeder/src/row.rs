//! One package of the catalog.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use p2p_package::{Info, InfoHash, PackageId};

use crate::FileStamp;

/// A package that lies on disk, was hashed, and may be shared.
#[derive(Debug)]
pub struct Row {
    /// What a sync database said it is, and the hash of the file confirmed.
    pub id: PackageId,
    /// The torrent under which it is served.
    pub info: Info,
    /// Where it lies.
    pub path: PathBuf,
    /// The file that was hashed.
    pub stamp: FileStamp,
    /// The repository that lists it, or did when it was verified.
    pub repository: Arc<str>,
    /// When it came into the catalog, to the second.
    pub added: SystemTime,
    /// Seconds since 1970; 0 for never.
    fetched: AtomicU64,
    /// Set for ever once the row has left the catalog.
    withdrawn: AtomicBool,
}

impl Row {
    /// A row for a file that has just been verified.
    #[must_use]
    pub fn new(id: PackageId, info: Info, path: PathBuf, stamp: FileStamp, repository: Arc<str>) -> Self {
        Self::known(id, info, path, stamp, repository, [seconds(SystemTime::now()), 0])
    }

    /// A row of an earlier run; `times` are when it was added and fetched, in seconds since 1970.
    pub(crate) fn known(
        id: PackageId,
        info: Info,
        path: PathBuf,
        stamp: FileStamp,
        repository: Arc<str>,
        [added, fetched]: [u64; 2],
    ) -> Self {
        let added = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(added)).unwrap_or(SystemTime::UNIX_EPOCH);
        let (fetched, withdrawn) = (fetched.into(), false.into());
        Self { id, info, path, stamp, repository, added, fetched, withdrawn }
    }

    /// The name of its swarm.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.info.info_hash()
    }

    /// When a client of this machine fetched it last, to the second; none for never.
    #[must_use]
    pub fn fetched(&self) -> Option<SystemTime> {
        let seconds = self.fetched.load(Ordering::Relaxed);
        (seconds != 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// Whether it has left the catalog: then not one more byte of it is sent.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Whether the file at its path is still the one that was hashed.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        FileStamp::of_path(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }

    pub(crate) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(crate) fn set_fetched(&self, when: SystemTime) {
        self.fetched.store(seconds(when), Ordering::Relaxed);
    }

    /// When it was added and fetched, in seconds since 1970.
    pub(crate) fn times(&self) -> [u64; 2] {
        [seconds(self.added), self.fetched.load(Ordering::Relaxed)]
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
