//! Who makes room for a newcomer where there are as many callers as there may be.
//!
//! A stranger who opens connections and does nothing with them shall not keep out one who wants something: places go first to
//! addresses that have few of them, and then from those who have taken nothing for long.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long the only connection of an address may take nothing before it makes room. A peer that waits for an upload slot is
/// as idle as any; with thirty seconds at least it has had the chance of a free one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that may have to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<Id> {
    pub(crate) id: Id,
    pub(crate) address: IpAddr,
    /// For how long it has taken nothing worth mentioning.
    pub(crate) idle: Duration,
}

/// Which of the candidates makes room for a newcomer from `address`, if any.
pub(crate) fn choose<Id: Copy>(address: IpAddr, candidates: &[Candidate<Id>]) -> Option<Id> {
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for candidate in candidates {
        *counts.entry(candidate.address).or_default() += 1;
    }
    let with_newcomer = counts.get(&address).copied().unwrap_or(0) + 1;
    let most = *counts.values().max()?;
    let has_most = |candidate: &&Candidate<Id>| counts[&candidate.address] == most;
    let victim = if most > with_newcomer {
        candidates.iter().filter(has_most).max_by_key(|candidate| candidate.idle)
    } else {
        candidates.iter().filter(|candidate| candidate.idle >= PATIENCE).max_by_key(|candidate| candidate.idle)
    };
    victim.map(|victim| victim.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u32, last: u8, seconds: u64) -> Candidate<u32> {
        Candidate { id, address: [203, 0, 113, last].into(), idle: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_idlest_connection_of_the_busiest_address_makes_room() {
        let crowd =
            [candidate(1, 1, 100), candidate(2, 2, 1), candidate(3, 2, 2), candidate(4, 2, 0), candidate(5, 3, 9)];
        assert_eq!(choose([203, 0, 113, 9].into(), &crowd), Some(3));
        assert_eq!(choose([203, 0, 113, 3].into(), &crowd), Some(3));
    }

    #[test]
    fn an_address_does_not_push_others_out_for_a_greater_share_than_theirs() {
        let crowd = [candidate(1, 1, 10), candidate(2, 1, 10), candidate(3, 2, 10), candidate(4, 2, 10)];
        assert_eq!(choose([203, 0, 113, 1].into(), &crowd), None);
        assert_eq!(choose([203, 0, 113, 3].into(), &crowd), Some(4));
    }

    #[test]
    fn among_equals_only_one_who_has_taken_nothing_for_long_makes_room() {
        let mut crowd = [candidate(1, 1, 1), candidate(2, 2, 29), candidate(3, 3, 5)];
        assert_eq!(choose([203, 0, 113, 4].into(), &crowd), None);
        crowd[1].idle = PATIENCE;
        assert_eq!(choose([203, 0, 113, 4].into(), &crowd), Some(2));
        assert_eq!(choose::<u32>([203, 0, 113, 4].into(), &[]), None);
    }
}
