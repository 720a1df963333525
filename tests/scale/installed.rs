//! Which share of all users has a package.

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::share::number;

/// Packages of a club.
pub(crate) const PACKAGES: usize = 15_000;
/// Packages that everybody has: the base system and what it needs.
const BASE: usize = 150;

/// The share of users that have the package of this rank (1: the most popular): as in Zipf's law, beyond the base.
pub(crate) fn installed(rank: usize) -> f64 {
    (number(BASE) / number(rank)).min(1.0)
}

/// Packages that one user has, of those with these ranks, on average.
pub(crate) fn of_one_user(ranks: std::ops::RangeInclusive<usize>) -> f64 {
    ranks.map(installed).sum()
}

/// The rank of a package that somebody fetches: an installed one, whichever was updated.
pub(crate) fn fetched(rng: &mut SmallRng) -> usize {
    let mut left = rng.random_range(0.0..of_one_user(1..=PACKAGES));
    let found = (1..=PACKAGES).find(|rank| {
        left -= installed(*rank);
        left <= 0.0
    });
    found.unwrap_or(PACKAGES)
}
