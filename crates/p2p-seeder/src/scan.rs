//! Keeps the catalog in step with what lies in the cache directories and the store.
//!
//! One thread at low priority lists the directories, drops rows whose files changed, and hashes what is new, newest
//! first. Notifications only wake it: what counts is what the directories hold.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use p2p_package::{FileName, PackageId};
use tokio::sync::{oneshot, watch};

use crate::Catalog;
use attention::Attention;
use hold::Holds;
use pass::{Judgement, Pass};
use watcher::DirectoryWatcher;

pub use hold::Hold;

mod attention;
mod hold;
mod pass;
mod watcher;

/// How often everything is looked at without being told to: network file systems send no notifications.
const FULL_RESCAN: Duration = Duration::from_mins(10);
/// The same while a directory is missing, or cannot be watched.
const UNWATCHED_RESCAN: Duration = Duration::from_secs(10);
/// Wake-ups that may wait; one is enough, the others are for askers.
const MAX_WAKES: usize = 64;

/// Says which packages may be shared.
pub trait Judge: Send + Sync {
    /// A scan begins: now is the time to look at the sync databases, and not for each file.
    fn refresh(&self) {}

    /// All packages that may be shared under this file name: one for each repository that lists the name.
    fn judge(&self, name: &FileName) -> Vec<Verdict>;

    /// Whether the store's copy at this path must stay for now, because a client is about to open it.
    fn is_in_use(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
}

/// One package that may be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the sync database says.
    pub id: PackageId,
    /// The repository's name.
    pub repository: Arc<str>,
}

/// Where a [`CacheScan`] looks.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// pacman's cache directories.
    pub cache_dirs: Vec<PathBuf>,
    /// The daemon's own packages; a copy there goes once a cache directory has the package.
    pub store: Option<StoreDir>,
}

/// The daemon's own packages, under names of its own.
///
/// Whoever puts a package there puts its row into the catalog too: so it is not watched. It is looked at for packages
/// whose rows were lost with the database.
#[derive(Debug, Clone)]
pub struct StoreDir {
    /// The directory.
    pub path: PathBuf,
    /// Which package lies at a path in it; none for what is known to be incomplete.
    pub package_at: fn(&Path) -> Option<FileName>,
}

/// How far the scan is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ScanProgress {
    /// Scans completed since the start.
    pub scans: u64,
    /// Files still to be hashed.
    pub waiting: u64,
    /// Files hashed since the start.
    pub hashed: u64,
    /// Bytes hashed since the start.
    pub hashed_bytes: u64,
    /// Files whose content is not what the sync database says.
    pub mismatched: u64,
    /// Files that cannot be read.
    pub unreadable: u64,
    /// Directories that are missing or cannot be read.
    pub unreadable_dirs: u64,
}

/// The scan cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ScanFault {
    /// The system gives no thread.
    #[error("the cache scan got no thread")]
    Thread(#[source] io::Error),
}

/// The background scan; dropping it stops it.
#[derive(Debug)]
pub struct CacheScan {
    wakes: SyncSender<Wake>,
    stop: Arc<AtomicBool>,
    progress: watch::Receiver<ScanProgress>,
    waiters: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
    holds: Arc<Holds>,
    thread: Option<JoinHandle<()>>,
}

/// Why the scan's thread should look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Something changed on disk, and more may follow.
    Changed,
    /// Somebody asks.
    Asked,
    /// A hold has gone.
    Released,
}

impl CacheScan {
    /// Starts with a full scan.
    ///
    /// # Errors
    ///
    /// The system gives no thread. Directories that are missing or cannot be watched are tried again and again.
    pub fn start(options: ScanOptions, catalog: Catalog, judge: Arc<dyn Judge>) -> Result<Self, ScanFault> {
        let (wakes, queue) = sync_channel(MAX_WAKES);
        let (progress_sender, progress) = watch::channel(ScanProgress::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (waiters, holds) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Holds>::default());
        let hint = wakes.clone();
        let scanner = Scanner {
            watcher: DirectoryWatcher::new(options.cache_dirs.clone(), move || wake(&hint, Wake::Changed)),
            pass: Pass::new(options, catalog, judge),
            attention: Attention::new(queue, Arc::clone(&stop), Arc::clone(&holds)),
            progress: progress_sender,
            waiters: Arc::clone(&waiters),
        };
        let thread = std::thread::Builder::new().name("cache-scan".to_owned());
        let thread = thread.spawn(move || scanner.run()).map_err(ScanFault::Thread)?;
        Ok(Self { wakes, stop, progress, waiters, holds, thread: Some(thread) })
    }

