//! All sync databases of a machine, always as fresh as the files.

mod slot;

use std::path::Path;
use std::sync::Arc;

use p2p_package::{FileName, PackageId};

use crate::SyncDatabase;
use slot::Slot;

/// The sync databases of the configured repositories, re-read when their files change.
///
/// Every question costs one stat(2) for each database that it looks into, so the answer is that of the file that lies there
/// now. A database that is being replaced, is broken or went away keeps the content that was read last. While one thread
/// re-reads a database, the others are answered from the content before, and wait only where that does not know the
/// package. Reading takes up to some hundred milliseconds: do not ask on an async thread.
#[derive(Debug)]
pub struct SyncDatabases {
    slots: Box<[Slot]>,
}

/// What the sync databases know about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What the package's bytes must be.
    pub id: PackageId,
    /// The repository whose database says so.
    pub repository: Arc<str>,
    /// The detached signature (`%PGPSIG%`), decoded, where the database has it.
    pub signature: Option<Vec<u8>>,
}

/// What became of one database, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseState {
    /// The repository.
    pub repository: Arc<str>,
    /// Packages in the content that questions are answered from.
    pub packages: usize,
    /// Packages left out of it because nothing could be verified for them.
    pub skipped: u64,
    /// How often the file could not be read since the start; a missing one is not counted.
    pub failed_reads: u64,
    /// Why the file that lies there now could not be read, with causes; none where it was.
    pub fault: Option<String>,
}

impl SyncDatabases {
    /// The databases `<db_path>/sync/<repository>.db` in the order of `repositories`; nothing is read yet.
    pub fn new(db_path: &Path, repositories: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let directory = db_path.join("sync");
        let slot = |name: &str| Slot::new(name.into(), directory.join(format!("{name}.db")));
        Self { slots: repositories.into_iter().map(|name| slot(name.as_ref())).collect() }
    }

    /// What the first repository that has a package of this file name says about it.
    pub fn lookup(&self, file_name: &FileName) -> Option<Known> {
        self.slots.iter().find_map(|slot| slot.lookup(file_name))
    }

    /// What this repository says about the package of this file name.
    pub fn lookup_in(&self, repository: &str, file_name: &FileName) -> Option<Known> {
        self.slot(repository)?.lookup(file_name)
    }

    /// All packages of this repository as of now, in the order of their file names.
    pub fn packages(&self, repository: &str) -> impl Iterator<Item = Known> + use<> {
        let found = self.slot(repository).map(|slot| (Arc::clone(slot.repository()), slot.fresh()));
        found.into_iter().flat_map(|(repository, database)| {
            (0..database.len()).map(move |index| known(&repository, &database, index))
        })
    }

    /// The content of this repository's database as of now; none for a repository that was not named to [`Self::new`].
    pub fn database(&self, repository: &str) -> Option<Arc<SyncDatabase>> {
        Some(self.slot(repository)?.fresh())
    }

    /// How every database fares, in order, as of the last question.
    pub fn states(&self) -> Vec<DatabaseState> {
        self.slots.iter().map(Slot::state).collect()
    }

    fn slot(&self, repository: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| &**slot.repository() == repository)
    }
}

fn known(repository: &Arc<str>, database: &SyncDatabase, index: usize) -> Known {
    let package = database.at(index);
    Known { id: package.id(), repository: Arc::clone(repository), signature: package.signature.map(<[u8]>::to_vec) }
}

#[cfg(test)]
mod tests;
