//! How many bytes may pass now: a token bucket.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

const NANOS: u128 = 1_000_000_000;

/// Bytes that pass at once after a pause, as a part of a second's worth.
const BURST_PARTS_OF_A_SECOND: u64 = 4;
/// The least burst: one block with its header. A slower rate still lets a whole block pass.
const LEAST_BURST: u64 = 16 * 1024 + 64;
/// Fewer bytes than these are not worth a system call, unless no more are wanted.
const LEAST_GRANT: u64 = 512;

/// A rate limit in bytes a second, or none.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Option<NonZeroU64>,
    tokens: u64,
    /// The moment up to which time has been turned into tokens.
    filled: Instant,
}

/// What a [`TokenBucket`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// So many bytes may pass, at most as many as wanted; they count as passed.
    Granted(usize),
    /// Ask again after this time.
    Wait(Duration),
}

impl TokenBucket {
    /// A bucket that is full now; `bytes_per_second` of none never limits.
    #[must_use]
    pub fn new(bytes_per_second: Option<NonZeroU64>, now: Instant) -> Self {
        let tokens = bytes_per_second.map_or(0, burst);
        Self { rate: bytes_per_second, tokens, filled: now }
    }

    /// Replaces the limit from now on.
    pub fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>, now: Instant) {
        self.fill(now);
        self.rate = bytes_per_second;
        self.tokens = bytes_per_second.map_or(0, |rate| self.tokens.min(burst(rate)));
    }

    /// The limit in bytes a second.
    #[must_use]
    pub fn rate(&self) -> Option<NonZeroU64> {
        self.rate
    }

    /// Asks to let up to `wanted` bytes pass.
    pub fn take(&mut self, wanted: usize, now: Instant) -> Grant {
        let Some(rate) = self.rate else {
            return Grant::Granted(wanted);
        };
        self.fill(now);
        let wanted = wanted as u64;
        let least = wanted.min(LEAST_GRANT);
        if self.tokens < least {
            return Grant::Wait(time_for(least - self.tokens, rate).saturating_sub(now.duration_since(self.filled)));
        }
        let granted = wanted.min(self.tokens);
        self.tokens -= granted;
        Grant::Granted(usize::try_from(granted).expect("at most what was wanted"))
    }

    /// Takes bytes back that were granted and did not pass.
    pub fn give_back(&mut self, bytes: usize) {
        if let Some(rate) = self.rate {
            self.tokens = self.tokens.saturating_add(bytes as u64).min(burst(rate));
        }
    }

    fn fill(&mut self, now: Instant) {
        let Some(rate) = self.rate else {
            self.filled = now;
            return;
        };
        let elapsed = now.saturating_duration_since(self.filled).as_nanos();
        let gained = elapsed * u128::from(rate.get()) / NANOS;
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        if self.tokens.saturating_add(gained) >= burst(rate) {
            (self.tokens, self.filled) = (burst(rate), self.filled.max(now));
        } else {
            // Only the time that made whole tokens is used up, so that slow rates lose nothing to frequent questions.
            self.tokens += gained;
            self.filled += time_for(gained, rate).min(now.saturating_duration_since(self.filled));
        }
    }
}

fn burst(rate: NonZeroU64) -> u64 {
    (rate.get() / BURST_PARTS_OF_A_SECOND).max(LEAST_BURST)
}

fn time_for(bytes: u64, rate: NonZeroU64) -> Duration {
    let nanos = (u128::from(bytes) * NANOS).div_ceil(rate.get().into());
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn bucket(rate: u64) -> (TokenBucket, Instant) {
        let now = Instant::now();
        (TokenBucket::new(NonZeroU64::new(rate), now), now)
    }

    #[test]
    fn without_a_limit_everything_passes() {
        let (mut bucket, now) = bucket(0);
        assert_eq!(bucket.take(usize::MAX, now), Grant::Granted(usize::MAX));
    }

    #[test]
    fn an_empty_bucket_says_how_long_to_wait_and_keeps_its_word() {
        let (mut bucket, now) = bucket(1_000);
        assert_eq!(bucket.take(1_000_000, now), Grant::Granted(16_448));
        assert_eq!(bucket.take(500, now), Grant::Wait(Duration::from_millis(500)));
        assert_eq!(bucket.take(500, now + Duration::from_millis(499)), Grant::Wait(Duration::from_millis(1)));
        assert_eq!(bucket.take(500, now + Duration::from_millis(500)), Grant::Granted(500));
    }

    #[test]
    fn bytes_given_back_may_be_taken_again() {
        let (mut bucket, now) = bucket(1_000);
        assert_eq!(bucket.take(16_448, now), Grant::Granted(16_448));
        bucket.give_back(448);
        assert_eq!(bucket.take(448, now), Grant::Granted(448));
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let (mut bucket, now) = bucket(1_000_000_000);
        bucket.set_rate(NonZeroU64::new(1_000), now);
        assert_eq!(bucket.take(1_000_000, now), Grant::Granted(16_448));
        bucket.set_rate(None, now);
        assert_eq!(bucket.take(1_000_000, now), Grant::Granted(1_000_000));
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_does_no_harm() {
        let (mut bucket, now) = bucket(1_000);
        let later = now + Duration::from_mins(1);
        assert_eq!(bucket.take(16_448, later), Grant::Granted(16_448));
        assert!(matches!(bucket.take(1, now), Grant::Wait(_)));
    }

    proptest! {
        #[test]
        fn over_time_the_rate_is_kept_and_used(rate in 1_u64..10_000_000, waits in proptest::collection::vec(0_u64..2_000, 1..200)) {
            let (mut bucket, start) = bucket(rate);
            let (mut now, mut passed) = (start, 0_u64);
            for wait in waits {
                now += Duration::from_millis(wait);
                while let Grant::Granted(bytes) = bucket.take(16 * 1024, now) {
                    passed += bytes as u64;
                }
                let allowed = u128::from(burst(NonZeroU64::new(rate).expect("above zero")))
                    + u128::from(rate) * (now - start).as_millis() / 1_000;
                prop_assert!(u128::from(passed) <= allowed + 1);
            }
            // Whoever waits as told gets on.
            let Grant::Wait(wait) = bucket.take(16 * 1024, now) else { return Ok(()) };
            prop_assert!(matches!(bucket.take(16 * 1024, now + wait), Grant::Granted(_)));
        }
    }
}
