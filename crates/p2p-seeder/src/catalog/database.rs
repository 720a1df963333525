//! The catalog's rows in `SQLite`, written by one thread.
//!
//! Losing the last rows costs hashing their files again, so the database never makes anyone wait: WAL, synchronous
//! NORMAL, and every change goes through a queue.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use p2p_package::{Info, InfoHash, PackageId, Sha256};
use rusqlite::{Connection, params};

use crate::{FileStamp, Row};

/// The version of the table below. A database with another one is set aside: its rows are only hashes of files.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "CREATE TABLE packages (info_hash BLOB PRIMARY KEY, info BLOB NOT NULL, sha256 BLOB NOT NULL,
    repository TEXT NOT NULL, path BLOB NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, added INTEGER NOT NULL, fetched INTEGER NOT NULL)";
const PUT: &str = "INSERT OR REPLACE INTO packages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
/// Changes in one transaction: enough that a first scan does not wait for the disk.
const MAX_BATCH: usize = 256;
/// How long a change may wait for others to be written with it.
const GATHERED: Duration = Duration::from_millis(200);

/// Where changes go; dropping it writes what is left.
#[derive(Debug)]
pub(super) struct Database {
    changes: Option<Mutex<Sender<Change>>>,
    writer: Option<JoinHandle<()>>,
}

enum Change {
    Put(Arc<Row>),
    Delete(InfoHash),
    Flush(SyncSender<()>),
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
enum DatabaseFault {
    #[error("SQLite refuses the catalog's database")]
    Sqlite(#[source] rusqlite::Error),
    #[error("the catalog's database has the schema version {0}")]
    Schema(i64),
    #[error("the catalog's database is damaged: {0}")]
    Damaged(String),
}

impl DatabaseFault {
    /// Whether the file's content is to blame; a full disk or another daemon's lock goes away by itself.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly};
        let Self::Sqlite(error) = self else {
            return true;
        };
        let circumstances = [CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly];
        error.sqlite_error_code().is_none_or(|code| !circumstances.contains(&code))
    }
}

impl Database {
    /// Opens or creates the database, and reads its rows.
    pub(super) fn open(path: &Path) -> (Self, Vec<Row>) {
        let opened = open_checked(path).or_else(|fault| {
            if !fault.is_damage() {
                return Err(fault);
            }
            tracing::warn!(path = %path.display(), error = %chain(&fault), "catalog database unusable, beginning a new one");
            set_aside(path);
            open_checked(path)
        });
        match opened {
            Ok((connection, rows)) => (Self::start(connection), rows),
            Err(fault) => {
                tracing::error!(path = %path.display(), error = %chain(&fault), "catalog kept in memory only");
                (Self { changes: None, writer: None }, Vec::new())
            }
        }
    }

    pub(super) fn put(&self, row: Arc<Row>) {
        self.send(Change::Put(row));
    }

    pub(super) fn delete(&self, info_hash: InfoHash) {
        self.send(Change::Delete(info_hash));
    }

    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.send(Change::Flush(done));
        // An error means that there is no writer, and so nothing to wait for.
        let _ = wait.recv();
    }

    fn start(connection: Connection) -> Self {
        let (changes, queue) = channel();
        let thread = std::thread::Builder::new().name("catalog".to_owned());
        match thread.spawn(move || write_all(connection, &queue)) {
            Ok(writer) => Self { changes: Some(Mutex::new(changes)), writer: Some(writer) },
            Err(error) => {
                tracing::error!(%error, "catalog kept in memory only");
                Self { changes: None, writer: None }
            }
        }
    }

