//! A file of known length and SHA-256 whose bytes still come in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use p2p_package::{Sha256, Sha256Hasher};
use p2p_wire::PublishedFile;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::file_of;

/// Removed when it is dropped unfinished.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    finished: PathBuf,
    file: File,
    hasher: Sha256Hasher,
    expected: PublishedFile,
    taken: u64,
}

/// Why it does not become the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DraftFault {
    #[error("the file is not the one that was announced")]
    Other,
    #[error("the file cannot be written")]
    Disk(#[source] io::Error),
}

impl Draft {
    pub(super) async fn new(directory: &Path, expected: PublishedFile) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let path = directory.join(format!("draft-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&path).await?;
        let finished = file_of(directory, &expected.sha256);
        Ok(Self { path, finished, file, hasher: Sha256Hasher::default(), expected, taken: 0 })
    }

    /// How many bytes are still to come.
    pub(crate) fn left(&self) -> u64 {
        self.expected.length - self.taken
    }

    /// The next bytes. More than were announced make it another file.
    pub(crate) async fn take(&mut self, bytes: &[u8]) -> Result<(), DraftFault> {
        if bytes.len() as u64 > self.left() {
            return Err(DraftFault::Other);
        }
        self.taken += bytes.len() as u64;
        self.hasher.update(bytes);
        self.file.write_all(bytes).await.map_err(DraftFault::Disk)
    }

    /// All bytes have come: the file is there from now on.
    pub(crate) async fn finish(mut self) -> Result<Sha256, DraftFault> {
        let hasher = std::mem::take(&mut self.hasher);
        if self.left() > 0 || hasher.finish() != self.expected.sha256 {
            return Err(DraftFault::Other);
        }
        self.file.flush().await.map_err(DraftFault::Disk)?;
        self.file.sync_data().await.map_err(DraftFault::Disk)?;
        fs::rename(&self.path, &self.finished).map_err(DraftFault::Disk)?;
        Ok(self.expected.sha256)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A finished one is not there under this name any more.
        let _ = fs::remove_file(&self.path);
    }
}
