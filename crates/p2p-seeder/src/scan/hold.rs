//! Keeps the scan from hashing while the machine has something better to do.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Wake, wake};

/// The longest that hashing is put off: a fetch that never ends must not keep packages from being seeded.
const MAX_HELD: Duration = Duration::from_mins(5);
/// How long hashing waits after the last hold: pacman asks for the next file at once, and then installs.
const LINGER: Duration = Duration::from_secs(3);

/// While one lives, the scan hashes nothing, for [some minutes](super::CacheScan::hold) at most.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Holds>,
    wakes: SyncSender<Wake>,
}

/// All holds there are.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<Restraint>);

/// When hashing may go on: pure.
#[derive(Debug, Default)]
struct Restraint {
    holds: usize,
    period: Option<Period>,
}

/// A time in which there was always a hold, gaps shorter than [`LINGER`] apart.
#[derive(Debug, Clone, Copy)]
struct Period {
    began: Instant,
    /// When the last hold went; of no meaning while there is one.
    released: Instant,
}

impl Hold {
    pub(super) fn new(holds: Arc<Holds>, wakes: SyncSender<Wake>) -> Self {
        holds.lock().take(Instant::now());
        Self { holds, wakes }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let is_last = self.holds.lock().release(Instant::now());
        // One of many would only take others' places in the queue.
        if is_last {
            wake(&self.wakes, Wake::Released);
        }
    }
}

impl Holds {
    /// How long hashing has to wait, unless a hold comes or goes meanwhile.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.lock().wait(now)
    }

    fn lock(&self) -> MutexGuard<'_, Restraint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Restraint {
    fn take(&mut self, now: Instant) {
        let goes_on = self.period.filter(|period| self.holds > 0 || now < period.released + LINGER);
        self.period = goes_on.or(Some(Period { began: now, released: now }));
        self.holds += 1;
    }

    /// Whether it was the last.
    fn release(&mut self, now: Instant) -> bool {
        self.holds -= 1;
        if let Some(period) = &mut self.period {
            period.released = now;
        }
        self.holds == 0
    }

    fn wait(&self, now: Instant) -> Duration {
        let Some(Period { began, released }) = self.period else {
            return Duration::ZERO;
        };
        let latest = began + MAX_HELD;
        let until = if self.holds > 0 { latest } else { latest.min(released + LINGER) };
        until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_waits_for_the_last_hold_and_a_moment_longer() {
        let (mut restraint, start) = (Restraint::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(restraint.wait(start), Duration::ZERO);
        restraint.take(start);
        restraint.take(at(1));
        restraint.release(at(2));
        assert_eq!(at(2) + restraint.wait(at(2)), start + MAX_HELD);
        restraint.release(at(3));
        assert_eq!(at(4) + restraint.wait(at(4)), at(3) + LINGER);
        assert_eq!(restraint.wait(at(3) + LINGER), Duration::ZERO);
    }

    #[test]
    fn holds_that_follow_one_another_cannot_put_hashing_off_for_ever() {
        let (mut restraint, start) = (Restraint::default(), Instant::now());
        let mut now = start;
        while now < start + MAX_HELD {
            restraint.take(now);
            restraint.release(now + Duration::from_secs(1));
            assert!(!restraint.wait(now + Duration::from_secs(1)).is_zero());
            now += LINGER;
        }
        restraint.take(now);
        assert_eq!(restraint.wait(now), Duration::ZERO, "still the same period");
        restraint.release(now);
        restraint.take(now + LINGER);
        assert_eq!(restraint.wait(now + LINGER), MAX_HELD, "a new one");
    }
}
