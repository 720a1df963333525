//! Files on their way to a client that we do not keep: databases, signatures, unknown files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use p2p_api::Ready;

use super::assembly::DiskFault;
use super::package::disk_failure;
use super::snapshot::Outcome;

/// How long a client may take to copy a file after it is complete.
const LIFE: Duration = Duration::from_mins(2);

/// The directory `passing` below the state directory, emptied at every start.
#[derive(Debug)]
pub(crate) struct Passing {
    directory: PathBuf,
    next: AtomicU64,
}

impl Passing {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, next: AtomicU64::new(0) }
    }

    /// A path that no file has had yet.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Lays a small file out for a client: a signature that a sync database holds.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> Outcome {
        let (path, size) = (self.path(), bytes.len() as u64);
        let written = tokio::task::spawn_blocking({
            let path = path.clone();
            move || fs::write(path, bytes)
        });
        match written.await.expect("writing a file does not panic") {
            Ok(()) => Outcome::Ready(Ready {
                path,
                size,
                modified: None,
                verified: true,
                from_peers: 0,
                from_mirrors: 0,
                signature: None,
                transaction: None,
            }),
            Err(error) => disk_failure(&DiskFault::new(&path, error)),
        }
    }

    /// Whether this file is one of them.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        path.parent() == Some(&self.directory)
    }

    /// Removes what every client has had time to copy, but what is in use.
    pub(crate) fn sweep(&self, now: SystemTime, in_use: impl Fn(&Path) -> bool) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > LIFE));
            if is_old && !in_use(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
