//! A bound on packets over time.

use std::time::{Duration, Instant};

/// Lets packets through at a steady rate, after a first burst. It keeps one instant, no tokens: the moment up to which
/// what was sent so far has used the rate up.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    per_packet: Duration,
    burst: Duration,
    used_until: Instant,
}

impl Budget {
    /// `packets_per_second`, which is not 0, and at most `burst` of them at once.
    pub(crate) fn new(packets_per_second: u32, burst: u32, now: Instant) -> Self {
        let per_packet = Duration::from_secs(1) / packets_per_second;
        Self { per_packet, burst: per_packet * burst, used_until: now }
    }

    /// Takes `packets` out, if anything is left; a cost above what is left makes the next ones wait for longer.
    pub(crate) fn take(&mut self, packets: u32, now: Instant) -> bool {
        if self.used_until > now + self.burst {
            return false;
        }
        self.spend(packets, now);
        true
    }

    /// When so many packets may go at once without more than the burst ever going at once. More than the burst may go
    /// when all of it is there.
    pub(crate) fn ready_at(&self, packets: u32) -> Instant {
        let cost = (self.per_packet * packets).min(self.burst);
        // Shifted by one burst: what lies less than a burst ahead may go now.
        (self.used_until + cost).checked_sub(self.burst).unwrap_or(self.used_until)
    }

    /// Notes packets that go in any case.
    pub(crate) fn spend(&mut self, packets: u32, now: Instant) {
        self.used_until = self.used_until.max(now) + self.per_packet * packets;
    }

    /// Gives packets back that did not go.
    pub(crate) fn refund(&mut self, packets: u32) {
        self.used_until = self.used_until.checked_sub(self.per_packet * packets).unwrap_or(self.used_until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_packets_go_at_the_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(4, 8, start);
        assert_eq!((0..100).filter(|_| budget.take(1, start)).count(), 9);
        let minute_later = start + Duration::from_mins(1);
        let sent = (0..240).filter(|tick| budget.take(1, minute_later + Duration::from_millis(250 * tick))).count();
        assert_eq!(sent, 240);
    }

    #[test]
    fn an_expensive_task_is_paid_for_by_a_longer_wait() {
        let start = Instant::now();
        let mut budget = Budget::new(4, 8, start);
        assert!(budget.take(80, start));
        assert!(!budget.take(1, start + Duration::from_secs(17)));
        assert!(budget.take(1, start + Duration::from_secs(18)));
    }

    #[test]
    fn who_waits_until_all_is_there_never_sends_more_than_the_burst_at_once() {
        let start = Instant::now();
        let mut budget = Budget::new(4, 8, start);
        assert_eq!(budget.ready_at(8), start);
        budget.spend(8, start);
        assert_eq!(budget.ready_at(4), start + Duration::from_secs(1));
        assert_eq!(budget.ready_at(800), start + Duration::from_secs(2));
        budget.refund(4);
        assert_eq!(budget.ready_at(4), start);
        let later = start + Duration::from_hours(1);
        budget.refund(1000);
        budget.spend(8, later);
        assert_eq!(budget.ready_at(8), later + Duration::from_secs(2));
    }
}
