//! Whom of several neighbours to ask for a database, and when to ask the next one beside those who are slow: pure.

use std::ops::Range;
use std::time::{Duration, Instant};

/// One that has not sent all of it by then has the next one asked beside it. So a liar costs an honest one this time.
const BESIDE_AFTER: Duration = Duration::from_secs(3);
/// Transfers at one time.
const MOST_AT_ONCE: usize = 3;
/// Transfers in all: a lie costs one.
const MOST_TRIES: usize = 16;
/// No try is begun later than this.
const WITHIN: Duration = Duration::from_secs(30);

/// The neighbours that are worth a try, in their order.
#[derive(Debug)]
pub(super) struct Tries {
    waiting: Range<usize>,
    running: usize,
    /// When the first try began, and the last one.
    begun: Instant,
    last: Instant,
}

impl Tries {
    pub(super) fn new(neighbours: usize, now: Instant) -> Self {
        Self { waiting: 0..neighbours.min(MOST_TRIES), running: 0, begun: now, last: now }
    }

    /// Whom to ask now; call until there is nobody.
    pub(super) fn poll_begin(&mut self, now: Instant) -> Option<usize> {
        let is_due = match self.running {
            0 => now < self.begun + WITHIN,
            _ => self.poll_timeout().is_some_and(|at| at <= now),
        };
        let next = if is_due { self.waiting.next() } else { None }?;
        self.running += 1;
        self.last = now;
        Some(next)
    }

    /// When [`Self::poll_begin`] may have somebody to be asked beside those who are asked now.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let may_be_more = (1..MOST_AT_ONCE).contains(&self.running) && !self.waiting.is_empty();
        let at = self.last + BESIDE_AFTER;
        (may_be_more && at < self.begun + WITHIN).then_some(at)
    }

    /// One of the tries has come to nothing.
    pub(super) fn handle_failed(&mut self) {
        self.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_makes_way_at_once_and_a_dozen_liars_keep_nobody_from_his_turn() {
        let now = Instant::now();
        let mut tries = Tries::new(13, now);
        for neighbour in 0..13 {
            assert_eq!(tries.poll_begin(now), Some(neighbour));
            assert_eq!(tries.poll_begin(now), None, "one at a time");
            tries.handle_failed();
        }
        assert_eq!((tries.poll_begin(now), tries.poll_timeout()), (None, None));
    }

    #[test]
    fn the_next_one_is_asked_beside_those_who_are_slow_and_no_more_than_three_at_once() {
        let now = Instant::now();
        let mut tries = Tries::new(5, now);
        let mut at = now;
        for neighbour in 0..3 {
            assert_eq!((tries.poll_begin(at), tries.poll_begin(at)), (Some(neighbour), None));
            at += BESIDE_AFTER;
        }
        assert_eq!((tries.poll_begin(at), tries.poll_timeout()), (None, None));
        tries.handle_failed();
        assert_eq!((tries.poll_begin(at), tries.poll_timeout()), (Some(3), None));
    }

    #[test]
    fn there_is_an_end_to_all_tries() {
        let now = Instant::now();
        let mut tries = Tries::new(100, now);
        assert_eq!(
            (0..100).filter_map(|_| tries.poll_begin(now).inspect(|_| tries.handle_failed())).count(),
            MOST_TRIES
        );
        let mut tries = Tries::new(2, now);
        assert_eq!(tries.poll_begin(now), Some(0));
        assert_eq!((tries.poll_timeout(), tries.poll_begin(now + WITHIN)), (Some(now + BESIDE_AFTER), Some(1)));
        let mut late = Tries::new(2, now);
        assert_eq!(late.poll_begin(now + Duration::from_secs(29)), Some(0));
        assert_eq!(late.poll_timeout(), None, "nothing to wake up for");
        late.handle_failed();
        assert_eq!(late.poll_begin(now + WITHIN), None);
    }
}
