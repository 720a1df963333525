//! How often peers have asked for each package lately: pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;

/// After this time what was asked counts half: a day's interest is gone in two days.
const HALF_LIFE: Duration = Duration::from_hours(6);
/// Packages remembered; the seeder itself counts no more than some thousands.
const MAX_REMEMBERED: usize = 20_000;

/// The totals of the last look, and what they have grown by lately.
#[derive(Debug, Default)]
pub(super) struct Demand {
    totals: BTreeMap<InfoHash, u32>,
    lately: BTreeMap<InfoHash, u32>,
    halved_at: Option<Instant>,
}

impl Demand {
    /// Takes over how often each package was asked for since the start; how often lately.
    pub(super) fn handle_totals(&mut self, totals: &[(InfoHash, u32)], now: Instant) -> Vec<(InfoHash, u32)> {
        let halved_at = *self.halved_at.get_or_insert(now);
        if now.saturating_duration_since(halved_at) >= HALF_LIFE {
            self.halved_at = Some(now);
            self.lately.values_mut().for_each(|count| *count /= 2);
            self.lately.retain(|_, count| *count > 0);
        }
        let totals: BTreeMap<_, _> = totals.iter().take(MAX_REMEMBERED).copied().collect();
        for (info_hash, total) in &totals {
            // Smaller than before: the seeder had forgotten it, and began to count anew.
            let before = self.totals.get(info_hash).copied().filter(|before| before <= total).unwrap_or(0);
            if *total > before && (self.lately.len() < MAX_REMEMBERED || self.lately.contains_key(info_hash)) {
                let count = self.lately.entry(*info_hash).or_default();
                *count = count.saturating_add(total - before);
            }
        }
        self.totals = totals;
        self.lately.iter().map(|(info_hash, count)| (*info_hash, *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> InfoHash {
        InfoHash::from_bytes([byte; 20])
    }

    #[test]
    fn what_was_asked_for_counts_half_after_some_hours_and_nothing_in_the_end() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        assert_eq!(demand.handle_totals(&[(hash(1), 5)], start), [(hash(1), 5)]);
        assert_eq!(demand.handle_totals(&[(hash(1), 5)], start + Duration::from_mins(1)), [(hash(1), 5)]);
        let totals = [(hash(1), 6), (hash(2), 1)];
        assert_eq!(demand.handle_totals(&totals, start + HALF_LIFE), [(hash(1), 3), (hash(2), 1)]);
        assert_eq!(demand.handle_totals(&totals, start + 2 * HALF_LIFE), [(hash(1), 1)]);
        assert_eq!(demand.handle_totals(&totals, start + 3 * HALF_LIFE), []);
    }

    #[test]
    fn a_count_that_began_anew_counts_from_nothing() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        demand.handle_totals(&[(hash(1), 5)], start);
        assert_eq!(demand.handle_totals(&[], start), [(hash(1), 5)]);
        assert_eq!(demand.handle_totals(&[(hash(1), 2)], start), [(hash(1), 7)]);
        assert_eq!(demand.handle_totals(&[(hash(1), 1)], start), [(hash(1), 8)]);
    }
}
