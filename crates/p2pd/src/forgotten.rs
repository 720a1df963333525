//! Packages that somebody wants to be served no more, though their files still lie there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use p2p_package::Sha256;

/// More than all of Arch; beyond it the oldest is taken in again. Each costs 67 bytes in the file.
const MAX_FORGOTTEN: usize = 20_000;

/// What the cache scan shall not take in again: by content, so that it means every copy, and no rebuilt package.
#[derive(Debug)]
pub(crate) struct Forgotten {
    path: PathBuf,
    packages: Mutex<Packages>,
    /// Copies in the store that a client was about to take when they were forgotten.
    copies: Mutex<BTreeMap<PathBuf, Sha256>>,
}

#[derive(Debug, Default, Clone)]
struct Packages {
    known: BTreeSet<Sha256>,
    /// The same, the oldest first.
    order: VecDeque<Sha256>,
}

impl Forgotten {
    /// What was forgotten in earlier runs. A broken file counts as none: then packages are seeded again, as they were.
    pub(crate) fn load(path: PathBuf) -> Self {
        let text = fs::read(&path).unwrap_or_default();
        let digests: Vec<String> = serde_json::from_slice(&text).unwrap_or_else(|error| {
            if !text.is_empty() {
                tracing::warn!(%error, "what was forgotten cannot be read");
            }
            Vec::new()
        });
        let mut packages = Packages::default();
        packages.add(digests.iter().filter_map(|digest| digest.parse().ok()));
        Self { path, packages: Mutex::new(packages), copies: Mutex::default() }
    }

    /// Whether this package is to be left alone.
    pub(crate) fn contains(&self, sha256: &Sha256) -> bool {
        self.lock().known.contains(sha256)
    }

    /// Remembers these for good. Where that cannot be written down, nothing is.
    pub(crate) fn add(&self, digests: impl IntoIterator<Item = Sha256>) -> io::Result<()> {
        self.change(|packages| packages.add(digests))
    }

    /// Somebody of this machine has fetched the package again.
    pub(crate) fn recall(&self, sha256: &Sha256) {
        if !self.contains(sha256) {
            return;
        }
        let recalled = self.change(|packages| {
            packages.known.remove(sha256);
            packages.order.retain(|other| other != sha256);
        });
        if let Err(error) = recalled {
            tracing::warn!(%error, "a package stays forgotten");
        }
    }

    /// Nothing is forgotten any more.
    pub(crate) fn clear(&self) -> io::Result<()> {
        if self.lock().known.is_empty() {
            return Ok(());
        }
        self.change(|packages| *packages = Packages::default())
    }

    /// This copy in the store is to go as soon as it can.
    pub(crate) fn leave(&self, copy: &Path, sha256: Sha256) {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).insert(copy.to_owned(), sha256);
    }

    /// The copies that nobody uses any more, each of them once.
    pub(crate) fn take_unused(&self, is_in_use: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut unused = Vec::new();
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).retain(|copy, sha256| {
            let is_wanted_again = !self.contains(sha256);
            let goes = !is_wanted_again && !is_in_use(copy);
            if goes {
                unused.push(copy.clone());
            }
            !goes && !is_wanted_again
        });
        unused
    }

    /// Written first: what has been answered outlives the daemon.
    fn change(&self, change: impl FnOnce(&mut Packages)) -> io::Result<()> {
        let mut packages = self.lock();
        let mut changed = packages.clone();
        change(&mut changed);
        let digests: Vec<String> = changed.order.iter().map(ToString::to_string).collect();
        p2p_state::replace(&self.path, &serde_json::to_vec(&digests).expect("texts are JSON"))?;
        *packages = changed;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Packages> {
        self.packages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Packages {
    fn add(&mut self, digests: impl IntoIterator<Item = Sha256>) {
        for digest in digests {
            if self.known.insert(digest) {
                self.order.push_back(digest);
            }
        }
        while self.order.len() > MAX_FORGOTTEN {
            let oldest = self.order.pop_front().expect("there are many");
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Sha256 {
        Sha256::of(&number.to_le_bytes())
    }

    fn forgotten() -> (tempfile::TempDir, Forgotten) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let forgotten = Forgotten::load(directory.path().join("forgotten.json"));
        (directory, forgotten)
    }

    #[test]
    fn what_is_forgotten_stays_so_over_a_restart_until_it_is_recalled() {
        let (_directory, forgotten) = forgotten();
        forgotten.add([digest(1), digest(2), digest(1)]).expect("room for a file");
        let again = Forgotten::load(forgotten.path.clone());
        assert!(again.contains(&digest(1)) && again.contains(&digest(2)) && !again.contains(&digest(3)));
        again.recall(&digest(1));
        again.recall(&digest(3));
        let again = Forgotten::load(forgotten.path.clone());
        assert!(!again.contains(&digest(1)) && again.contains(&digest(2)));
        again.clear().expect("room for a file");
        assert!(!Forgotten::load(forgotten.path).contains(&digest(2)));
    }

    #[test]
    fn a_copy_goes_when_nobody_uses_it_unless_it_is_wanted_again() {
        let (_directory, forgotten) = forgotten();
        let [a, b] = ["/store/a", "/store/b"].map(Path::new);
        forgotten.add([digest(1), digest(2)]).expect("room for a file");
        forgotten.leave(a, digest(1));
        forgotten.leave(b, digest(2));
        assert!(forgotten.take_unused(|_| true).is_empty());
        forgotten.recall(&digest(2));
        assert_eq!(forgotten.take_unused(|_| false), [a]);
        assert!(forgotten.take_unused(|_| false).is_empty());
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let (_directory, forgotten) = forgotten();
        forgotten.add((0..=MAX_FORGOTTEN).map(digest)).expect("room for a file");
        assert!(!forgotten.contains(&digest(0)) && forgotten.contains(&digest(1)));
        assert_eq!(Forgotten::load(forgotten.path).lock().order.len(), MAX_FORGOTTEN);
    }

    #[test]
    fn what_cannot_be_written_down_is_not_forgotten_and_a_broken_file_counts_as_none() {
        let nowhere = Forgotten::load("/nonexistent/forgotten.json".into());
        assert!(nowhere.add([digest(1)]).is_err() && !nowhere.contains(&digest(1)));
        let (_directory, forgotten) = forgotten();
        fs::write(&forgotten.path, "[\"xyz\", 7").expect("room for a file");
        assert!(Forgotten::load(forgotten.path).lock().known.is_empty());
    }
}
