//! Which packages should be held: pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use p2p_package::PackageId;

use crate::config::Order;

/// How many others are taken to have a package of which that is not known: only what is held is announced, and only who
/// announces hears of others.
const UNKNOWN_OTHERS: u32 = 5;
/// The part of the budget that packages new to the set may not fill, so that those in it can grow with their next version.
const SLACK: u64 = 20;
/// A member of the set counts as one and a half times as wanted as it is, and once more: so who was asked for once does
/// not push out who was not, and two that are wanted alike do not change places.
const MEMBER_BONUS: u64 = 1000;

/// A package that a replicated repository lists and that may be shared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) id: PackageId,
    pub(crate) repository: Arc<str>,
    /// When it was built, in seconds since 1970.
    pub(crate) built: u64,
    /// How often it was asked for lately: see [`Demand`](super::demand::Demand).
    pub(crate) demand: f64,
    /// How many others have it, where that was heard lately.
    pub(crate) others: Option<u32>,
    pub(crate) place: Place,
}

/// Where a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    Missing,
    /// In the store, since we brought it there.
    Ours,
    /// In pacman's cache, or in the store because a client asked for it: it is seeded and costs no budget.
    Elsewhere,
}

impl Candidate {
    pub(crate) fn name(&self) -> &str {
        self.id.file_name.package_name()
    }

    /// The larger, the sooner it is taken.
    fn worth(&self, order: Order, is_member: bool) -> u64 {
        match order {
            Order::Wanted => {
                let wanted = thousandths(self.demand);
                if is_member { wanted.saturating_mul(3) / 2 + MEMBER_BONUS } else { wanted }
            }
            Order::Rare => {
                let others = self.others.unwrap_or(UNKNOWN_OTHERS);
                u64::from(u32::MAX - if is_member { others / 2 } else { others })
            }
            Order::Newest => self.built,
            Order::All => u64::MAX - if is_member { self.id.size / 4 * 3 } else { self.id.size },
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of f64 saturates, and NaN is 0")]
fn thousandths(demand: f64) -> u64 {
    (demand * 1000.0) as u64
}

/// The places of those candidates in the list that should be held, the best first, and then of those that should not.
///
/// Together the first are not larger than `budget` bytes. `members` are the names of those chosen the last time: to take the
/// place of one, a package must be clearly better. What is [elsewhere](Place::Elsewhere) is in neither list.
pub(crate) fn choose(
    candidates: &[Candidate],
    order: Order,
    budget: u64,
    members: &BTreeSet<Box<str>>,
) -> (Vec<usize>, Vec<usize>) {
    let is_member = |candidate: &Candidate| members.contains(candidate.name());
    let mut ranked: Vec<_> = candidates.iter().enumerate().filter(|(_, one)| one.place != Place::Elsewhere).collect();
    ranked.sort_by_cached_key(|(_, one)| {
        let is_member = is_member(one);
        (Reverse(one.worth(order, is_member)), !is_member, Reverse(one.built), one.id.file_name.clone())
    });
    let mut used = 0_u64;
    let (chosen, left): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|(_, one)| {
        let most = if is_member(one) { budget } else { budget - budget / SLACK };
        let fits = used.saturating_add(one.id.size) <= most;
        used += if fits { one.id.size } else { 0 };
        fits
    });
    let places = |list: Vec<(usize, &Candidate)>| list.into_iter().map(|(at, _)| at).collect();
    (places(chosen), places(left))
}

#[cfg(test)]
mod tests {
    use p2p_package::Sha256;

    use super::*;

    fn candidate(name: &str, size: u64) -> Candidate {
        let file_name = format!("{name}-1-1-any.pkg.tar").parse().expect("a package's name");
        let id = PackageId { file_name, size, sha256: Sha256::of(name.as_bytes()) };
        Candidate { id, repository: "core".into(), built: 0, demand: 0.0, others: None, place: Place::Missing }
    }

    fn names(candidates: &[Candidate], order: Order, budget: u64, members: &[&str]) -> String {
        let members = members.iter().map(|name| Box::from(*name)).collect();
        let (chosen, _) = choose(candidates, order, budget, &members);
        chosen.iter().map(|at| candidates[*at].name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_order_takes_its_best_first_and_ties_are_stable() {
        let of = |name, size, built, demand, others| Candidate { built, demand, others, ..candidate(name, size) };
        let all = [of("a", 30, 1, 0.0, Some(9)), of("b", 10, 3, 2.0, None), of("c", 20, 2, 2.0, Some(0))];
        assert_eq!(names(&all, Order::Wanted, 1000, &[]), "b c a");
        assert_eq!(names(&all, Order::Rare, 1000, &[]), "c b a");
        assert_eq!(names(&all, Order::Newest, 1000, &[]), "b c a");
        assert_eq!(names(&all, Order::All, 1000, &[]), "b c a");
        let reversed: Vec<_> = all.iter().rev().cloned().collect();
        assert_eq!(names(&reversed, Order::Wanted, 1000, &[]), "b c a");
    }

    #[test]
    fn what_does_not_fit_is_passed_over_for_what_does() {
        let all = [candidate("a", 50), Candidate { demand: 1.0, ..candidate("b", 2000) }, candidate("c", 50)];
        assert_eq!(names(&all, Order::Wanted, 110, &[]), "a c");
        assert_eq!(names(&all, Order::Wanted, 100, &[]), "a", "some room is left for growth");
        assert_eq!(names(&all, Order::Wanted, 100, &["c"]), "c", "what is in the set comes first");
        assert_eq!(names(&all, Order::Wanted, 100, &["a", "c"]), "a c", "and may take all");
        assert_eq!(names(&all, Order::All, 0, &["a"]), "");
    }

    #[test]
    fn what_is_elsewhere_costs_nothing_and_is_not_chosen() {
        let elsewhere = Candidate { place: Place::Elsewhere, ..candidate("a", 90) };
        assert_eq!(names(&[elsewhere, candidate("b", 90)], Order::All, 100, &[]), "b");
    }

    #[test]
    fn a_member_gives_way_only_to_what_is_clearly_better() {
        let duel = |order, member: Candidate, other: Candidate| names(&[member, other], order, 100, &["m"]);
        let member = || candidate("m", 90);
        let wanted = |times| Candidate { demand: times, ..candidate("x", 90) };
        assert_eq!(duel(Order::Wanted, member(), wanted(1.0)), "m");
        assert_eq!(duel(Order::Wanted, member(), wanted(1.1)), "x");
        let asked = Candidate { demand: 10.0, ..member() };
        assert_eq!(duel(Order::Wanted, asked.clone(), wanted(15.0)), "m");
        assert_eq!(duel(Order::Wanted, asked, wanted(17.0)), "x");
        let common = |others| Candidate { others: Some(others), ..member() };
        assert_eq!(duel(Order::Rare, common(11), candidate("x", 90)), "m");
        assert_eq!(duel(Order::Rare, common(12), candidate("x", 90)), "x", "nobody knows how rare it is");
        assert_eq!(duel(Order::All, member(), candidate("x", 80)), "m");
        assert_eq!(duel(Order::All, member(), candidate("x", 60)), "x");
    }

    #[test]
    fn absurd_demand_is_as_much_as_there_can_be() {
        assert_eq!([f64::INFINITY, f64::NAN, -1.0].map(thousandths), [u64::MAX, 0, 0]);
    }
}
