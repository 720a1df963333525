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
    /// `packets_per_second`, and at most `burst` of them at once.
    pub(crate) fn new(packets_per_second: u32, burst: u32, now: Instant) -> Self {
        let per_packet = Duration::from_secs(1) / packets_per_second;
        Self { per_packet, burst: per_packet * burst, used_until: now }
    }

    /// When the next packets may go.
    pub(crate) fn free_at(&self) -> Instant {
        // Shifted by one burst: what lies less than a burst ahead may go now.
        self.used_until.checked_sub(self.burst).unwrap_or(self.used_until)
    }

    /// Takes `packets` out, if anything is left; a cost above what is left makes the next ones wait for longer.
    pub(crate) fn take(&mut self, packets: u32, now: Instant) -> bool {
        if self.used_until > now + self.burst {
            return false;
        }
        self.used_until = self.used_until.max(now) + self.per_packet * packets;
        true
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
        assert!(budget.free_at() <= minute_later);
        let sent = (0..240).filter(|tick| budget.take(1, start + Duration::from_millis(250 * tick))).count();
        assert!((230..=240).contains(&sent), "{sent}");
    }

    #[test]
    fn an_expensive_task_is_paid_for_by_a_longer_wait() {
        let start = Instant::now();
        let mut budget = Budget::new(4, 8, start);
        assert!(budget.take(80, start));
        assert!(!budget.take(1, start + Duration::from_secs(17)));
        assert!(budget.take(1, start + Duration::from_secs(18)));
    }
}
