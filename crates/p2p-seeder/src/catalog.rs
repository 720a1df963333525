//! The packages that we serve: in memory for every question, in a database for the next start.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use p2p_package::{FileName, InfoHash, Sha256};
use tokio::sync::watch;

use crate::Row;
use database::Database;

mod database;

/// A shared handle on all rows; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

/// How much there is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CatalogTotals {
    /// Rows.
    pub packages: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

#[derive(Debug)]
struct Inner {
    index: RwLock<Index>,
    database: Database,
    /// Counts removals: whoever serves a row waits for it.
    removals: watch::Sender<u64>,
}

/// Four ways to one row. The sorted lists cost 8 bytes a row, where maps would hold every name and path again.
#[derive(Debug, Default)]
struct Index {
    rows: HashMap<InfoHash, Arc<Row>>,
    by_name: Vec<Arc<Row>>,
    by_path: Vec<Arc<Row>>,
    by_sha256: Vec<Arc<Row>>,
    totals: CatalogTotals,
}

impl Catalog {
    /// Opens the catalog whose database is at `path`; rows whose files changed or vanished meanwhile are left out.
    ///
    /// A database that cannot be read is renamed aside, and a new one begun; where that fails too, the catalog works
    /// without one and everything is hashed again at the next start. Blocks while it reads.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let (database, rows) = Database::open(path);
        let (unchanged, changed): (Vec<_>, Vec<_>) = rows.into_iter().partition(Row::is_unchanged);
        for row in changed {
            database.delete(row.info_hash());
        }
        let index = Index::of(unchanged);
        let inner = Inner { index: RwLock::new(index), database, removals: watch::Sender::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// The package with this torrent.
    #[must_use]
    pub fn get(&self, info_hash: &InfoHash) -> Option<Arc<Row>> {
        self.read().rows.get(info_hash).cloned()
    }

    /// A package with this file name. Two repositories may hold different ones: compare the id.
    #[must_use]
    pub fn by_name(&self, name: &FileName) -> Option<Arc<Row>> {
        let index = self.read();
        let at = index.by_name.partition_point(|row| row.id.file_name < *name);
        index.by_name.get(at).filter(|row| row.id.file_name == *name).cloned()
    }

    /// The package that lies at this path.
    #[must_use]
    pub fn by_path(&self, path: &Path) -> Option<Arc<Row>> {
        let index = self.read();
        let at = index.by_path.partition_point(|row| row.path < *path);
        index.by_path.get(at).filter(|row| row.path == *path).cloned()
    }

    /// The package with exactly this content.
    #[must_use]
    pub fn by_sha256(&self, sha256: &Sha256) -> Option<Arc<Row>> {
        let index = self.read();
        let at = index.by_sha256.partition_point(|row| row.id.sha256 < *sha256);
        index.by_sha256.get(at).filter(|row| row.id.sha256 == *sha256).cloned()
    }

    /// All packages in the order of their file names.
    #[must_use]
    pub fn rows(&self) -> Vec<Arc<Row>> {
        self.read().by_name.clone()
    }

    /// Puts a package in, in place of an earlier one with the same torrent.
    pub fn insert(&self, row: Row) -> Arc<Row> {
        let row = Arc::new(row);
        let replaced = self.write().insert(Arc::clone(&row));
        self.inner.database.put(Arc::clone(&row));
        if replaced {
            self.announce_removal();
        }
        row
    }

    /// Takes a package out; whoever is served it now is cut off.
    pub fn remove(&self, info_hash: &InfoHash) -> Option<Arc<Row>> {
        let row = self.write().remove(info_hash)?;
        self.inner.database.delete(*info_hash);
        self.announce_removal();
        Some(row)
    }

    /// Takes exactly this row out, unless another has taken its place.
    pub fn withdraw(&self, row: &Arc<Row>) {
        let is_current = self.get(&row.info_hash()).is_some_and(|current| Arc::ptr_eq(&current, row));
        if is_current {
            self.remove(&row.info_hash());
        }
    }

    /// Takes out all packages that `keep` does not want.
    pub fn retain(&self, keep: impl Fn(&Row) -> bool) {
        self.rows().iter().filter(|row| !keep(row)).for_each(|row| self.withdraw(row));
    }

    /// Notes that a client of this machine has just fetched the package.
    pub fn touch(&self, info_hash: &InfoHash, when: SystemTime) {
        if let Some(row) = self.get(info_hash) {
            row.set_fetched(when);
            self.inner.database.put(row);
        }
    }

    /// How much there is.
    #[must_use]
    pub fn totals(&self) -> CatalogTotals {
        self.read().totals
    }

    /// Waits until everything so far is in the database. Blocks.
    pub fn flush(&self) {
        self.inner.database.flush();
    }

    /// Changes whenever a row is removed or replaced; then ask the rows at hand whether they are withdrawn.
    pub(crate) fn removals(&self) -> watch::Receiver<u64> {
        self.inner.removals.subscribe()
    }

    fn announce_removal(&self) {
        self.inner.removals.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.inner.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.inner.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn of(rows: Vec<Row>) -> Self {
        let rows: HashMap<_, _> = rows.into_iter().map(|row| (row.info_hash(), Arc::new(row))).collect();
        let mut by_name: Vec<_> = rows.values().cloned().collect();
        let (mut by_path, mut by_sha256) = (by_name.clone(), by_name.clone());
        by_name.sort_unstable_by(name_order);
        by_path.sort_unstable_by(path_order);
        by_sha256.sort_unstable_by(sha256_order);
        let bytes = by_name.iter().map(|row| row.stamp.size).sum();
        let totals = CatalogTotals { packages: by_name.len() as u64, bytes };
        Self { rows, by_name, by_path, by_sha256, totals }
    }

    fn insert(&mut self, row: Arc<Row>) -> bool {
        let replaced = self.remove(&row.info_hash()).is_some();
        self.totals.packages += 1;
        self.totals.bytes += row.stamp.size;
        for (list, order) in self.lists() {
            let at = list.partition_point(|other| order(other, &row).is_lt());
            list.insert(at, Arc::clone(&row));
        }
        self.rows.insert(row.info_hash(), row);
        replaced
    }

    fn remove(&mut self, info_hash: &InfoHash) -> Option<Arc<Row>> {
        let row = self.rows.remove(info_hash)?;
        row.withdraw();
        self.totals.packages -= 1;
        self.totals.bytes -= row.stamp.size;
        for (list, order) in self.lists() {
            let at = list.binary_search_by(|other| order(other, &row)).expect("every row is in all lists");
            list.remove(at);
        }
        Some(row)
    }

    fn lists(&mut self) -> [(&mut Vec<Arc<Row>>, Order); 3] {
        let Self { by_name, by_path, by_sha256, .. } = self;
        [(by_name, name_order), (by_path, path_order), (by_sha256, sha256_order)]
    }
}

type Order = fn(&Arc<Row>, &Arc<Row>) -> Ordering;

fn name_order(a: &Arc<Row>, b: &Arc<Row>) -> Ordering {
    (&a.id.file_name, a.info_hash()).cmp(&(&b.id.file_name, b.info_hash()))
}

fn path_order(a: &Arc<Row>, b: &Arc<Row>) -> Ordering {
    (&a.path, a.info_hash()).cmp(&(&b.path, b.info_hash()))
}

fn sha256_order(a: &Arc<Row>, b: &Arc<Row>) -> Ordering {
    (&a.id.sha256, a.info_hash()).cmp(&(&b.id.sha256, b.info_hash()))
}

#[cfg(test)]
mod tests;
