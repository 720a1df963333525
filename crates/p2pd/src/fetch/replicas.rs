//! Which of the store's packages we have brought there by ourselves.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs_err as fs;

/// Marks of packages, each the first 16 digits of its SHA-256, as its file's name bears it.
///
/// Behind it is a file of lines, `+0123456789abcdef` for a package that has become ours and `-…` for one that ceased to be,
/// written anew at each start. A line that a crash has lost makes the package one of those that clients have fetched.
#[derive(Debug)]
pub(crate) struct Replicas {
    path: PathBuf,
    marks: Mutex<BTreeSet<u64>>,
}

impl Replicas {
    /// What was ours at the end of the last run.
    pub(crate) fn load(path: PathBuf) -> Self {
        let marks = read(&fs::read_to_string(&path).unwrap_or_default());
        let replicas = Self { path, marks: Mutex::new(BTreeSet::new()) };
        if !marks.is_empty() {
            replicas.replace(marks);
        }
        replicas
    }

    /// Whether the package is ours.
    pub(crate) fn contains(&self, mark: u64) -> bool {
        self.lock().contains(&mark)
    }

    /// The package is ours from now on.
    pub(crate) fn add(&self, mark: u64) {
        if self.lock().insert(mark) {
            self.write(&format!("+{mark:016x}\n"));
        }
    }

    /// The package is not ours any more.
    pub(crate) fn remove(&self, mark: u64) {
        if self.lock().remove(&mark) {
            self.write(&format!("-{mark:016x}\n"));
        }
    }

    /// Forgets all of which `keep` does not hold.
    pub(crate) fn retain(&self, keep: impl Fn(u64) -> bool) {
        let gone: Vec<u64> = self.lock().iter().copied().filter(|mark| !keep(*mark)).collect();
        for mark in gone {
            self.remove(mark);
        }
    }

    fn replace(&self, marks: BTreeSet<u64>) {
        let lines: Vec<String> = marks.iter().map(|mark| format!("+{mark:016x}\n")).collect();
        complain(p2p_state::replace(&self.path, lines.concat().as_bytes()));
        *self.lock() = marks;
    }

    fn write(&self, line: &str) {
        let file = fs::OpenOptions::new().create(true).append(true).open(&self.path);
        complain(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark in a file's name in the store.
pub(super) fn mark_of(path: &Path) -> Option<u64> {
    u64::from_str_radix(path.file_name()?.to_str()?.get(..16)?, 16).ok()
}

fn read(text: &str) -> BTreeSet<u64> {
    let mut marks = BTreeSet::new();
    for line in text.lines() {
        let (sign, digits) = line.split_at_checked(1).unwrap_or_default();
        match (sign, u64::from_str_radix(digits, 16)) {
            ("+", Ok(mark)) => _ = marks.insert(mark),
            ("-", Ok(mark)) => _ = marks.remove(&mark),
            _ => {}
        }
    }
    marks
}

fn complain(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "which packages are replicated cannot be written down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_outlive_a_restart_and_a_broken_line() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("replicas");
        let replicas = Replicas::load(path.clone());
        for mark in [1, 2, u64::MAX] {
            replicas.add(mark);
        }
        replicas.remove(2);
        replicas.write("+12"); // without its end, as a crash may leave it
        let replicas = Replicas::load(path.clone());
        assert_eq!([1, 2, 0x12, u64::MAX].map(|mark| replicas.contains(mark)), [true, false, true, true]);
        replicas.retain(|mark| mark == 1);
        replicas.add(3);
        let replicas = Replicas::load(path);
        assert_eq!([1, 3, 0x12, u64::MAX].map(|mark| replicas.contains(mark)), [true, true, false, false]);
    }
}
