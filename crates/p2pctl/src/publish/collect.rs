//! Which packages of the database are here, and their metainfo.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use fs_err as fs;
use indicatif::{ProgressBar, ProgressStyle};
use p2p_package::{FileName, Index, IndexEntry, MAX_INDEX_BYTES, PackageId};
use p2p_pacman::SyncDatabase;

use super::hash;
use crate::report::complain;

/// One disk is not read faster by more; and a mirror has other things to do.
const THREADS: usize = 2;

/// What becomes the index.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) entries: BTreeMap<FileName, IndexEntry>,
    /// Packages of the database.
    pub(super) listed: usize,
    /// Of them, those that were read now.
    pub(super) hashed: usize,
    /// In bytes.
    pub(super) hashed_bytes: u64,
    /// Those that are in none of the directories.
    pub(super) missing: usize,
    /// Those that are not what the database says, or cannot be read.
    pub(super) faults: usize,
}

impl Collected {
    /// Reads what has to be read, whatever becomes of single packages; what is wrong with one is said at once.
    pub(super) fn of(database: &SyncDatabase, directories: &[PathBuf], index: Option<&Path>) -> Self {
        let mut collected = Self { listed: database.len(), ..Self::default() };
        let mut earlier = index.and_then(earlier).unwrap_or_default();
        let mut waiting = Vec::new();
        for id in database.packages().map(|package| package.id()) {
            if let Some(entry) = earlier.remove(&id.file_name).filter(|entry| entry.id() == id) {
                collected.entries.insert(id.file_name, entry);
            } else if let Some(path) = find(directories, &id.file_name) {
                waiting.push((id, path));
            } else {
                collected.missing += 1;
            }
        }
        collected.read(&waiting);
        collected
    }

    /// Each thread takes the next package until none is left.
    fn read(&mut self, waiting: &[(PackageId, PathBuf)]) {
        let bar = bar(waiting.iter().map(|(id, _)| id.size).sum());
        let (next, collected) = (AtomicUsize::new(0), Mutex::new(self));
        let work = || {
            while let Some((id, path)) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                let hashed = hash::entry(id, path, |bytes| bar.inc(bytes));
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                match hashed {
                    Ok(entry) => collected.take(id, entry),
                    Err(fault) => {
                        collected.faults += 1;
                        bar.suspend(|| complain(&fault));
                    }
                }
            }
        };
        thread::scope(|scope| (0..THREADS.min(waiting.len())).for_each(|_| _ = scope.spawn(work)));
        bar.finish_and_clear();
    }

    fn take(&mut self, id: &PackageId, entry: IndexEntry) {
        self.hashed += 1;
        self.hashed_bytes += id.size;
        self.entries.insert(id.file_name.clone(), entry);
    }
}

/// What an index of an earlier time has; nothing where it is none. What is in it was signed then.
fn earlier(path: &Path) -> Option<BTreeMap<FileName, IndexEntry>> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(MAX_INDEX_BYTES + 1).read_to_end(&mut text).ok()?;
    let entries = Index::entries(&text).ok()?;
    Some(entries.into_iter().map(|entry| (entry.info.file_name().clone(), entry)).collect())
}

fn find(directories: &[PathBuf], name: &FileName) -> Option<PathBuf> {
    let paths = directories.iter().map(|directory| directory.join(name.as_str()));
    paths.into_iter().find(|path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file()))
}

/// Draws on standard error where that is a terminal, and nowhere else.
fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{binary_bytes:>10} {binary_bytes_per_sec:>12} {eta_precise} [{wide_bar}] {percent:>3}%";
    bar.set_style(ProgressStyle::with_template(template).expect("a valid template").progress_chars("#-"));
    bar
}
