//! What each answer says about a mirror, and which mirror to ask next.

use std::time::{Duration, Instant};

use crate::fault::MirrorFault;

/// The first back-off; it doubles with each failure in a row.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// The first back-off of a mirror that let us wait: the next request would cost the same time-out again.
const STALL_BACK_OFF: Duration = Duration::from_mins(1);
/// No back-off of our own choice is longer: a mirror that is back shall be used within one upgrade.
const LONGEST_BACK_OFF: Duration = Duration::from_mins(5);
/// How long a mirror that served wrong bytes is the last choice.
const BAD_BYTES_BACK_OFF: Duration = Duration::from_hours(1);
/// The time over which a transfer rate is averaged, in seconds.
const RATE_MEMORY: f64 = 3.0;
/// How much the newest time to first byte counts, and its distance from the average.
const FIRST_BYTE_WEIGHT: f64 = 0.25;
/// The first back-off of a mirror that another one answered before: it may be dead, or have had a bad moment.
const SILENCE_BACK_OFF: Duration = Duration::from_secs(10);
/// How long a mirror of which nothing is known is waited for before another one is asked beside it.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(1);
/// Nobody is asked beside a mirror before this: the two would mostly answer both.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);
/// However slow a mirror has been, another one is asked beside it after this.
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// What is believed of a record at most.
const LONGEST_FIRST_BYTE: Duration = Duration::from_mins(1);

/// What to do after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The mirror is well; it does not have this file. Ask another one for it.
    NotHere,
    /// The mirror is well, but good for whole files only.
    WholeFilesOnly,
    /// Leave the mirror alone for a while.
    BackOff,
    /// The mirror was not asked. Ask it when one of our other requests to it has ended.
    NotAsked,
}

/// What we know of one mirror.
#[derive(Debug, Clone, Default)]
pub struct MirrorHealth {
    failures: u32,
    back_off_until: Option<Instant>,
    rate: Option<f64>,
    first_byte: Option<Duration>,
    deviation: Duration,
}

/// What is worth knowing of a mirror in the next run of the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthRecord {
    /// Failures in a row.
    pub failures: u32,
    /// How long it should still be left alone.
    pub back_off: Option<Duration>,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// The average time to the head of its answers.
    pub first_byte: Option<Duration>,
    /// How far these times are from the average, on average.
    pub deviation: Duration,
}

impl MirrorHealth {
    /// Takes the time from a request to the head of its answer in.
    pub fn handle_first_byte(&mut self, elapsed: Duration) {
        let average =
            |before: Duration, now: Duration| before.mul_f64(1.0 - FIRST_BYTE_WEIGHT) + now.mul_f64(FIRST_BYTE_WEIGHT);
        let Some(mean) = self.first_byte else {
            // As RFC 6298 begins with round-trip times.
            (self.first_byte, self.deviation) = (Some(elapsed), elapsed / 2);
            return;
        };
        self.deviation = average(self.deviation, mean.abs_diff(elapsed));
        self.first_byte = Some(average(mean, elapsed));
    }

    /// Takes in that the mirror had said nothing for `elapsed` when another one, asked later, answered. It was not waited for any
    /// longer, so this may be all that is ever known of a mirror that is gone.
    pub fn handle_silence(&mut self, elapsed: Duration, now: Instant) {
        if self.first_byte.is_none_or(|mean| mean < elapsed) {
            self.handle_first_byte(elapsed);
        }
        let own = SILENCE_BACK_OFF.saturating_mul(1 << self.failures.min(16)).min(LONGEST_BACK_OFF);
        self.back_off(own, now);
    }

