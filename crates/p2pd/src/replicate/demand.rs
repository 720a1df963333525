//! What was asked for lately, and how rare it is: pure, and kept over restarts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// After this time a question counts half.
const HALF_LIFE: Duration = Duration::from_hours(7 * 24);
/// Whoever was asked for once is forgotten after a month.
const LEAST: f64 = 0.05;
/// Names that are remembered: more than the largest repositories have.
const MAX_NAMES: usize = 32 * 1024;
/// Questions that count between two looks: nobody should win a place by asking all day.
const MOST_AT_ONCE: u32 = 20;
/// How many others have a package is worth knowing for so long.
const RARITY_LIFE: Duration = Duration::from_hours(14 * 24);

/// How often packages were asked for, by name: so a new version is as wanted as the one before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Demand {
    scores: BTreeMap<Box<str>, f64>,
    decayed: SystemTime,
}

impl Demand {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { scores: BTreeMap::new(), decayed: now }
    }

    /// It was asked for so many times since the last look.
    pub(crate) fn note(&mut self, name: &str, times: u32) {
        if times == 0 || self.scores.len() >= MAX_NAMES && !self.scores.contains_key(name) {
            return;
        }
        *self.scores.entry(name.into()).or_default() += f64::from(times.min(MOST_AT_ONCE));
    }

    /// Lets time pass.
    pub(crate) fn decay(&mut self, now: SystemTime) {
        let elapsed = now.duration_since(self.decayed).unwrap_or_default();
        let factor = 0.5_f64.powf(elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        self.scores.retain(|_, score| {
            *score *= factor;
            *score >= LEAST
        });
        self.decayed = now;
    }

    /// How often it was asked for, of late mostly.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.scores.get(name).copied().unwrap_or(0.0)
    }
}

/// How many others have packages, by name, as last heard: what has been dropped is not announced, and would seem rare again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Rarity(BTreeMap<Box<str>, (u32, SystemTime)>);

impl Rarity {
    pub(crate) fn note(&mut self, name: &str, others: u32, now: SystemTime) {
        if self.0.len() < MAX_NAMES || self.0.contains_key(name) {
            self.0.insert(name.into(), (others, now));
        }
    }

    /// Forgets what was heard long ago.
    pub(crate) fn decay(&mut self, now: SystemTime) {
        self.0.retain(|_, (_, heard)| now.duration_since(*heard).is_ok_and(|age| age < RARITY_LIFE));
    }

    pub(crate) fn of(&self, name: &str) -> Option<u32> {
        self.0.get(name).map(|(others, _)| *others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_question_counts_half_after_a_week_and_nothing_after_a_month() {
        let start = SystemTime::UNIX_EPOCH;
        let mut demand = Demand::new(start);
        demand.note("a", 1);
        demand.note("b", 1_000_000);
        demand.note("c", 0);
        assert_eq!(["a", "b", "c"].map(|name| demand.of(name).to_string()), ["1", "20", "0"]);
        demand.decay(start + 7 * DAY);
        assert_eq!(["a", "b"].map(|name| demand.of(name).to_string()), ["0.5", "10"]);
        for day in 8..36 {
            demand.decay(start + day * DAY);
        }
        assert_eq!((demand.of("a").to_string().as_str(), demand.scores.len()), ("0", 1));
        demand.decay(start);
        assert!(demand.of("b") > 0.0, "a clock that was set back");
    }

    #[test]
    fn no_more_names_are_remembered_than_may_be() {
        let mut demand = Demand::new(SystemTime::UNIX_EPOCH);
        for number in 0..=MAX_NAMES {
            demand.note(&number.to_string(), 1);
        }
        assert!(demand.scores.len() == MAX_NAMES && !demand.scores.contains_key(MAX_NAMES.to_string().as_str()));
        demand.note("0", 1);
        assert_eq!(demand.of("0").to_string(), "2");
    }

    #[test]
    fn rarity_is_remembered_for_two_weeks() {
        let (mut rarity, start) = (Rarity::default(), SystemTime::UNIX_EPOCH);
        rarity.note("a", 7, start);
        rarity.decay(start + 13 * DAY);
        assert_eq!(rarity.of("a"), Some(7));
        rarity.decay(start + 14 * DAY);
        assert_eq!(rarity.of("a"), None);
    }
}
