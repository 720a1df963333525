//! Files that a client has just been told of, and may be about to open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use p2p_package::FileName;

/// How long a client may take to open a file that it was told of.
const IN_USE_FOR: Duration = Duration::from_secs(20);

/// The store's copies that must stay for now.
#[derive(Debug, Default)]
pub(crate) struct Handovers(Mutex<BTreeMap<PathBuf, (FileName, Instant)>>);

impl Handovers {
    /// A client is told of this file.
    pub(crate) fn note(&self, path: &Path, name: &FileName, now: Instant) {
        self.lock().insert(path.to_owned(), (name.clone(), now));
    }

    /// Whether a client may still be about to open it.
    pub(crate) fn is_in_use(&self, path: &Path, now: Instant) -> bool {
        self.lock().get(path).is_some_and(|(_, at)| now.duration_since(*at) < IN_USE_FOR)
    }

    /// Forgets what every client has had time to open, and returns it.
    pub(crate) fn forget_old(&self, now: Instant) -> Vec<(PathBuf, FileName)> {
        let mut forgotten = Vec::new();
        self.lock().retain(|path, (name, at)| {
            let recent = now.duration_since(*at) < IN_USE_FOR;
            if !recent {
                forgotten.push((path.clone(), name.clone()));
            }
            recent
        });
        forgotten
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (FileName, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_use_for_a_while_and_then_forgotten() {
        let (handovers, start, path) = (Handovers::default(), Instant::now(), Path::new("/store/a"));
        let name: FileName = "a-1-1-any.pkg.tar".parse().expect("a package's name");
        handovers.note(path, &name, start);
        assert!(handovers.is_in_use(path, start + IN_USE_FOR / 2));
        assert!(!handovers.is_in_use(Path::new("/store/b"), start));
        assert_eq!(handovers.forget_old(start + IN_USE_FOR / 2), []);
        assert_eq!(handovers.forget_old(start + IN_USE_FOR), [(path.to_owned(), name)]);
        assert!(!handovers.is_in_use(path, start));
    }
}
