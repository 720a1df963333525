//! One database file and the content that was read from it last.

use std::error::Error;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use fs_err::File;
use p2p_package::FileName;

use super::{DatabaseState, Known};
use crate::{SyncDatabase, SyncDatabaseError};

/// Answers from the content of one file, which it keeps fresh.
#[derive(Debug)]
pub(super) struct Slot {
    repository: Arc<str>,
    path: PathBuf,
    held: RwLock<Held>,
    /// Held by the one thread that re-reads.
    reading: Mutex<()>,
}

#[derive(Debug, Default, Clone)]
struct Held {
    database: Arc<SyncDatabase>,
    /// What lay at the path when it was looked at last, whether it could be read or not; none before the first time.
    seen: Option<Seen>,
    failed_reads: u64,
    fault: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// The system does not tell; most likely a directory that we may not enter.
    Hidden,
    File(Stamp),
}

/// Two files with the same stamp have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Who may be answered from a content that another thread is replacing right now.
enum Answer {
    Fresh(Arc<SyncDatabase>),
    Previous(Arc<SyncDatabase>),
}

impl Slot {
    pub(super) fn new(repository: Arc<str>, path: PathBuf) -> Self {
        Self { repository, path, held: RwLock::default(), reading: Mutex::default() }
    }

    pub(super) fn repository(&self) -> &Arc<str> {
        &self.repository
    }

    pub(super) fn lookup(&self, file_name: &FileName) -> Option<Known> {
        match self.current() {
            Answer::Fresh(database) => self.find(&database, file_name),
            Answer::Previous(database) => {
                self.find(&database, file_name).or_else(|| self.find(&self.fresh(), file_name))
            }
        }
    }

    /// The content of the file as it lies there now, or the last one that could be read.
    pub(super) fn fresh(&self) -> Arc<SyncDatabase> {
        if let Some(database) = self.held_if_current() {
            return database;
        }
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_again(&reading)
    }

    pub(super) fn state(&self) -> DatabaseState {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).clone();
        DatabaseState {
            repository: Arc::clone(&self.repository),
            packages: held.database.len(),
            skipped: held.database.skipped(),
            failed_reads: held.failed_reads,
            fault: held.fault,
        }
    }

    fn current(&self) -> Answer {
        if let Some(database) = self.held_if_current() {
            return Answer::Fresh(database);
        }
        match self.reading.try_lock() {
            Ok(reading) => Answer::Fresh(self.read_again(&reading)),
            Err(_) => Answer::Previous(self.previous()),
        }
    }

    fn find(&self, database: &SyncDatabase, file_name: &FileName) -> Option<Known> {
        let package = database.package(file_name.as_str())?;
        let signature = package.signature.map(<[u8]>::to_vec);
        Some(Known { id: package.id(), repository: Arc::clone(&self.repository), signature })
    }

    fn held_if_current(&self) -> Option<Arc<SyncDatabase>> {
        let seen = Seen::at(&self.path);
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        (held.seen == Some(seen)).then(|| Arc::clone(&held.database))
    }

    fn previous(&self) -> Arc<SyncDatabase> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).database)
    }

    fn read_again(&self, _reading: &MutexGuard<'_, ()>) -> Arc<SyncDatabase> {
        // Another thread may have read it while this one waited.
        if let Some(database) = self.held_if_current() {
            return database;
        }
        let (seen, result) = self.read_file();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.seen = Some(seen);
        held.fault = None;
        match result {
            Ok(Some(database)) => {
                tracing::debug!(repo = %self.repository, packages = database.len(), "sync database read");
                held.database = Arc::new(database);
            }
            Ok(None) => {}
            Err(error) => {
                let fault = chain(&error);
                tracing::warn!(repo = %self.repository, error = fault, "sync database unreadable");
                held.failed_reads += 1;
                held.fault = Some(fault);
            }
        }
        Arc::clone(&held.database)
    }

    /// What was read, and its content; no content where there is no file.
    fn read_file(&self) -> (Seen, Result<Option<SyncDatabase>, SyncDatabaseError>) {
        let opened = File::open(&self.path).and_then(|file| Ok((Stamp::of(&file.metadata()?), file)));
        let (stamp, file) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Seen::Nothing, Ok(None)),
            Err(error) => return (Seen::at(&self.path), Err(SyncDatabaseError::Read(error))),
        };
        let result = SyncDatabase::read(BufReader::with_capacity(256 * 1024, &file)).map(Some);
        // Written to meanwhile: the next question finds another stamp, and reads again.
        let unchanged = file.metadata().is_ok_and(|after| Stamp::of(&after).was_not_written_since(&stamp));
        (Seen::File(stamp), if unchanged { result } else { Err(SyncDatabaseError::Changing) })
    }
}

impl Seen {
    fn at(path: &Path) -> Self {
        match fs_err::metadata(path) {
            Ok(metadata) => Self::File(Stamp::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Nothing,
            Err(_) => Self::Hidden,
        }
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether an open file has the bytes that it had; its change time says nothing, as that moves when it is unlinked.
    fn was_not_written_since(&self, before: &Self) -> bool {
        (self.size, self.modified) == (before.size, before.modified)
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
