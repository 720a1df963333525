//! Times of thousands of offers, in four bytes each.

use std::time::{Duration, Instant};

/// A whole second on a [`Clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Second(u32);

/// What lies before the start is counted too: what was due while we did not run keeps its order.
const BEFORE_START: u32 = 30 * 86_400;

/// Says what second it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn new(start: Instant) -> Self {
        Self { start }
    }

    /// When the clock began.
    pub(super) fn start(self) -> Instant {
        self.start
    }

    /// The last second that has begun.
    pub(super) fn past(self, instant: Instant) -> Second {
        let since = instant.saturating_duration_since(self.start);
        Second(u32::try_from(since.as_secs()).unwrap_or(u32::MAX).saturating_add(BEFORE_START))
    }

    /// The first second that begins no earlier.
    pub(super) fn next(self, instant: Instant) -> Second {
        let past = self.past(instant);
        if self.instant(past) < instant { Second(past.0.saturating_add(1)) } else { past }
    }

    /// `seconds` before or after `instant`, as far as can be counted.
    pub(super) fn shifted(self, instant: Instant, seconds: i64) -> Second {
        let shifted = i64::from(self.past(instant).0).saturating_add(seconds);
        Second(u32::try_from(shifted.max(0)).unwrap_or(u32::MAX))
    }

    /// How many seconds it is from `instant` to `second`; less than 0 where it has passed.
    pub(super) fn distance(self, instant: Instant, second: Second) -> i64 {
        i64::from(second.0) - i64::from(self.past(instant).0)
    }

    /// When the second begins; the start, where it is earlier than that.
    pub(super) fn instant(self, second: Second) -> Instant {
        self.start + Duration::from_secs(u64::from(second.0.saturating_sub(BEFORE_START)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_begin_no_earlier_than_what_they_stand_for() {
        let start = Instant::now();
        let clock = Clock::new(start);
        for millis in [0, 1, 999, 1000, 86_400_001] {
            let instant = start + Duration::from_millis(millis);
            let next = clock.instant(clock.next(instant));
            assert!(next >= instant && next < instant + Duration::from_secs(1), "{millis}");
            assert!(clock.instant(clock.past(instant)) <= instant);
        }
    }

    #[test]
    fn the_past_keeps_its_order_and_no_distance_overflows() {
        let start = Instant::now();
        let clock = Clock::new(start);
        assert!(clock.shifted(start, -200) < clock.shifted(start, -100));
        assert_eq!(clock.distance(start, clock.shifted(start, -200)), -200);
        assert_eq!(clock.distance(start + Duration::from_secs(9), clock.shifted(start, 10)), 1);
        assert_eq!(clock.shifted(start, i64::MIN), Second(0));
        assert_eq!(clock.shifted(start, i64::MAX), Second(u32::MAX));
    }
}
