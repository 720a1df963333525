//! The time that discovery goes by: the machine's sleep counts too. Trackers and nodes did not sleep meanwhile.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Now, as long after the first call as it really is. Nobody can set this clock.
pub(crate) fn now() -> Instant {
    Instant::now() + slept()
}

/// The same moment on the clock of [`Instant::now`], which stands still while the machine sleeps.
pub(crate) fn without_sleep(instant: Instant) -> Instant {
    instant.checked_sub(slept()).unwrap_or(instant)
}

/// How long the machine has slept since the first call.
pub(crate) fn slept() -> Duration {
    static BEFORE: OnceLock<Duration> = OnceLock::new();
    let now = slept_since_boot();
    now.saturating_sub(*BEFORE.get_or_init(|| now))
        // The two clocks are read one after the other: less than a second between them is no sleep.
        .checked_sub(Duration::from_secs(1))
        .unwrap_or_default()
}

/// How long the machine has slept since it was booted, in system suspend.
#[must_use]
pub fn slept_since_boot() -> Duration {
    since_boot(ClockId::Boottime).saturating_sub(since_boot(ClockId::Monotonic))
}

fn since_boot(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    Duration::new(u64::try_from(tv_sec).unwrap_or(0), u32::try_from(tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_does_not_sleep_has_one_time() {
        let before = Instant::now();
        let now = now();
        assert!(now >= before && now <= Instant::now());
        assert_eq!(without_sleep(now), now);
    }
}
