//! Packages that the neighbour does not have yet, by its own word.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use p2p_package::Sha256;

/// All that can be asked at one time, some 80 bytes each.
const MOST: usize = 9_216;
/// As long as the neighbour remembers that we asked.
const AGE: Duration = Duration::from_mins(10);

/// What the neighbour may tell us the arrival of, each once. What nobody asked for would drown what others have to tell.
#[derive(Debug, Default)]
pub(super) struct Awaited(BTreeMap<Sha256, Instant>);

impl Awaited {
    /// It is not there, or not yet.
    pub(super) fn note(&mut self, id: Sha256, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, since| now < *since + AGE);
        }
        if self.0.len() < MOST {
            self.0.insert(id, now);
        }
    }

    /// Those of `ids` that we wait for.
    pub(super) fn take(&mut self, ids: &[Sha256]) -> Vec<Sha256> {
        ids.iter().filter(|id| self.0.remove(id).is_some()).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Sha256 {
        Sha256::of(&number.to_be_bytes())
    }

    #[test]
    fn each_arrival_is_taken_once_and_what_is_old_makes_room() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        (0..MOST + 10).for_each(|number| awaited.note(id(number), start));
        assert_eq!(awaited.0.len(), MOST);
        assert_eq!(awaited.take(&[id(7), id(7), id(MOST + 5)]), [id(7)]);
        (MOST..MOST + 3).for_each(|number| awaited.note(id(number), start + AGE));
        assert_eq!(awaited.0.len(), 3, "the others have waited for ten minutes");
    }
}
