//! When each publisher is looked for in the DHT, and when a pointer is put there again. Pure: time and chance come in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::book::Subject;

/// Nodes keep an item for two hours (BEP 44): who publishes puts it again every hour, give or take a tenth.
const PUBLISHER: Duration = Duration::from_hours(1);
/// Who follows looks a few times a day, give or take a quarter, so that a hundred thousand do not come at once.
const FOLLOWER: Duration = Duration::from_hours(4);
/// After the first failure; then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_mins(1);
/// The first look of a follower comes within this: computers are switched on together.
const START_WITHIN: Duration = Duration::from_secs(3);
/// The share of followers that put a pointer again which the DHT still has.
const KEEPERS: f64 = 0.25;

/// What is to be done about a publisher in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// It publishes here: put what it said at this sequence number.
    Publish(i64),
    /// It is followed.
    Follow,
}

#[derive(Debug, Default)]
pub(super) struct Rounds(BTreeMap<Subject, Turn>);

#[derive(Debug)]
struct Turn {
    duty: Duty,
    at: Instant,
    failures: u32,
}

/// Whether a follower puts its pointer, where the DHT has one with `found`, and it knows `known` itself.
pub(super) fn puts(found: Option<i64>, known: Option<i64>, chance: f64) -> bool {
    match (found, known) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(found), Some(known)) => known > found || known == found && chance < KEEPERS,
    }
}

impl Rounds {
    /// These are the duties from now on. What is published is put at once; `chance` is from 0 to 1.
    pub(super) fn handle_duties(&mut self, duties: &BTreeMap<Subject, Duty>, chance: f64, now: Instant) {
        self.0.retain(|subject, turn| duties.get(subject) == Some(&turn.duty));
        for (subject, duty) in duties {
            let wait = match duty {
                Duty::Publish(_) => Duration::ZERO,
                Duty::Follow => START_WITHIN.mul_f64(chance),
            };
            self.0.entry(*subject).or_insert(Turn { duty: *duty, at: now + wait, failures: 0 });
        }
    }

    /// What is due now.
    pub(super) fn poll(&self, now: Instant) -> Option<(Subject, Duty)> {
        let due = self.0.iter().filter(|(_, turn)| turn.at <= now);
        due.min_by_key(|(_, turn)| turn.at).map(|(subject, turn)| (*subject, turn.duty))
    }

    /// When something is due next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().map(|turn| turn.at).min()
    }

    /// It was done, or could not be.
    pub(super) fn handle_done(&mut self, subject: &Subject, succeeded: bool, chance: f64, now: Instant) {
        let Some(turn) = self.0.get_mut(subject) else { return };
        let (period, spread) = match turn.duty {
            Duty::Publish(_) => (PUBLISHER, 0.1),
            Duty::Follow => (FOLLOWER, 0.25),
        };
        let regular = period.mul_f64(1.0 - spread + 2.0 * spread * chance);
        turn.failures = if succeeded { 0 } else { turn.failures.saturating_add(1) };
        let retry = FIRST_RETRY * 2_u32.saturating_pow(turn.failures.saturating_sub(1).min(10));
        turn.at = now + if succeeded { regular } else { retry.min(regular) };
    }
}

#[cfg(test)]
mod tests {
    use p2p_wire::{PublisherKey, club_id};

    use super::*;

    fn subject(repository: &str) -> Subject {
        Subject { club: club_id(repository, "x86_64"), key: PublisherKey::from_bytes([1; 32]) }
    }

    #[test]
    fn what_is_published_is_put_at_once_and_every_hour_and_at_once_when_it_changes() {
        let (mut rounds, now, core) = (Rounds::default(), Instant::now(), subject("core"));
        rounds.handle_duties(&[(core, Duty::Publish(7))].into(), 1.0, now);
        assert_eq!(rounds.poll(now), Some((core, Duty::Publish(7))));
        rounds.handle_done(&core, true, 0.5, now);
        rounds.handle_duties(&[(core, Duty::Publish(7))].into(), 1.0, now);
        assert_eq!((rounds.poll(now), rounds.poll_timeout()), (None, Some(now + Duration::from_hours(1))));
        rounds.handle_duties(&[(core, Duty::Publish(8))].into(), 1.0, now);
        assert_eq!(rounds.poll(now), Some((core, Duty::Publish(8))));
    }

    #[test]
    fn a_follower_looks_soon_and_then_a_few_times_a_day_and_more_often_while_it_finds_nothing() {
        let (mut rounds, now, core) = (Rounds::default(), Instant::now(), subject("core"));
        rounds.handle_duties(&[(core, Duty::Follow)].into(), 1.0, now);
        assert_eq!(rounds.poll_timeout(), Some(now + START_WITHIN));
        let waits = [false, false, false].map(|succeeded| {
            rounds.handle_done(&core, succeeded, 0.0, now);
            rounds.poll_timeout().expect("a duty").duration_since(now)
        });
        assert_eq!(waits, [1, 2, 4].map(Duration::from_mins));
        for _ in 0..100 {
            rounds.handle_done(&core, false, 0.0, now);
        }
        assert_eq!(rounds.poll_timeout(), Some(now + Duration::from_hours(3)));
        rounds.handle_done(&core, true, 1.0, now);
        assert_eq!(rounds.poll_timeout(), Some(now + Duration::from_hours(5)));
        rounds.handle_duties(&BTreeMap::new(), 1.0, now);
        assert_eq!(rounds.poll_timeout(), None);
    }

    #[test]
    fn a_follower_puts_what_the_dht_lacks_and_one_in_four_what_it_has() {
        assert!(puts(None, Some(7), 1.0) && puts(Some(6), Some(7), 1.0));
        assert!(!puts(Some(8), Some(7), 0.0) && !puts(None, None, 0.0) && !puts(Some(7), None, 0.0));
        assert!(puts(Some(7), Some(7), 0.24) && !puts(Some(7), Some(7), 0.25));
    }
}
