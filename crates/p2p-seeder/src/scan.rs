//! Keeps the catalog in step with what lies in the cache directories and the store.
//!
//! One thread at low priority lists the directories, drops rows whose files changed, and hashes what is new, newest
//! first. Notifications only wake it: what counts is what the directories hold.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use p2p_package::{FileName, PackageId};
use tokio::sync::{oneshot, watch};

use crate::Catalog;
use pass::{Judgement, Pass};
use watcher::DirectoryWatcher;

mod pass;
mod watcher;

/// How long the directories must be quiet after a notification; pacman moves hundreds of files in a row.
const QUIET: Duration = Duration::from_millis(500);
/// How long a scan is put off at most while they are not.
const MAX_DEBOUNCE: Duration = Duration::from_secs(5);
/// How often everything is looked at without being told to: network file systems send no notifications.
const FULL_RESCAN: Duration = Duration::from_mins(10);
/// The same while a directory is missing, or cannot be watched.
const UNWATCHED_RESCAN: Duration = Duration::from_secs(10);
/// Wake-ups that may wait; one is enough, the others are for askers.
const MAX_WAKES: usize = 64;

/// Says which packages may be shared.
pub trait Judge: Send + Sync {
    /// All packages that may be shared under this file name: one for each repository that lists the name.
    fn judge(&self, name: &FileName) -> Vec<Verdict>;

    /// Whether the store's copy at this path must stay for now, because a client is about to open it.
    fn is_in_use(&self, path: &std::path::Path) -> bool {
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
    /// The daemon's own packages, by their file names; a copy there goes once a cache directory has the package.
    pub store_dir: Option<PathBuf>,
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
    thread: Option<JoinHandle<()>>,
}

/// Why the scan's thread should look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Something changed on disk, and more may follow.
    Changed,
    /// Somebody asks.
    Asked,
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
        let waiters = Arc::<Mutex<Vec<_>>>::default();
        let directories: Vec<_> = options.cache_dirs.iter().chain(&options.store_dir).cloned().collect();
        let hint = wakes.clone();
        let scanner = Scanner {
            watcher: DirectoryWatcher::new(directories.clone(), move || wake(&hint, Wake::Changed)),
            pass: Pass::new(directories, options.store_dir, catalog, judge),
            queue,
            stop: Arc::clone(&stop),
            progress: progress_sender,
            waiters: Arc::clone(&waiters),
        };
        let thread = std::thread::Builder::new().name("cache-scan".to_owned());
        let thread = thread.spawn(move || scanner.run()).map_err(ScanFault::Thread)?;
        Ok(Self { wakes, stop, progress, waiters, thread: Some(thread) })
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
    queue: Receiver<Wake>,
    stop: Arc<AtomicBool>,
    progress: watch::Sender<ScanProgress>,
    waiters: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
}

impl Scanner {
    fn run(mut self) {
        lower_priority();
        while !self.is_stopped() {
            // Watched before listed: what comes in between is seen by one or the other.
            let all_watched = self.watcher.refresh();
            let waiters = self.take_waiters();
            if self.scan() {
                self.progress.send_modify(|progress| progress.scans += 1);
                for waiter in waiters {
                    let _ = waiter.send(());
                }
                // The wake-up of a stop may have been taken for one of those that this scan has answered.
                if !self.is_stopped() {
                    self.wait(if all_watched { FULL_RESCAN } else { UNWATCHED_RESCAN });
                }
            } else {
                self.waiters.lock().unwrap_or_else(PoisonError::into_inner).extend(waiters);
            }
        }
    }

    /// One scan; false where something happened meanwhile, so that the list is out of date.
    fn scan(&mut self) -> bool {
        let backlog = self.pass.reconcile();
        let mut waiting = backlog.len() as u64;
        self.report(waiting);
        for candidate in backlog {
            if self.is_stopped() || self.queue.try_recv().is_ok() {
                return false;
            }
            let stop = Arc::clone(&self.stop);
            let judgement = self.pass.hash(&candidate, || !stop.load(Ordering::Acquire));
            if let Judgement::Hashed { bytes } = judgement {
                self.progress.send_modify(|progress| {
                    progress.hashed += 1;
                    progress.hashed_bytes += bytes;
                });
            }
            waiting -= 1;
            self.report(waiting);
        }
        true
    }

    fn report(&self, waiting: u64) {
        let (mismatched, unreadable) = self.pass.refused();
        self.progress.send_modify(|progress| {
            progress.waiting = waiting;
            progress.mismatched = mismatched;
            progress.unreadable = unreadable;
            progress.unreadable_dirs = self.pass.unreadable_dirs();
        });
    }

    /// Sleeps until there is a reason for another scan.
    fn wait(&self, at_most: Duration) {
        let Ok(Wake::Changed) = self.queue.recv_timeout(at_most) else {
            return;
        };
        let latest = Instant::now() + MAX_DEBOUNCE;
        while Instant::now() < latest {
            match self.queue.recv_timeout(QUIET) {
                Ok(Wake::Changed) => (),
                Ok(Wake::Asked) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Those who have asked before the list is made; wake-ups up to now are answered by it too.
    fn take_waiters(&self) -> Vec<oneshot::Sender<()>> {
        self.queue.try_iter().for_each(drop);
        std::mem::take(&mut self.waiters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Hashing must not slow down what the machine is for. The block layer derives the I/O priority from this too.
fn lower_priority() {
    const NICE: i32 = 15;
    // On Linux, without an id, this means the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "cache scan runs at normal priority");
    }
}

#[cfg(test)]
mod tests;
