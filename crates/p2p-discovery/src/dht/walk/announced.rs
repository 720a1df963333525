//! How many have announced themselves, from what a few nodes say each.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// The announcers that each of several nodes has told of: some of those that it keeps.
///
/// Two such answers are samples of one set: of two samples of *a* and *b* out of *n*, *a × b / n* are in both. So *n* is the
/// sum of *a × b* over all pairs, divided by the meetings that are seen. A liar makes it larger, but no answer weighs more than
/// the one in the middle: with two liars among eight nodes a club seems to be less than twice as large as it is.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<BTreeSet<SocketAddr>>);

impl Samples {
    pub(super) fn add(&mut self, peers: &[SocketAddr]) {
        if !peers.is_empty() {
            self.0.push(peers.iter().copied().collect());
        }
    }

    /// At least as many as the node in the middle has told of.
    pub(super) fn estimate(&self) -> u32 {
        let mut lengths: Vec<usize> = self.0.iter().map(BTreeSet::len).collect();
        lengths.sort_unstable();
        let Some(&middle) = lengths.get(lengths.len().saturating_sub(1) / 2) else { return 0 };
        let (mut pairs, mut meetings) = (0.0, 0.0);
        for (at, one) in self.0.iter().enumerate() {
            for other in &self.0[at + 1..] {
                // As if of a longer answer only so many had been heard, at random.
                let heard = share(one, middle) * share(other, middle);
                pairs += count(one.len() * other.len()) * heard;
                meetings += count(one.intersection(other).count()) * heard;
            }
        }
        let estimate = if meetings > 0.0 { pairs / meetings } else { pairs };
        // A float becomes the nearest number that there is.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, and a cast ends at the largest"
        )]
        let estimate = estimate as u32;
        estimate.max(u32::try_from(middle).unwrap_or(u32::MAX))
    }
}

/// How much of an answer counts where `most` addresses do.
fn share(answer: &BTreeSet<SocketAddr>, most: usize) -> f64 {
    f64::min(1.0, count(most) / count(answer.len()))
}

fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn announcers(number: u32) -> Vec<SocketAddr> {
        (0..number).map(|number| SocketAddr::from(((0x0b00_0000 + number).to_be_bytes(), 6881))).collect()
    }

    /// What a walk hears from 8 nodes, each of which keeps 500 of all announcers at most, and tells `told` of these.
    fn hear(number: u32, told: usize, seed: u64) -> u32 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (all, mut samples) = (announcers(number), Samples::default());
        for _ in 0..8 {
            // Who came last is kept, by each node alike but for some.
            let kept = all.len().min(500);
            let mut kept: Vec<_> = all[..kept].to_vec();
            kept.retain(|_| rng.random_bool(0.9));
            kept.shuffle(&mut rng);
            samples.add(&kept[..kept.len().min(told)]);
        }
        samples.estimate()
    }

    /// In how many of 200 walks the estimate is what is looked for.
    fn count(number: u32, told: usize, is_so: impl Fn(u32) -> bool) -> usize {
        (0..200).filter(|seed| is_so(hear(number, told, *seed))).count()
    }

    #[test]
    fn what_eight_nodes_say_tells_a_hundred_from_a_thousand() {
        for told in [10, 100] {
            let many = [100, 200, 300, 500, 1000].map(|number| count(number, told, |estimate| estimate >= 300));
            println!("{told} are told: of 200 walks {many:?} saw 300 or more of 100, 200, 300, 500 and 1000");
            assert!(many[0] <= 2 && many[1] <= 30, "{told}: {many:?}");
            assert!(many[4] >= 170, "{told}: {many:?}");
        }
    }

    #[test]
    fn few_announcers_are_counted_and_none_are_none() {
        assert_eq!(Samples::default().estimate(), 0);
        let mut samples = Samples::default();
        samples.add(&[]);
        samples.add(&announcers(1));
        assert_eq!(samples.estimate(), 1);
        samples.add(&announcers(3));
        assert_eq!(samples.estimate(), 3);
        samples.add(&announcers(9)[5..]);
        assert_eq!(samples.estimate(), 15, "those that nobody else knows may be a liar's");
    }

    /// What a walk sees where two of its eight nodes invent as many announcers as a datagram takes, others each, or the same.
    fn hear_liars(number: u32, told: usize, are_different: bool, seed: u64) -> u32 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut all, mut samples) = (announcers(number), Samples::default());
        for _ in 0..6 {
            all.shuffle(&mut rng);
            samples.add(&all[..all.len().min(told)]);
        }
        let invented = announcers(100_400).split_off(100_000);
        let second = if are_different { &invented[200..] } else { &invented[..200] };
        samples.add(&invented[..200]);
        samples.add(second);
        samples.estimate()
    }

    #[test]
    fn two_liars_among_eight_nodes_do_not_make_a_club_of_a_hundred_seem_full() {
        for (told, are_different) in [(10, true), (10, false), (100, true), (100, false)] {
            for number in [2, 30, 100] {
                let seen = (0..200).map(|seed| hear_liars(number, told, are_different, seed));
                let deceived = seen.filter(|seen| *seen >= 300).count();
                assert!(deceived <= 20, "{deceived} of 200 walks saw 300 of {number}, {told} told");
            }
        }
    }
}
