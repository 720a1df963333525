//! What neighbours say of one package's pieces: claims, of which one is believed at a time.

use std::collections::BTreeSet;

use p2p_package::{Info, InfoHash};

/// Different ones that are kept; liars may fill these places, and honest ones with a mirror's help do without.
const MOST: usize = 4;

/// Different `info`s of one package, and who names each.
#[derive(Debug)]
pub(super) struct Hypotheses<N> {
    said: Vec<(Info, BTreeSet<N>)>,
    refuted: BTreeSet<InfoHash>,
}

impl<N: Ord> Hypotheses<N> {
    /// Nobody has said anything.
    pub(super) fn new() -> Self {
        Self { said: Vec::new(), refuted: BTreeSet::new() }
    }

    /// A neighbour names one; its last word counts.
    pub(super) fn hear(&mut self, neighbour: N, info: Info) {
        self.said.iter_mut().for_each(|(_, by)| _ = by.remove(&neighbour));
        self.said.retain(|(_, by)| !by.is_empty());
        let info_hash = info.info_hash();
        if let Some((_, by)) = self.said.iter_mut().find(|(known, _)| known.info_hash() == info_hash) {
            by.insert(neighbour);
        } else if self.said.len() < MOST && !self.refuted.contains(&info_hash) {
            self.said.push((info, BTreeSet::from([neighbour])));
        }
    }

    /// The one that most name, of those that have not turned out wrong.
    pub(super) fn best(&self) -> Option<&Info> {
        self.said.iter().rev().max_by_key(|(_, by)| by.len()).map(|(info, _)| info)
    }

    /// How many different ones there are.
    pub(super) fn count(&self) -> usize {
        self.said.len()
    }

    /// It has led to another file, or to none.
    pub(super) fn refute(&mut self, wrong: InfoHash) {
        self.said.retain(|(info, _)| info.info_hash() != wrong);
        if self.refuted.len() < MOST {
            self.refuted.insert(wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::PieceHash;

    use super::*;

    fn info(pieces: u8) -> Info {
        Info::canonical("a-1-1-any.pkg.tar".parse().expect("a package's name"), 1, vec![PieceHash::of(&[pieces])])
    }

    #[test]
    fn what_most_say_is_believed_until_it_turns_out_wrong() {
        let mut hypotheses = Hypotheses::new();
        hypotheses.hear(1, info(1));
        assert_eq!(hypotheses.best(), Some(&info(1)), "the first is as good as any");
        hypotheses.hear(2, info(2));
        hypotheses.hear(3, info(2));
        assert_eq!(hypotheses.best(), Some(&info(2)));
        hypotheses.refute(info(2).info_hash());
        hypotheses.hear(4, info(2));
        assert_eq!((hypotheses.best(), hypotheses.count()), (Some(&info(1)), 1));
        hypotheses.refute(info(1).info_hash());
        assert_eq!(hypotheses.best(), None);
    }

    #[test]
    fn one_liar_holds_one_place_whatever_it_says() {
        let mut hypotheses = Hypotheses::new();
        (0..100).for_each(|pieces| hypotheses.hear(0, info(pieces)));
        assert_eq!(hypotheses.count(), 1);
        (1..100).for_each(|liar| hypotheses.hear(liar, info(liar)));
        assert_eq!(hypotheses.count(), MOST);
    }
}
