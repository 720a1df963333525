//! When to ask the router: pure.

use std::time::{Duration, Instant};

/// How long the router shall keep a mapping that nobody renews: it outlives a daemon that was killed.
const LEASE: Duration = Duration::from_hours(1);
/// The first pause after a failure; it doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

/// The next question to the router.
#[derive(Debug)]
pub(super) struct Renewal {
    due: Instant,
    failures: u32,
    /// Whether the router keeps mappings for ever or not at all.
    permanent: bool,
}

impl Renewal {
    /// One that is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, failures: 0, permanent: false }
    }

    /// How long until the router is to be asked.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// What to ask it for, in seconds; 0: for ever.
    pub(super) fn lease(&self) -> u32 {
        if self.permanent { 0 } else { u32::try_from(LEASE.as_secs()).expect("an hour") }
    }

    /// The port is forwarded, or need not be. Also a mapping for ever is renewed: the router may start anew.
    pub(super) fn handle_done(&mut self, now: Instant) {
        (self.due, self.failures) = (now + LEASE / 2, 0);
    }

    /// There is no router that does it.
    pub(super) fn handle_failed(&mut self, now: Instant) {
        self.due = now + FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LEASE / 2);
        self.failures = self.failures.saturating_add(1);
    }

    /// The router knows no leases.
    pub(super) fn handle_permanent_only(&mut self) {
        self.permanent = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_renewed_when_half_of_its_lease_is_over() {
        let now = Instant::now();
        let mut renewal = Renewal::new(now);
        assert_eq!((renewal.wait(now), renewal.lease()), (Duration::ZERO, 3_600));
        renewal.handle_done(now);
        assert_eq!(renewal.wait(now), Duration::from_mins(30));
        assert_eq!(renewal.wait(now + Duration::from_mins(31)), Duration::ZERO);
    }

    #[test]
    fn a_router_that_fails_is_asked_ever_more_seldom_but_not_given_up() {
        let now = Instant::now();
        let mut renewal = Renewal::new(now);
        let minutes = [1, 2, 4, 8, 16, 30, 30];
        for expected in minutes {
            renewal.handle_failed(now);
            assert_eq!(renewal.wait(now), Duration::from_mins(expected));
        }
        renewal.handle_done(now);
        renewal.handle_failed(now);
        assert_eq!(renewal.wait(now), FIRST_PAUSE);
    }

    #[test]
    fn a_router_without_leases_is_asked_for_a_mapping_for_ever() {
        let mut renewal = Renewal::new(Instant::now());
        renewal.handle_permanent_only();
        assert_eq!(renewal.lease(), 0);
    }
}
