//! How fast we dial.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

/// The most dials in any second.
pub(super) const DIALS_A_SECOND: usize = 4;

const SECOND: Duration = Duration::from_secs(1);

/// Over how long dials are spread after an outage or a resume: a router that comes back meets all of us at once, and so
/// do those that everybody knows.
pub(super) const SPREAD: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last dials, [`DIALS_A_SECOND`] at most.
    recent: VecDeque<Instant>,
    spread: Option<Spread>,
}

#[derive(Debug)]
struct Spread {
    until: Instant,
    /// The longest pause between two dials; they are half as long on average.
    longest_gap: Duration,
    next: Instant,
}

impl Pace {
    /// Spreads the next dials, of which `wanted` are expected.
    pub(super) fn spread(&mut self, wanted: usize, now: Instant, rng: &mut SmallRng) {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).max(1);
        // One dial comes at any moment of the whole time; many come so that the last has its turn about at its end.
        let longest_gap = (SPREAD * 2) / wanted.saturating_add(1);
        let next = now + up_to(longest_gap, rng);
        // A link that comes and goes must not put the next dial off again and again.
        let next =
            self.spread.as_ref().filter(|spread| now < spread.until).map_or(next, |spread| spread.next.min(next));
        self.spread = Some(Spread { until: now + SPREAD, longest_gap, next });
    }

    pub(super) fn handle_dial(&mut self, now: Instant, rng: &mut SmallRng) {
        if self.recent.len() == DIALS_A_SECOND {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if let Some(spread) = &mut self.spread {
            spread.next = now + up_to(spread.longest_gap, rng);
        }
    }

    /// From when on the next dial is allowed; none: at any time.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        let window = self.recent.front().filter(|_| self.recent.len() == DIALS_A_SECOND).map(|first| *first + SECOND);
        // After its end a spread lies in the past, and holds nobody up.
        let spread = self.spread.as_ref().map(|spread| spread.next.min(spread.until));
        window.max(spread)
    }
}

fn up_to(longest: Duration, rng: &mut SmallRng) -> Duration {
    rng.random_range(Duration::ZERO..=longest)
}
