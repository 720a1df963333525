//! A mirror's body on its way to the clients, and a database to its place.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use p2p_api::Ready;
use p2p_pacman::{Kind, SyncDatabase, SyncDatabaseError};
use p2p_webseed::MirrorFault;
use tokio::sync::watch;
use url::Url;

use super::PlainFetch;
use crate::fetch::assembly::{Assembly, AssemblyState, DiskFault};
use crate::fetch::databases::{Copy, Databases, Origin, credible};
use crate::fetch::package::disk_failure;
use crate::fetch::snapshot::{Outcome, Snapshot};
use crate::fetch::stream::{Body, Opened};

/// The file of a database that may come to nothing. A client may have been told of it then.
struct Draft<'a> {
    databases: &'a Databases,
    path: Option<PathBuf>,
    number: u64,
    /// Repository and file name.
    key: String,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.databases.retire(path, Instant::now());
        }
    }
}

impl PlainFetch {
    pub(super) async fn deliver(&self, mirror: &Url, body: Body, asked: Instant) -> Result<Outcome, MirrorFault> {
        let draft = self.draft();
        let path = draft.as_ref().and_then(|draft| draft.path.clone());
        let assembly = match Assembly::open(&path.unwrap_or_else(|| self.services.passing.path()), 0, None) {
            Ok(assembly) => assembly,
            Err(fault) => return Ok(disk_failure(&fault)),
        };
        let opened = body.opened();
        let (origin, etag) = (body.origin(), body.etag().map(str::to_owned));
        let origin = Origin { url: mirror, origin, etag, modified: opened.modified };
        self.tell(&assembly, 0, opened);
        let appender = assembly.appender();
        tokio::select! {
            result = body.pour(&self.services.mirror_book, &appender) => result?,
            fault = self.watch(assembly.state()) => return Ok(disk_failure(&fault)),
        }
        let size = assembly.synced().await;
        if let Some(fault) = assembly.state().borrow().fault.clone() {
            return Ok(disk_failure(&fault));
        }
        self.tell(&assembly, size, Opened { total: Some(size), ..opened });
        self.services.counters.add(0, size);
        if let Some(draft) = draft {
            self.keep(draft, size, origin, asked);
        }
        Ok(Outcome::Ready(Ready {
            path: assembly.path().to_path_buf(),
            size,
            modified: credible(opened.modified, SystemTime::now()),
            verified: false,
            from_peers: 0,
            from_mirrors: size,
            signature: None,
            transaction: None,
        }))
    }

    /// Where a database is written that is to be kept.
    fn draft(&self) -> Option<Draft<'_>> {
        if !matches!(self.kind, Kind::Database | Kind::Files) {
            return None;
        }
        let key = self.database()?;
        let databases = &self.services.databases;
        let (number, path) = databases.new_file();
        Some(Draft { databases, path: Some(path), number, key })
    }

    fn keep(&self, mut draft: Draft<'_>, size: u64, origin: Origin<'_>, asked: Instant) {
        let copy = Copy::new(draft.number, size, origin, SystemTime::now());
        self.services.databases.keep(&draft.key, copy, asked, Instant::now());
        let (key, number) = (std::mem::take(&mut draft.key), draft.number);
        let Some(path) = draft.path.take() else { return };
        let services = Arc::clone(&self.services);
        // The clients need not wait for the disk.
        tokio::task::spawn_blocking(move || {
            // One that a mirror has only half of is pacman's to judge, and not ours to call unchanged the next time.
            if is_broken(&path) {
                tracing::warn!(database = key, "a mirror sent a broken database");
                services.databases.forget(&key, number, Instant::now());
            }
            save(&services.databases, &path);
        });
    }

    /// Tells how far the file is, until the disk refuses.
    async fn watch(&self, mut state: watch::Receiver<AssemblyState>) -> Arc<DiskFault> {
        loop {
            let AssemblyState { contiguous, fault } = state.borrow_and_update().clone();
            if let Some(fault) = fault {
                return fault;
            }
            self.publish.send_modify(|snapshot| (snapshot.done, snapshot.contiguous) = (contiguous, contiguous));
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn tell(&self, assembly: &Assembly, contiguous: u64, opened: Opened) {
        let source = Some(Arc::clone(assembly.path()));
        let (done, total, from_peers) = (contiguous, opened.total, 0);
        let modified = credible(opened.modified, SystemTime::now());
        let snapshot = Snapshot { done, total, from_peers, source, contiguous, modified, ..Snapshot::default() };
        self.publish.send_replace(snapshot);
    }
}

/// Whether the archive does not end where it should. A files database may be larger than what is read of it here.
fn is_broken(path: &Path) -> bool {
    let Ok(file) = fs_err::File::open(path) else { return true };
    match SyncDatabase::read(BufReader::new(file)) {
        Ok(_) | Err(SyncDatabaseError::TooLarge) => false,
        Err(_) => true,
    }
}

pub(super) fn save(databases: &Databases, new: &Path) {
    if let Err(error) = databases.save(new) {
        tracing::warn!(%error, "the kept databases cannot be written down");
    }
}