    fn send(&self, change: Change) {
        if let Some(changes) = &self.changes {
            // The queue holds at most what changed while one transaction was written.
            let _ = changes.lock().unwrap_or_else(PoisonError::into_inner).send(change);
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write_all(mut connection: Connection, queue: &Receiver<Change>) {
    while let Ok(first) = queue.recv() {
        let batch = gather(first, queue);
        if let Err(error) = write(&mut connection, &batch) {
            tracing::error!(%error, "catalog rows not written");
        }
        for change in batch {
            if let Change::Flush(done) = change {
                let _ = done.send(());
            }
        }
    }
}

/// What is to be written together; nobody waits longer because of it.
fn gather(first: Change, queue: &Receiver<Change>) -> Vec<Change> {
    let until = Instant::now() + GATHERED;
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH && !matches!(batch.last(), Some(Change::Flush(_))) {
        match queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(change) => batch.push(change),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    batch
}

fn write(connection: &mut Connection, batch: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in batch {
        match change {
            Change::Put(row) => put(&transaction, row)?,
            Change::Delete(info_hash) => {
                let mut delete = transaction.prepare_cached("DELETE FROM packages WHERE info_hash = ?1")?;
                delete.execute([info_hash.as_bytes()])?;
            }
            Change::Flush(_) => (),
        }
    }
    transaction.commit()
}

fn put(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let [added, fetched] = row.times().map(u64::cast_signed);
    connection.prepare_cached(PUT)?.execute(params![
        row.info_hash().as_bytes(),
        &row.info.encoded()[..],
        row.id.sha256.as_bytes(),
        &*row.repository,
        row.path.as_os_str().as_bytes(),
        row.stamp.device.cast_signed(),
        row.stamp.inode.cast_signed(),
        row.stamp.modified_ns,
        row.stamp.changed_ns,
        added,
        fetched,
    ])?;
    Ok(())
}

fn open_checked(path: &Path) -> Result<(Connection, Vec<Row>), DatabaseFault> {
    let connection = Connection::open(path).map_err(DatabaseFault::Sqlite)?;
    prepare(&connection)?;
    let rows = read_rows(&connection).map_err(DatabaseFault::Sqlite)?;
    Ok((connection, rows))
}

fn prepare(connection: &Connection) -> Result<(), DatabaseFault> {
    let pragma = |name, value: &str| connection.pragma_update(None, name, value).map_err(DatabaseFault::Sqlite);
    let text = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(0)).map_err(DatabaseFault::Sqlite);
    pragma("journal_mode", "WAL")?;
    pragma("synchronous", "NORMAL")?;
    // A damaged page must not surface as a wrong row a week later.
    let check = text("PRAGMA quick_check(1)")?;
    if check != "ok" {
        return Err(DatabaseFault::Damaged(check));
    }
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(DatabaseFault::Sqlite)?;
    match version {
        0 => {
            let create = format!("BEGIN; {SCHEMA}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT");
            connection.execute_batch(&create).map_err(DatabaseFault::Sqlite)
        }
        SCHEMA_VERSION => Ok(()),
        other => Err(DatabaseFault::Schema(other)),
    }
}

fn read_rows(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut repositories: Vec<Arc<str>> = Vec::new();
    let mut select = connection.prepare("SELECT * FROM packages")?;
    let mut records = select.query([])?;
    let mut rows = Vec::new();
    while let Some(record) = records.next()? {
        // A row that makes no sense is as good as none: its file is hashed again.
        rows.extend(read_row(record, &mut repositories)?);
    }
    Ok(rows)
}

fn read_row(record: &rusqlite::Row<'_>, repositories: &mut Vec<Arc<str>>) -> rusqlite::Result<Option<Row>> {
    let blob = |column: usize| record.get_ref(column).map(|value| value.as_blob().unwrap_or_default());
    let number = |column: usize| record.get::<_, i64>(column);
    let (Ok(info), Ok(sha256)) = (Info::read(blob(1)?), Sha256::try_from(blob(2)?)) else {
        return Ok(None);
    };
    let repository = intern(record.get_ref(3)?.as_str().unwrap_or_default(), repositories);
    let path = PathBuf::from(OsString::from_vec(blob(4)?.to_vec()));
    let stamp = FileStamp {
        device: number(5)?.cast_unsigned(),
        inode: number(6)?.cast_unsigned(),
        size: info.length(),
        modified_ns: number(7)?,
        changed_ns: number(8)?,
    };
    let id = PackageId { file_name: info.file_name().clone(), size: info.length(), sha256 };
    let times = [number(9)?.cast_unsigned(), number(10)?.cast_unsigned()];
    Ok(Some(Row::known(id, info, path, stamp, repository, times)))
}

/// One allocation for each repository, not for each package.
fn intern(name: &str, repositories: &mut Vec<Arc<str>>) -> Arc<str> {
    if let Some(known) = repositories.iter().find(|known| &***known == name) {
        return Arc::clone(known);
    }
    let new: Arc<str> = name.into();
    repositories.push(Arc::clone(&new));
    new
}

/// Moves the database and what belongs to it out of the way; an earlier one there is lost.
fn set_aside(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let with = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        // What cannot be renamed makes the second attempt fail, which is reported.
        let _ = fs_err::rename(with(suffix), with(&format!(".broken{suffix}")));
    }
}

fn chain(fault: &DatabaseFault) -> String {
    let cause = std::error::Error::source(fault).map(|cause| format!(": {cause}"));
    format!("{fault}{}", cause.unwrap_or_default())
}
