//! Who makes room for a newcomer where there are as many callers as there may be.
//!
//! A stranger who opens connections and does nothing with them shall not keep out one who wants something: places go first to
//! addresses that have few of them, and then from those who have taken nothing for long, by their own choice where there are
//! such: one who waits for his turn comes after them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::network::Network;

/// How long the only connection of an address may take nothing before it makes room. A peer that waits for an upload slot has
/// had the chance of a free one by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that may have to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<Id> {
    pub(crate) id: Id,
    pub(crate) network: Network,
    /// For how long it has taken nothing worth mentioning.
    pub(crate) idle: Duration,
    /// Whether that is because it waits for its turn.
    pub(crate) waits: bool,
}

/// Which of the candidates makes room for a newcomer from `network`, if any.
pub(crate) fn choose<Id: Copy>(network: Network, candidates: &[Candidate<Id>]) -> Option<Id> {
    let mut counts: BTreeMap<Network, usize> = BTreeMap::new();
    for candidate in candidates {
        *counts.entry(candidate.network).or_default() += 1;
    }
    let with_newcomer = counts.get(&network).copied().unwrap_or(0) + 1;
    let most = *counts.values().max()?;
    if most > with_newcomer {
        idlest(candidates.iter().filter(|candidate| counts[&candidate.network] == most))
    } else {
        idlest(candidates.iter().filter(|candidate| candidate.idle >= PATIENCE))
    }
}

/// The one that has been idle longest, of those that are so by their own choice; of the others where there are none.
fn idlest<'a, Id: Copy + 'a>(candidates: impl Iterator<Item = &'a Candidate<Id>> + Clone) -> Option<Id> {
    let chosen = candidates.clone().filter(|candidate| !candidate.waits && candidate.idle >= PATIENCE);
    let longest = |candidate: &&Candidate<Id>| candidate.idle;
    chosen.max_by_key(longest).or_else(|| candidates.max_by_key(longest)).map(|candidate| candidate.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> Network {
        Network::Address([203, 0, 113, last].into())
    }

    fn candidate(id: u32, last: u8, seconds: u64) -> Candidate<u32> {
        Candidate { id, network: network(last), idle: Duration::from_secs(seconds), waits: false }
    }

    #[test]
    fn the_idlest_connection_of_the_busiest_address_makes_room() {
        let crowd =
            [candidate(1, 1, 100), candidate(2, 2, 1), candidate(3, 2, 2), candidate(4, 2, 0), candidate(5, 3, 9)];
        assert_eq!(choose(network(9), &crowd), Some(3));
        assert_eq!(choose(network(3), &crowd), Some(3));
    }

    #[test]
    fn an_address_does_not_push_others_out_for_a_greater_share_than_theirs() {
        let crowd = [candidate(1, 1, 10), candidate(2, 1, 10), candidate(3, 2, 10), candidate(4, 2, 10)];
        assert_eq!(choose(network(1), &crowd), None);
        assert_eq!(choose(network(3), &crowd), Some(4));
    }

    #[test]
    fn among_equals_only_one_who_has_taken_nothing_for_long_makes_room() {
        let mut crowd = [candidate(1, 1, 1), candidate(2, 2, 29), candidate(3, 3, 5)];
        assert_eq!(choose(network(4), &crowd), None);
        crowd[1].idle = PATIENCE;
        assert_eq!(choose(network(4), &crowd), Some(2));
        assert_eq!(choose::<u32>(network(4), &[]), None);
    }

    #[test]
    fn one_who_waits_for_his_turn_makes_room_only_where_nobody_is_idle_by_choice() {
        let mut crowd = [candidate(1, 1, 500), candidate(2, 2, 31), candidate(3, 3, 40), candidate(4, 4, 300)];
        (crowd[0].waits, crowd[3].waits) = (true, true);
        assert_eq!(choose(network(9), &crowd), Some(3));
        crowd[2].waits = true;
        assert_eq!(choose(network(9), &crowd), Some(2));
        crowd[1].idle = Duration::from_secs(29);
        assert_eq!(choose(network(9), &crowd), Some(1), "whoever waits can't keep others out for ever");
    }

    #[test]
    fn at_the_busiest_address_too_the_one_who_waits_outlasts_the_idle_but_not_the_served() {
        let mut crowd = [candidate(1, 1, 500), candidate(2, 1, 0), candidate(3, 1, 31)];
        crowd[0].waits = true;
        assert_eq!(choose(network(9), &crowd), Some(3));
        assert_eq!(choose(network(9), &crowd[..2]), Some(1));
    }
}
