//! Files that a client has just been told of, and may be about to open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a client may take to open a file that it was told of.
const IN_USE_FOR: Duration = Duration::from_secs(20);

/// The store's copies that must stay for now.
#[derive(Debug, Default)]
pub(crate) struct Handovers(Mutex<BTreeMap<PathBuf, Instant>>);

impl Handovers {
    /// A client is told of this file.
    pub(crate) fn note(&self, path: &Path, now: Instant) {
        self.lock().insert(path.to_owned(), now);
    }

    /// Whether a client may still be about to open it.
    pub(crate) fn is_in_use(&self, path: &Path, now: Instant) -> bool {
        self.lock().get(path).is_some_and(|at| now.duration_since(*at) < IN_USE_FOR)
    }

    /// Forgets what every client has had time to open; whether there was any.
    pub(crate) fn forget_old(&self, now: Instant) -> bool {
        let mut handed_over = self.lock();
        let before = handed_over.len();
        handed_over.retain(|_, at| now.duration_since(*at) < IN_USE_FOR);
        handed_over.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_use_for_a_while_and_then_forgotten() {
        let (handovers, start, path) = (Handovers::default(), Instant::now(), Path::new("/store/a"));
        handovers.note(path, start);
        assert!(handovers.is_in_use(path, start + IN_USE_FOR / 2));
        assert!(!handovers.is_in_use(Path::new("/store/b"), start));
        assert!(!handovers.forget_old(start + IN_USE_FOR / 2));
        assert!(handovers.forget_old(start + IN_USE_FOR));
        assert!(!handovers.is_in_use(path, start));
    }
}
