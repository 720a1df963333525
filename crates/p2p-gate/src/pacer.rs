//! A rate limit that serves everybody in the order of their requests.
//!
//! A plain token bucket is asked again by all who wait as soon as it holds a few bytes, and whoever's timer fires first
//! takes them: of five greedy connections one got everything. Here each request reserves its bytes, and learns when the
//! ones reserved before have been paid for with time.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// What may pass at once after a pause, as time at the full rate.
const BURST: Duration = Duration::from_millis(250);

/// One turn takes a fiftieth of a second at the full rate, so that a round over many connections does not take long.
const TURNS_PER_SECOND: u64 = 50;

/// Bytes of one turn at least and at most: worth a system call, and not more than the streams' buffers.
const SMALLEST_TURN: u64 = 1024;
const LARGEST_TURN: u64 = 32 * 1024;

/// Bytes that may pass at a time that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) bytes: usize,
    pub(crate) due: Instant,
}

/// A rate limit in bytes a second, or none.
#[derive(Debug)]
pub(crate) struct Pacer {
    rate: Option<NonZeroU64>,
    /// When all bytes reserved so far have been paid for.
    paid_until: Instant,
}

impl Pacer {
    pub(crate) fn new(rate: Option<NonZeroU64>, now: Instant) -> Self {
        Self { rate, paid_until: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// Reserves up to `wanted` bytes, behind those who were here before.
    pub(crate) fn reserve(&mut self, wanted: usize, now: Instant) -> Reservation {
        let Some(rate) = self.rate else { return Reservation { bytes: wanted, due: now } };
        let turn = (rate.get() / TURNS_PER_SECOND).clamp(SMALLEST_TURN, LARGEST_TURN);
        let bytes = wanted.min(usize::try_from(turn).expect("at most 32 KiB"));
        let begin = now.checked_sub(BURST).map_or(self.paid_until, |earliest| self.paid_until.max(earliest));
        self.paid_until = begin + time_for(bytes, rate);
        Reservation { bytes, due: begin.max(now) }
    }

    /// Takes back bytes that were reserved and did not pass.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        if let Some(rate) = self.rate {
            self.paid_until = self.paid_until.checked_sub(time_for(bytes, rate)).unwrap_or(self.paid_until);
        }
    }

    /// Replaces the limit; earlier reservations are void.
    pub(crate) fn set_rate(&mut self, rate: Option<NonZeroU64>, now: Instant) {
        (self.rate, self.paid_until) = (rate, now);
    }
}

fn time_for(bytes: usize, rate: NonZeroU64) -> Duration {
    // At most 32 KiB at one byte a second: nothing overflows.
    Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(rate: u64) -> (Pacer, Instant) {
        // An hour after the start of the machine's clock at least, so that there is a past.
        let now = Instant::now() + Duration::from_hours(1);
        (Pacer::new(NonZeroU64::new(rate), now), now)
    }

    #[test]
    fn without_a_limit_everything_passes_at_once() {
        let (mut pacer, now) = pacer(0);
        assert_eq!(pacer.reserve(usize::MAX, now), Reservation { bytes: usize::MAX, due: now });
    }

    #[test]
    fn after_the_burst_each_request_is_due_when_the_ones_before_are_paid() {
        let (mut pacer, now) = pacer(100_000);
        let dues: Vec<Duration> = (0..16).map(|_| pacer.reserve(2_000, now).due - now).collect();
        let millis: Vec<u128> = dues.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 30, 50]);
    }

    #[test]
    fn a_long_pause_is_worth_no_more_than_the_burst() {
        let (mut pacer, now) = pacer(100_000);
        let later = now + Duration::from_mins(10);
        let at_once = (0..1_000).filter(|_| pacer.reserve(1_000, later).due == later).count();
        assert_eq!(at_once, 26, "a quarter of a second's worth, and the one that goes into debt");
    }

    #[test]
    fn bytes_given_back_are_there_for_the_next_and_a_new_rate_begins_anew() {
        let (mut pacer, now) = pacer(100_000);
        while pacer.reserve(2_000, now).due == now {}
        let next = pacer.reserve(2_000, now);
        pacer.give_back(2_000);
        assert_eq!(pacer.reserve(2_000, now), next);
        pacer.set_rate(NonZeroU64::new(50_000), now);
        assert_eq!(pacer.reserve(500, now).due, now);
        assert_eq!(pacer.reserve(500, now).due, now + Duration::from_millis(10));
    }

    #[test]
    fn a_turn_fits_the_rate() {
        for (rate, bytes) in [(1, 1_024), (100_000, 2_000), (1_000_000_000, 32_768)] {
            let (mut pacer, now) = pacer(rate);
            assert_eq!(pacer.reserve(1_000_000, now).bytes, bytes);
        }
    }
}
