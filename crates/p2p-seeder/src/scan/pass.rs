//! One look at the directories: what is gone, what is new, and what of it may be shared.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use p2p_package::{FileName, Hashed, InfoHash, Sha256};

use super::{Judge, ScanOptions, StoreDir};
use crate::hash::{HashFault, age, digest_file, hash_file};
use crate::{Catalog, FileStamp, Row};

/// What is remembered between scans: which files need not be looked at again, and why.
pub(super) struct Pass {
    options: ScanOptions,
    catalog: Catalog,
    judge: Arc<dyn Judge>,
    refused: HashMap<PathBuf, Refused>,
    unreadable_dirs: u64,
    is_first: bool,
}

/// A file in the store that changed since is being filled, or on its way into the catalog.
const SETTLED_AFTER: Duration = Duration::from_mins(10);

/// A file that should be in the catalog and is not.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    name: FileName,
    path: PathBuf,
    stamp: FileStamp,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All of it was read.
    Hashed { bytes: u64 },
    /// It could not be read to its end as the file that it was.
    Unread,
    /// Something else was to be done.
    Stopped,
}

/// A file that does not go into the catalog while it has this stamp.
#[derive(Debug)]
struct Refused {
    stamp: FileStamp,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// It has this hash, which no sync database states for its name.
    Mismatch(Sha256),
    /// It cannot be read.
    Unreadable,
    /// The same package is in the catalog with another path.
    Duplicate(InfoHash),
}

impl Pass {
    pub(super) fn new(options: ScanOptions, catalog: Catalog, judge: Arc<dyn Judge>) -> Self {
        Self { options, catalog, judge, refused: HashMap::new(), unreadable_dirs: 0, is_first: true }
    }

    /// Drops rows whose files are not what they were; returns what is to be hashed, newest first.
    pub(super) fn reconcile(&mut self) -> Vec<Candidate> {
        self.judge.refresh();
        for row in self.catalog.rows().iter().filter(|row| !row.is_unchanged()) {
            tracing::debug!(package = %row.id.file_name, "package changed or gone, no longer served");
            self.catalog.withdraw(row);
        }
        self.refused.retain(|path, refused| FileStamp::of_path(path).is_ok_and(|stamp| stamp == refused.stamp));
        let listings = self.options.cache_dirs.iter().map(|directory| p2p_pacman::package_files(directory));
        let stored = self.options.store.iter().map(|store| self.lost_packages(store));
        let listings: Vec<_> = listings.chain(stored).collect();
        let (mut backlog, mut unreadable_dirs) = (Vec::new(), 0);
        for listing in listings {
            match listing {
                Ok(files) => backlog.extend(files.into_iter().filter_map(|(name, path)| self.candidate(name, path))),
                Err(error) => {
                    tracing::debug!(%error, "cache directory not readable");
                    unreadable_dirs += 1;
                }
            }
        }
        self.unreadable_dirs = unreadable_dirs;
        self.is_first = false;
        backlog.sort_by(|a, b| (b.stamp.modified_ns, &a.path).cmp(&(a.stamp.modified_ns, &b.path)));
        backlog
    }

    /// Hashes a candidate and puts it into the catalog, if it is what a sync database says.
    pub(super) fn hash(&mut self, candidate: &Candidate, go_on: impl FnMut() -> bool) -> Judgement {
        self.refused.remove(&candidate.path);
        match self.hashes_of(candidate, go_on) {
            Ok(hashed) => {
                self.judge_hashed(candidate, hashed);
                Judgement::Hashed { bytes: candidate.stamp.size }
            }
            Err(HashFault::Changed) => Judgement::Unread,
            Err(HashFault::Stopped) => Judgement::Stopped,
            Err(fault @ (HashFault::Read(_) | HashFault::Size)) => {
                tracing::warn!(package = %candidate.name, error = %fault, "package in the cache not usable");
                self.refuse(candidate, Why::Unreadable);
                Judgement::Unread
            }
        }
    }

    /// How many files have other content than the sync database says, and how many cannot be read.
    pub(super) fn refused(&self) -> (u64, u64) {
        let count =
            |wanted: fn(&Why) -> bool| self.refused.values().filter(|refused| wanted(&refused.why)).count() as u64;
        (count(|why| matches!(why, Why::Mismatch(_))), count(|why| matches!(why, Why::Unreadable)))
    }

    /// How many directories are missing or cannot be read.
    pub(super) fn unreadable_dirs(&self) -> u64 {
        self.unreadable_dirs
    }

