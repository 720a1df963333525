//! Neighbours that were slow with a database, for a while: pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long it is remembered.
const LIFE: Duration = Duration::from_mins(30);
/// Neighbours that are remembered: as many as there may be.
const MOST: usize = 64;

/// How slow one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lag {
    /// Somebody else, who was asked beside it, was there first. It comes after those of whom nothing is known.
    Overtaken,
    /// It was given up. It comes last, and gets little time.
    GivenUp,
}

/// By where they listen: a peer id is made up more easily, and is another one after each restart.
#[derive(Debug, Default)]
pub(super) struct Laggards(BTreeMap<SocketAddr, (Lag, Instant)>);

impl Laggards {
    /// The last word counts; of more than are remembered, the one that was noted first is forgotten.
    pub(super) fn note(&mut self, neighbour: SocketAddr, lag: Lag, now: Instant) {
        self.0.insert(neighbour, (lag, now));
        if self.0.len() > MOST {
            let first = self.0.iter().min_by_key(|(_, (_, at))| *at).map(|(neighbour, _)| *neighbour);
            first.and_then(|first| self.0.remove(&first));
        }
    }

    pub(super) fn find(&self, neighbour: SocketAddr, now: Instant) -> Option<Lag> {
        let (lag, at) = self.0.get(&neighbour)?;
        (now.saturating_duration_since(*at) < LIFE).then_some(*lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([192, 0, 2, 7], port).into()
    }

    #[test]
    fn one_is_slow_for_a_while_and_no_more_than_so_many_are_remembered() {
        let (mut laggards, now) = (Laggards::default(), Instant::now());
        laggards.note(at(1), Lag::Overtaken, now);
        laggards.note(at(1), Lag::GivenUp, now);
        assert_eq!(laggards.find(at(1), now), Some(Lag::GivenUp));
        assert_eq!((laggards.find(at(2), now), laggards.find(at(1), now + LIFE)), (None, None));
        for port in 2..=65 {
            laggards.note(at(port), Lag::Overtaken, now + Duration::from_secs(1));
        }
        assert_eq!((laggards.0.len(), laggards.find(at(1), now)), (MOST, None));
    }
}
