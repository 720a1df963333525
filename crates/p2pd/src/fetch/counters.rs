//! Totals over all runs of the daemon, kept in a small file.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::upload::MonthBytes;

/// Bytes that came in, by source, since the state directory was made.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    from_peers: AtomicU64,
    from_mirrors: AtomicU64,
    /// What earlier runs uploaded.
    uploaded_before: u64,
    month_before: MonthBytes,
    /// What is in the file, of what this run has written.
    written: Mutex<Vec<u8>>,
}

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    downloaded_from_peers_bytes: u64,
    downloaded_from_mirrors_bytes: u64,
    uploaded_bytes: u64,
    /// To others than the local networks.
    uploaded_in_month: MonthBytes,
}

impl Counters {
    /// What was counted before; nothing where the file is missing or broken, for these are no more than statistics.
    pub(crate) fn load(path: &Path) -> Self {
        let text = fs_err::read(path).unwrap_or_default();
        let saved: Saved = serde_json::from_slice(&text).unwrap_or_default();
        Self {
            from_peers: saved.downloaded_from_peers_bytes.into(),
            from_mirrors: saved.downloaded_from_mirrors_bytes.into(),
            uploaded_before: saved.uploaded_bytes,
            month_before: saved.uploaded_in_month,
            written: Mutex::default(),
        }
    }

    /// Writes the totals down, if they have changed; `uploaded` is this run's, `month` all runs'. Blocks.
    pub(crate) fn save(&self, path: &Path, uploaded: u64, month: MonthBytes) -> std::io::Result<()> {
        let saved = Saved {
            downloaded_from_peers_bytes: self.peers_bytes(),
            downloaded_from_mirrors_bytes: self.mirrors_bytes(),
            uploaded_bytes: self.uploaded(uploaded),
            uploaded_in_month: month,
        };
        let text = serde_json::to_vec(&saved).expect("numbers are JSON");
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // An idle machine's disk may sleep.
        if *written != text {
            p2p_state::replace(path, &text)?;
            *written = text;
        }
        Ok(())
    }

    /// What earlier runs uploaded in the last month that they saw.
    pub(crate) fn month_before(&self) -> MonthBytes {
        self.month_before
    }

    pub(crate) fn add(&self, from_peers: u64, from_mirrors: u64) {
        self.from_peers.fetch_add(from_peers, Ordering::Relaxed);
        self.from_mirrors.fetch_add(from_mirrors, Ordering::Relaxed);
    }

    pub(crate) fn peers_bytes(&self) -> u64 {
        self.from_peers.load(Ordering::Relaxed)
    }

    pub(crate) fn mirrors_bytes(&self) -> u64 {
        self.from_mirrors.load(Ordering::Relaxed)
    }

    /// The upload of all runs, given this run's.
    pub(crate) fn uploaded(&self, this_run: u64) -> u64 {
        self.uploaded_before + this_run
    }
}
