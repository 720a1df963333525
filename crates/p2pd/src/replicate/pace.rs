//! When the next package is fetched: pure.

use std::time::{Duration, SystemTime};

use p2p_package::Sha256;
use serde::{Deserialize, Serialize};

/// What every fetch costs beside its bytes, in bytes: so thousands of tiny packages are spread out as well.
const EACH: u64 = 256 * 1024;
/// The most that is fetched within one spread, in bytes: a first fill may take days.
const MOST: u64 = 20 * 1024 * 1024 * 1024;

/// Spreads the fetches of what is missing over a time.
///
/// They come in rounds: one begins when something is missing and ends when nothing is. Each begins at a moment of the
/// machine's own within the first quarter of the time, so that machines whose databases change together do not come to a mirror
/// together, and is over at about the end of that time, failures apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// What tells this machine's moments from others'.
    machine: u64,
    round: Option<Round>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    /// What is fetched within the time, in bytes.
    amount: u64,
    next: SystemTime,
}

impl Pace {
    pub(crate) fn new(machine: u64) -> Self {
        Self { machine, round: None }
    }

    /// These bytes, in so many packages, are missing.
    pub(crate) fn handle_missing(&mut self, packages: usize, bytes: u64, spread: Duration, now: SystemTime) {
        if packages == 0 {
            self.round = None;
            return;
        }
        let amount = bytes.saturating_add(EACH.saturating_mul(packages as u64)).min(MOST);
        let begins = now + (spread / 4).mul_f64(self.chance(&seconds(now).to_le_bytes()));
        let round = self.round.get_or_insert(Round { amount, next: begins });
        if amount > round.amount {
            *round = Round { amount, next: round.next.min(begins) };
        }
        // The clock may have been set back.
        round.next = round.next.min(now + spread);
    }

    /// When the next fetch is due; none while nothing is missing.
    pub(crate) fn next(&self) -> Option<SystemTime> {
        self.round.map(|round| round.next)
    }

    /// A package of so many bytes is being fetched now.
    pub(crate) fn handle_begun(&mut self, sha256: &Sha256, bytes: u64, spread: Duration, now: SystemTime) {
        let chance = self.chance(sha256.as_bytes());
        let Some(round) = &mut self.round else { return };
        let share = ratio(bytes.saturating_add(EACH), round.amount.max(1)).min(1.0);
        round.next = now + (spread / 4 * 3).mul_f64(share * (0.5 + chance));
    }

    /// Nothing is fetched before.
    pub(crate) fn put_off(&mut self, until: SystemTime) {
        if let Some(round) = &mut self.round {
            round.next = round.next.max(until);
        }
    }

    /// The next fetch is due now.
    pub(crate) fn hasten(&mut self, now: SystemTime) {
        if let Some(round) = &mut self.round {
            round.next = now;
        }
    }

    /// From 0 to 1, always the same for this machine and occasion.
    fn chance(&self, occasion: &[u8]) -> f64 {
        let digest = Sha256::of(&[&self.machine.to_le_bytes(), occasion].concat());
        let bytes = digest.as_bytes();
        f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / f64::from(u32::MAX)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of the time need not be exact")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const MIB: u64 = 1024 * 1024;

    /// When each of these packages is fetched, by a machine that notices them at `start`.
    fn fetches(machine: u64, start: SystemTime, packages: &[u64]) -> Vec<SystemTime> {
        let mut pace = Pace::new(machine);
        let mut times = Vec::new();
        for (at, bytes) in packages.iter().enumerate() {
            let left = &packages[at..];
            pace.handle_missing(left.len(), left.iter().sum(), DAY, times.last().copied().unwrap_or(start));
            let next = pace.next().expect("something is missing");
            pace.handle_begun(&Sha256::of(&at.to_le_bytes()), *bytes, DAY, next);
            times.push(next);
        }
        times
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    #[test]
    fn what_is_missing_is_spread_over_the_day() {
        let packages: Vec<u64> = (0..400).map(|number| 10_000 + number % 7 * 3 * MIB).collect();
        for machine in 0..20 {
            let times = fetches(machine, start(), &packages);
            let (first, last) = (times[0], times[399]);
            assert!(first <= start() + DAY / 4, "{machine}");
            assert!(last > first + DAY / 2 && last < start() + DAY / 10 * 11, "{machine}");
            let gaps = times.windows(2).map(|two| two[1].duration_since(two[0]).expect("in order"));
            assert!(gaps.max() < Some(DAY / 100), "{machine}");
        }
    }

    #[test]
    fn machines_that_notice_together_do_not_begin_together() {
        let mut begins: Vec<_> = (0..24).map(|machine| fetches(machine, start(), &[MIB])[0]).collect();
        begins.sort();
        begins.dedup();
        assert_eq!(begins.len(), 24);
        assert!(begins[23] > begins[0] + DAY / 8);
    }

    #[test]
    fn a_first_fill_takes_days() {
        let packages = [100 * MIB; 512];
        let times = fetches(1, start(), &packages);
        let days = times[511].duration_since(start()).expect("later").as_secs_f64() / DAY.as_secs_f64();
        assert!((1.5..3.0).contains(&days), "50 GiB in {days} days");
    }

    #[test]
    fn more_that_is_missing_makes_it_faster_and_nothing_ends_the_round() {
        let (mut pace, now) = (Pace::new(1), start());
        assert_eq!(pace.next(), None);
        pace.handle_missing(1, MIB, DAY, now);
        pace.handle_begun(&Sha256::of(b""), MIB, DAY, now);
        assert!(pace.next() > Some(now + DAY / 4));
        pace.handle_missing(100, 100 * MIB, DAY, now);
        assert!(pace.next() <= Some(now + DAY / 4));
        pace.put_off(now + DAY);
        assert_eq!(pace.next(), Some(now + DAY));
        pace.handle_missing(100, 100 * MIB, DAY, now - 7 * DAY);
        assert_eq!(pace.next(), Some(now - 6 * DAY), "the clock was set back");
        pace.handle_missing(0, 0, DAY, now);
        assert_eq!(pace.next(), None);
    }
}