    /// How long to wait for the head of its answer before another mirror is asked, too.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let learnt = |mean: Duration| (mean + 4 * self.deviation).clamp(LEAST_PATIENCE, MOST_PATIENCE);
        self.first_byte.map_or(UNKNOWN_PATIENCE, learnt)
    }

    /// What is worth keeping.
    #[must_use]
    pub fn record(&self, now: Instant) -> HealthRecord {
        HealthRecord {
            failures: self.failures,
            back_off: self.backs_off_until(now).map(|until| until - now),
            rate: self.rate(),
            first_byte: self.first_byte,
            deviation: self.deviation,
        }
    }

    /// What was kept; not even a wrong record has lasting effects.
    #[must_use]
    pub fn restored(record: &HealthRecord, now: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rate = record.rate.map(|rate| rate as f64);
        Self {
            failures: record.failures,
            back_off_until: record.back_off.map(|wait| now + wait.min(BAD_BYTES_BACK_OFF)),
            rate,
            first_byte: record.first_byte.map(|elapsed| elapsed.min(LONGEST_FIRST_BYTE)),
            deviation: record.deviation.min(LONGEST_FIRST_BYTE),
        }
    }

    /// Takes in that `bytes` arrived over `elapsed`.
    pub fn handle_bytes(&mut self, bytes: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(1e-6);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let now = bytes as f64 / seconds;
        let weight = 1.0 - (-seconds / RATE_MEMORY).exp();
        self.rate = Some(self.rate.map_or(now, |before| before + weight * (now - before)));
    }

    /// Takes in that a whole answer was good.
    pub fn handle_success(&mut self) {
        (self.failures, self.back_off_until) = (0, None);
    }

    /// Takes a fault in, and says what it means.
    pub fn handle_fault(&mut self, fault: &MirrorFault, now: Instant) -> Verdict {
        match fault {
            // A stale mirror has another version of the file, of another size.
            MirrorFault::Lacks(_) | MirrorFault::TooLong => Verdict::NotHere,
            MirrorFault::NoRanges | MirrorFault::WrongRange => Verdict::WholeFilesOnly,
            MirrorFault::Crowded => Verdict::NotAsked,
            MirrorFault::Busy { retry_after: Some(wish), .. } => self.back_off(*wish, now),
            MirrorFault::Network(_) | MirrorFault::Stalled => {
                let own = STALL_BACK_OFF.saturating_mul(1 << self.failures.min(16)).min(LONGEST_BACK_OFF);
                self.back_off(own, now)
            }
            MirrorFault::Busy { retry_after: None, .. }
            | MirrorFault::Refused(_)
            | MirrorFault::TooShort
            | MirrorFault::NotThisFile(_)
            | MirrorFault::Redirect(_) => {
                let own = FIRST_BACK_OFF.saturating_mul(1 << self.failures.min(16)).min(LONGEST_BACK_OFF);
                self.back_off(own, now)
            }
        }
    }

    /// Takes in that the bytes were complete and wrong, as the file's SHA-256 has shown.
    pub fn handle_bad_bytes(&mut self, now: Instant) {
        self.back_off(BAD_BYTES_BACK_OFF, now);
    }

    /// Until when the mirror should be left alone; none where it may be asked now.
    #[must_use]
    pub fn backs_off_until(&self, now: Instant) -> Option<Instant> {
        self.back_off_until.filter(|until| *until > now)
    }

    /// The average rate of its recent transfers, in bytes a second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
        self.rate.map(|rate| rate as u64)
    }

    /// The average time to the head of its answers.
    #[must_use]
    pub fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    fn back_off(&mut self, wait: Duration, now: Instant) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        self.back_off_until = self.back_off_until.max(Some(now + wait));
        Verdict::BackOff
    }
}