    fn candidate(&self, name: FileName, path: PathBuf) -> Option<Candidate> {
        // A file that is gone by now is as good as not listed.
        let stamp = FileStamp::of_path(&path).ok()?;
        if self.catalog.by_path(&path).is_some_and(|row| row.stamp == stamp) {
            return None;
        }
        let mut verdicts = self.judge.judge(&name);
        verdicts.retain(|verdict| verdict.id.size == stamp.size);
        if verdicts.is_empty() {
            return None;
        }
        let settled = self.refused.get(&path).is_some_and(|refused| match refused.why {
            Why::Mismatch(sha256) => verdicts.iter().all(|verdict| verdict.id.sha256 != sha256),
            Why::Unreadable => true,
            Why::Duplicate(info_hash) => self.catalog.get(&info_hash).is_some_and(|row| {
                self.drop_store_copy(&path, &row);
                true
            }),
        });
        (!settled).then_some(Candidate { name, path, stamp })
    }

    /// The pieces of a copy, pacman's of what was fetched say, are those of the package that the catalog has.
    fn hashes_of(&self, candidate: &Candidate, mut go_on: impl FnMut() -> bool) -> Result<Hashed, HashFault> {
        let Candidate { name, path, stamp } = candidate;
        if let Some(row) = self.catalog.by_name(name).filter(|row| row.id.size == stamp.size) {
            let sha256 = digest_file(path, stamp, &mut go_on)?;
            if sha256 == row.id.sha256 {
                return Ok(Hashed { sha256, info: row.info.clone() });
            }
        }
        hash_file(path, name, stamp, go_on)
    }

    /// What lies in the store complete, and is in no catalog: its row was lost.
    fn lost_packages(&self, store: &StoreDir) -> io::Result<Vec<(FileName, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(&store.path)? {
            let path = entry?.path();
            let Some(name) = (store.package_at)(&path) else { continue };
            let is_lost = self.catalog.by_path(&path).is_none();
            if is_lost && (self.is_first || has_settled(&path)) {
                files.push((name, path));
            }
        }
        Ok(files)
    }

    fn judge_hashed(&mut self, candidate: &Candidate, hashed: Hashed) {
        // Asked again: what may be shared can have changed while the file was read.
        let verdicts = self.judge.judge(&candidate.name);
        let Some(verdict) = verdicts.iter().find(|verdict| verdict.id.sha256 == hashed.sha256) else {
            tracing::warn!(package = %candidate.name, "package in the cache differs from the sync database, not shared");
            return self.refuse(candidate, Why::Mismatch(hashed.sha256));
        };
        let info_hash = hashed.info.info_hash();
        let earlier = self.catalog.get(&info_hash).filter(|row| row.path != candidate.path && row.is_unchanged());
        if let Some(row) = &earlier
            && (self.is_in_store(&candidate.path) || !self.is_in_store(&row.path))
        {
            self.refuse(candidate, Why::Duplicate(info_hash));
            return self.drop_store_copy(&candidate.path, row);
        }
        let (id, repository) = (verdict.id.clone(), Arc::clone(&verdict.repository));
        let row = self.catalog.insert(Row::new(id, hashed.info, candidate.path.clone(), candidate.stamp, repository));
        tracing::debug!(package = %candidate.name, %info_hash, "package catalogued");
        if let Some(earlier) = earlier {
            self.drop_store_copy(&earlier.path, &row);
        }
    }

    /// Unlinks `path`, if it lies in the store and `kept`, elsewhere, is the same package.
    fn drop_store_copy(&self, path: &Path, kept: &Row) {
        if !self.is_in_store(path) || self.is_in_store(&kept.path) || self.judge.is_in_use(path) {
            return;
        }
        match fs_err::remove_file(path) {
            Ok(()) => tracing::debug!(package = %kept.id.file_name, "store's copy removed, the cache has the package"),
            Err(error) => tracing::warn!(package = %kept.id.file_name, %error, "store's copy not removed"),
        }
    }

    fn is_in_store(&self, path: &Path) -> bool {
        self.options.store.as_ref().is_some_and(|store| path.parent() == Some(&store.path))
    }

    fn refuse(&mut self, candidate: &Candidate, why: Why) {
        self.refused.insert(candidate.path.clone(), Refused { stamp: candidate.stamp, why });
    }
}

/// Whether nothing has been done to a file for a while.
fn has_settled(path: &Path) -> bool {
    FileStamp::of_path(path).is_ok_and(|stamp| age(stamp.changed_ns) >= SETTLED_AFTER)
}
