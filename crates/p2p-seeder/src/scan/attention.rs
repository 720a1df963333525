//! What may interrupt the scan's thread, and how it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Wake;
use super::hold::Holds;

/// How long the directories must be quiet after a notification; pacman moves hundreds of files in a row.
const QUIET: Duration = Duration::from_millis(500);
/// How long a scan is put off at most while they are not.
const MAX_DEBOUNCE: Duration = Duration::from_secs(5);
/// How old the list of what is to be hashed may be while the directories change: to list 15,000 files again takes a tenth of
/// a second, which must not be the price of each new one.
const RELIST: Duration = Duration::from_secs(5);

/// The ear of the scan's thread.
pub(super) struct Attention {
    queue: Receiver<Wake>,
    stop: Arc<AtomicBool>,
    holds: Arc<Holds>,
    /// When the directories were listed.
    listed: Instant,
    /// They have changed since.
    changed: bool,
    /// Somebody wants them listed again.
    asked: bool,
    /// Somebody waits for the end of this scan: then it is not held back.
    is_awaited: bool,
}

impl Attention {
    pub(super) fn new(queue: Receiver<Wake>, stop: Arc<AtomicBool>, holds: Arc<Holds>) -> Self {
        Self { queue, stop, holds, listed: Instant::now(), changed: false, asked: false, is_awaited: false }
    }

    /// The directories will be listed now: what has woken us so far is answered by that.
    pub(super) fn begin(&mut self) {
        self.queue.try_iter().for_each(drop);
        (self.listed, self.changed, self.asked) = (Instant::now(), false, false);
    }

    /// Says whether somebody waits for the end of the scan that begins.
    pub(super) fn set_awaited(&mut self, is_awaited: bool) {
        self.is_awaited = is_awaited;
    }

    /// Whether to hash the next file of the list; waits while that is held back. False: list again.
    pub(super) fn may_begin(&mut self) -> bool {
        while let Ok(why) = self.queue.try_recv() {
            self.note(why);
        }
        let is_outdated = self.asked || self.changed && self.listed.elapsed() >= RELIST;
        !is_outdated && self.may_go_on()
    }

    /// Whether to read on in a file; waits while that is held back. False: leave it.
    pub(super) fn may_go_on(&mut self) -> bool {
        while !self.is_stopped() {
            let wait = if self.is_awaited { Duration::ZERO } else { self.holds.wait(Instant::now()) };
            if wait.is_zero() {
                return true;
            }
            // Rows of files that are gone must not wait for the end of the hold.
            if self.changed || self.asked {
                return false;
            }
            match self.queue.recv_timeout(wait) {
                Ok(why) => self.note(why),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        false
    }

    /// Sleeps until there is a reason for another scan, `at_most` so long.
    pub(super) fn wait(&mut self, at_most: Duration) {
        let latest = Instant::now() + at_most;
        while !self.changed && !self.asked && !self.is_stopped() {
            match self.queue.recv_timeout(latest.saturating_duration_since(Instant::now())) {
                Ok(why) => self.note(why),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
        self.settle();
    }

    /// Waits until the directories are quiet, for a moment, unless somebody asks.
    pub(super) fn settle(&mut self) {
        let latest = Instant::now() + MAX_DEBOUNCE;
        while !self.asked && !self.is_stopped() && Instant::now() < latest {
            match self.queue.recv_timeout(QUIET) {
                Ok(why) => self.note(why),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn note(&mut self, why: Wake) {
        match why {
            Wake::Changed => self.changed = true,
            Wake::Asked => self.asked = true,
            Wake::Released => (),
        }
    }
}
