//! What announcing packages, within the budget, adds to clubs.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::index;

use crate::document::Table;
use crate::installed::{PACKAGES, of_one_user};
use crate::share::{number, share};

/// Announces in half an hour that 5 packets a second allow (`docs/decisions.md`, "Announcing").
const ANNOUNCES: usize = 350;
/// Packages in a cache: those that are installed, once each.
const HELD: usize = 840;

/// The chance that at least one of those who have a package announces it, when each chooses at random.
fn chance(holders: usize) -> f64 {
    1.0 - (1.0 - share(ANNOUNCES, HELD)).powf(number(holders))
}

fn simulated(holders: usize, rng: &mut SmallRng) -> f64 {
    let trials = 2_000;
    // The package in question is the first of each cache.
    let is_announced = |rng: &mut SmallRng| index::sample(rng, HELD, ANNOUNCES).iter().any(|package| package == 0);
    let found = (0..trials).filter(|_| (0..holders).any(|_| is_announced(rng))).count();
    share(found, trials)
}

#[test]
fn what_several_have_is_announced_by_one_of_them() {
    assert!((number(HELD) - of_one_user(1..=PACKAGES)).abs() < 1.0, "a cache holds what is installed");
    let (table, mut rng) = (Table::under("Announces of packages"), SmallRng::seed_from_u64(8));
    for (holders, row) in [(1, "1"), (2, "2"), (5, "5"), (10, "10")] {
        let (calculated, simulated) = (chance(holders), simulated(holders, &mut rng));
        eprintln!("announced {row}: {calculated:.4} ({simulated:.4})");
        assert!((calculated - simulated).abs() < 0.03, "{row}: {simulated} instead of {calculated}");
        table.says(row, "announced, chosen at random", calculated, 0.005);
    }
}
