//! Where neighbours were, for the next run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use p2p_api::Report;
use p2p_neighbours::{Neighbours, RememberedFile};

/// The file, and what it holds.
#[derive(Debug)]
pub(crate) struct Addresses {
    file: RememberedFile,
    saved: Mutex<Vec<SocketAddr>>,
}

impl Addresses {
    /// Tells of those whom an earlier run knew. Blocks.
    pub(crate) fn load(path: PathBuf, neighbours: &Neighbours) -> Self {
        let file = RememberedFile::new(path);
        let saved = file.load().unwrap_or_else(|fault| {
            let error = Report(&fault).to_string();
            tracing::warn!(error, "the addresses of neighbours are lost; they will be found anew");
            Vec::new()
        });
        tracing::debug!(addresses = saved.len(), "neighbours of the last run are recalled");
        for address in &saved {
            super::recall(neighbours, *address);
        }
        Self { file, saved: Mutex::new(saved) }
    }

    /// Writes down who is worth coming back to, if that has changed. With nobody to be found, the last ones stay. Blocks.
    pub(crate) fn save(&self, neighbours: &Neighbours) {
        let good = neighbours.to_remember();
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if good.is_empty() || *saved == good {
            return;
        }
        match self.file.save(&good) {
            Ok(()) => *saved = good,
            Err(error) => tracing::warn!(%error, "the addresses of neighbours cannot be saved"),
        }
    }
}
