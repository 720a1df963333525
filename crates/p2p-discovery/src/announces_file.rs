//! When each offer is due next, kept for the next run.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;

use crate::schedule::{Kept, KeptFault};

/// Bytes read: more than is ever written.
const MAX_BYTES: u64 = 8 << 20;

/// Where it is kept.
#[derive(Debug, Clone)]
pub(crate) struct AnnouncesFile {
    path: PathBuf,
    /// Held by who writes: one after the other, each what is true then.
    writing: Arc<Mutex<()>>,
}

/// Why nothing is known of the last run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadFault {
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the file is damaged")]
    Damaged(#[source] KeptFault),
}

impl AnnouncesFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, writing: Arc::default() }
    }

    /// What the last run kept; no file means nothing.
    ///
    /// # Errors
    ///
    /// The file is there and is of no use.
    pub(crate) fn load(&self) -> Result<Kept, LoadFault> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(LoadFault::Unreadable(error)),
        };
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(LoadFault::Unreadable)?;
        Kept::read(&text).map_err(LoadFault::Damaged)
    }

    /// Replaces what is kept by what `keep` says, all or nothing; where it says nothing, all stays. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn update(&self, keep: impl FnOnce() -> Option<Kept>) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = keep() else {
            return Ok(());
        };
        // Not for everybody: a tracker's URL may hold a key of the user's.
        p2p_state::replace(&self.path, kept.write().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("announces");
        let file = AnnouncesFile::new(path.clone());
        assert_eq!(file.load().expect("no file is no fault"), Kept::default());
        file.update(|| Some(Kept::default())).expect("a writable directory");
        assert_eq!(file.load().expect("just written"), Kept::default());
        fs::write(&path, b"p2pd announces 1\ndht\n").expect("writable");
        assert!(matches!(file.load(), Err(LoadFault::Damaged(KeptFault::Cut))));
        fs::write(&path, b"\xff\xff").expect("writable");
        assert!(matches!(file.load(), Err(LoadFault::Unreadable(_))));
    }
}