/// The index of the mirror to ask: the first, in the user's order, that does not back off; else the one that comes back
/// first, since asking in vain costs less than not asking. None only where there are no mirrors.
pub fn next_mirror<'a>(mirrors: impl IntoIterator<Item = &'a MirrorHealth>, now: Instant) -> Option<usize> {
    let mirrors = mirrors.into_iter().enumerate();
    mirrors.min_by_key(|(_, mirror)| mirror.backs_off_until(now)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(seconds: u64) -> MirrorFault {
        MirrorFault::Busy { status: 503, retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn a_missing_file_does_not_make_a_mirror_bad() {
        let (mut mirror, now) = (MirrorHealth::default(), Instant::now());
        assert_eq!(mirror.handle_fault(&MirrorFault::Lacks(404), now), Verdict::NotHere);
        assert_eq!(mirror.handle_fault(&MirrorFault::NoRanges, now), Verdict::WholeFilesOnly);
        assert_eq!(mirror.backs_off_until(now), None);
    }

    #[test]
    fn a_mirror_that_was_not_asked_is_not_to_blame() {
        let (mut mirror, now) = (MirrorHealth::default(), Instant::now());
        assert_eq!(mirror.handle_fault(&MirrorFault::Crowded, now), Verdict::NotAsked);
        assert_eq!(mirror.backs_off_until(now), None);
        mirror.handle_fault(&MirrorFault::Refused(500), now);
        assert_eq!(mirror.backs_off_until(now), Some(now + FIRST_BACK_OFF), "it counts as the first failure");
    }

    #[test]
    fn failures_in_a_row_double_the_back_off_and_a_success_ends_it() {
        let (mut mirror, now) = (MirrorHealth::default(), Instant::now());
        for seconds in [1, 2, 4, 8] {
            assert_eq!(mirror.handle_fault(&MirrorFault::Refused(500), now), Verdict::BackOff);
            assert_eq!(mirror.backs_off_until(now), Some(now + Duration::from_secs(seconds)));
        }
        for _ in 0..40 {
            mirror.handle_fault(&MirrorFault::Refused(500), now);
        }
        assert_eq!(mirror.backs_off_until(now), Some(now + LONGEST_BACK_OFF));
        mirror.handle_success();
        assert_eq!(mirror.backs_off_until(now), None);
    }

    #[test]
    fn a_busy_mirror_is_left_alone_for_as_long_as_it_asked() {
        let (mut mirror, now) = (MirrorHealth::default(), Instant::now());
        mirror.handle_fault(&busy(30), now);
        mirror.handle_fault(&MirrorFault::TooShort, now);
        assert_eq!(mirror.backs_off_until(now), Some(now + Duration::from_secs(30)));
        assert_eq!(mirror.backs_off_until(now + Duration::from_secs(30)), None);
    }

    #[test]
    fn a_mirror_that_let_us_wait_is_left_alone_for_longer_than_one_that_answered_badly() {
        let now = Instant::now();
        for (fault, wait) in [(MirrorFault::Stalled, STALL_BACK_OFF), (MirrorFault::Refused(500), FIRST_BACK_OFF)] {
            let mut mirror = MirrorHealth::default();
            mirror.handle_fault(&fault, now);
            assert_eq!(mirror.backs_off_until(now), Some(now + wait), "{fault}");
        }
    }

    #[test]
    fn the_first_mirror_that_may_be_asked_is_next_and_else_the_one_that_returns_first() {
        let now = Instant::now();
        let mut mirrors = vec![MirrorHealth::default(); 3];
        assert_eq!(next_mirror(&mirrors, now), Some(0));
        mirrors[0].handle_fault(&busy(30), now);
        assert_eq!(next_mirror(&mirrors, now), Some(1));
        mirrors[1].handle_fault(&busy(10), now);
        mirrors[2].handle_bad_bytes(now);
        assert_eq!(next_mirror(&mirrors, now), Some(1));
        assert_eq!(next_mirror(&mirrors, now + Duration::from_secs(31)), Some(0));
        assert_eq!(next_mirror(&[], now), None);
    }

    #[test]
    fn the_rate_follows_what_the_mirror_does_within_seconds() {
        let mut mirror = MirrorHealth::default();
        mirror.handle_bytes(1_000_000, Duration::from_secs(1));
        assert_eq!(mirror.rate(), Some(1_000_000));
        for _ in 0..10 {
            mirror.handle_bytes(100_000, Duration::from_secs(1));
        }
        assert!(mirror.rate().is_some_and(|rate| (100_000..150_000).contains(&rate)), "{:?}", mirror.rate());
        mirror.handle_first_byte(Duration::from_millis(100));
        mirror.handle_first_byte(Duration::from_millis(500));
        assert_eq!(mirror.first_byte(), Some(Duration::from_millis(200)));
    }

    #[test]
    fn a_mirror_is_waited_for_as_long_as_its_own_times_suggest() {
        let mut mirror = MirrorHealth::default();
        assert_eq!(mirror.patience(), UNKNOWN_PATIENCE);
        for _ in 0..30 {
            mirror.handle_first_byte(Duration::from_millis(20));
        }
        assert_eq!(mirror.patience(), LEAST_PATIENCE, "a steady mirror soon is late");
        for _ in 0..30 {
            mirror.handle_first_byte(Duration::from_millis(300));
            mirror.handle_first_byte(Duration::from_millis(500));
        }
        let patience = mirror.patience().as_millis();
        assert!((700..1000).contains(&patience), "{patience} ms for an average of 400 and a deviation of 100");
        mirror.handle_first_byte(Duration::from_secs(30));
        assert_eq!(mirror.patience(), MOST_PATIENCE);
    }

    #[test]
    fn a_mirror_that_another_one_overtakes_is_left_alone_for_a_while_and_given_more_time() {
        let (mut mirror, now) = (MirrorHealth::default(), Instant::now());
        mirror.handle_first_byte(Duration::from_millis(50));
        let patience = mirror.patience();
        mirror.handle_silence(Duration::from_millis(900), now);
        assert_eq!(mirror.backs_off_until(now), Some(now + SILENCE_BACK_OFF));
        assert!(mirror.patience() > patience);
        mirror.handle_silence(Duration::from_millis(900), now);
        assert_eq!(mirror.backs_off_until(now), Some(now + 2 * SILENCE_BACK_OFF));
        mirror.handle_success();
        assert_eq!(mirror.backs_off_until(now), None);
    }

    #[test]
    fn what_was_learnt_is_restored_and_what_cannot_be_is_bounded() {
        let (mut mirror, now) = (MirrorHealth::default(), Instant::now());
        mirror.handle_first_byte(Duration::from_millis(100));
        mirror.handle_bytes(1_000_000, Duration::from_secs(1));
        mirror.handle_fault(&MirrorFault::Stalled, now);
        let record = mirror.record(now);
        let later = now + Duration::from_secs(20);
        let restored = MirrorHealth::restored(&record, later);
        assert_eq!(restored.record(later), record);
        assert_eq!(restored.backs_off_until(later), Some(later + STALL_BACK_OFF));
        let wrong = Duration::from_hours(1_000_000);
        let wrong = HealthRecord { back_off: Some(wrong), first_byte: Some(wrong), deviation: wrong, ..record };
        let restored = MirrorHealth::restored(&wrong, now);
        assert_eq!(restored.backs_off_until(now), Some(now + BAD_BYTES_BACK_OFF));
        assert_eq!(restored.patience(), MOST_PATIENCE);
    }
}
