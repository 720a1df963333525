//! What a look-up tells about the number of announcers.

use crate::rendezvous::Address;
use crate::share::number;

/// Who was seen, and how many there seem to be.
pub(crate) struct Census {
    /// Each once, sorted.
    pub(crate) seen: Vec<Address>,
    /// The announcers, seen or not.
    pub(crate) announcers: f64,
}

impl Census {
    /// The answers of the nodes are samples of one set: the fewer addresses two of them share, the larger it is. Of two
    /// samples of a and b out of n, a × b / n are in both; so n is the sum of a × b over all pairs of answers, divided by
    /// the meetings that were seen.
    pub(crate) fn of(answers: &[Vec<Address>]) -> Self {
        let mut all: Vec<Address> = answers.iter().flatten().copied().collect();
        all.sort_unstable();
        let meetings: usize = all.chunk_by(|a, b| a == b).map(|same| same.len() * (same.len() - 1) / 2).sum();
        let squares: usize = answers.iter().map(|answer| answer.len() * answer.len()).sum();
        let pairs = (all.len() * all.len() - squares) / 2;
        all.dedup();
        let announcers = if meetings == 0 { number(all.len().max(pairs)) } else { number(pairs) / number(meetings) };
        Self { seen: all, announcers }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::document::Table;
    use crate::rendezvous::Rendezvous;

    /// Means of 200 look-ups: distinct addresses, and the estimate.
    fn after(announcers: usize) -> (f64, f64) {
        let (mut rendezvous, mut rng) = (Rendezvous::new(), SmallRng::seed_from_u64(7));
        for member in 0..announcers {
            rendezvous.announce(Address { member, life: 0 }, Duration::ZERO, &mut rng);
        }
        let censuses: Vec<Census> =
            (0..200).map(|_| Census::of(&rendezvous.look_up(Duration::from_secs(1), &mut rng))).collect();
        let seen = censuses.iter().map(|census| number(census.seen.len())).sum::<f64>() / 200.0;
        (seen, censuses.iter().map(|census| census.announcers).sum::<f64>() / 200.0)
    }

    #[test]
    fn what_answers_have_in_common_tells_the_announcers_up_to_what_a_node_keeps() {
        let table = Table::under("What a look-up tells");
        for (announcers, row) in [(30, "30"), (100, "100"), (300, "300"), (1_000, "1,000"), (10_000, "10,000")] {
            let (seen, estimate) = after(announcers);
            eprintln!("census {announcers}: {seen:.0} {estimate:.0}");
            table.says(row, "addresses seen", seen, 0.05);
            table.says(row, "announcers estimated", estimate, 0.05);
        }
    }
}