    /// Keeps the scan from hashing while the result lives, because something goes on that needs the processor or the disk
    /// more; five minutes at most, after which hashing goes on until no hold has lived for three seconds. A [`Self::rescan`]
    /// that somebody waits for is not held back, nor is the dropping of rows whose files changed.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold::new(Arc::clone(&self.holds), self.wakes.clone())
    }

    /// Lets a scan begin now.
    pub fn nudge(&self) {
        wake(&self.wakes, Wake::Asked);
    }

    /// Completes when a scan that began after this call has hashed everything it found.
    pub async fn rescan(&self) {
        let (done, wait) = oneshot::channel();
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        self.nudge();
        // An error means that the scan has stopped.
        let _ = wait.await;
    }

    /// How far the scan is.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<ScanProgress> {
        self.progress.clone()
    }
}

impl Drop for CacheScan {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.nudge();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn wake(wakes: &SyncSender<Wake>, why: Wake) {
    match wakes.try_send(why) {
        // Enough wake-ups are waiting, or nobody is there to be woken.
        Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => (),
    }
}

/// What the scan's thread owns.
struct Scanner {
    watcher: DirectoryWatcher,
    pass: Pass,
    attention: Attention,
    progress: watch::Sender<ScanProgress>,
    waiters: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
}

impl Scanner {
    fn run(mut self) {
        lower_priority();
        while !self.attention.is_stopped() {
            // Watched before listed: what comes in between is seen by one or the other.
            let all_watched = self.watcher.refresh();
            self.attention.begin();
            let waiters = self.take_waiters();
            self.attention.set_awaited(!waiters.is_empty());
            if self.scan() {
                self.progress.send_modify(|progress| progress.scans += 1);
                for waiter in waiters {
                    let _ = waiter.send(());
                }
                self.attention.wait(if all_watched { FULL_RESCAN } else { UNWATCHED_RESCAN });
            } else {
                self.waiters.lock().unwrap_or_else(PoisonError::into_inner).extend(waiters);
                self.attention.settle();
            }
        }
    }

    /// One scan; false where something happened meanwhile, so that the list is out of date.
    fn scan(&mut self) -> bool {
        let backlog = self.pass.reconcile();
        self.report(backlog.len());
        for (done, candidate) in backlog.iter().enumerate() {
            if !self.attention.may_begin() {
                return false;
            }
            let attention = &mut self.attention;
            let judgement = self.pass.hash(candidate, || attention.may_go_on());
            if judgement == Judgement::Stopped {
                return false;
            }
            self.progress.send_modify(|progress| {
                progress.waiting = (backlog.len() - done - 1) as u64;
                if let Judgement::Hashed { bytes } = judgement {
                    progress.hashed += 1;
                    progress.hashed_bytes += bytes;
                }
            });
        }
        self.report(0);
        true
    }

    fn report(&self, waiting: usize) {
        let (mismatched, unreadable) = self.pass.refused();
        self.progress.send_modify(|progress| {
            progress.waiting = waiting as u64;
            progress.mismatched = mismatched;
            progress.unreadable = unreadable;
            progress.unreadable_dirs = self.pass.unreadable_dirs();
        });
    }

    /// Those who have asked before the list is made.
    fn take_waiters(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut self.waiters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hashing must not slow down what the machine is for.
///
/// Where a thread has no I/O priority of its own, the block layer derives it from this: 15 gives the lowest of the
/// best-effort class (`task_nice_ioprio`). The idle class could be starved by any other reader.
fn lower_priority() {
    const NICE: i32 = 15;
    // On Linux, without an id, this means the calling thread. Root could also raise its priority by this.
    let is_low = rustix::process::getpriority_process(None).is_ok_and(|nice| nice >= NICE);
    if !is_low && let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "cache scan runs at normal priority");
    }
}

#[cfg(test)]
mod tests;
