//! Whom not to dial again yet: addresses that failed a moment ago, and those that were barred.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;

use crate::admission::Standing;
use crate::filter::Origin;
use crate::network::Network;

/// The wait after a first failure; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The longest wait for an address that strangers told of: most are dead for good.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// The longest wait for a configured or a local peer: it is a machine that is expected back.
const LONGEST_FAMILIAR_WAIT: Duration = Duration::from_secs(30);

/// Entries kept; some 100 bytes each. A DHT answer has at most some hundred addresses.
const MAX_ENTRIES: usize = 4_096;

/// Remembers failures and bars, per info hash.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: BTreeMap<(InfoHash, SocketAddr), Failure>,
    bars: BTreeMap<(InfoHash, Barred), Instant>,
}

/// Whom a bar keeps away.
///
/// A stranger is barred with all of his ports and addresses, or he would just call again from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Barred {
    Stranger(Network),
    Familiar(SocketAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    attempts: u32,
    until: Instant,
}

impl Backoff {
    /// Whether `address` may be dialled for `info_hash` now.
    pub(crate) fn is_clear(&self, info_hash: InfoHash, address: SocketAddr, standing: Standing, now: Instant) -> bool {
        let failed = self.failures.get(&(info_hash, address)).is_some_and(|failure| now < failure.until);
        !failed && !self.is_barred(info_hash, address, standing, now)
    }

    /// Whether a connection with `address` for `info_hash` is forbidden for now, whoever dials.
    pub(crate) fn is_barred(&self, info_hash: InfoHash, address: SocketAddr, standing: Standing, now: Instant) -> bool {
        let ip = address.ip();
        let bars = match standing {
            // Whether the network was on our link counted when it was barred.
            Standing::Stranger => {
                [Barred::Stranger(Network::Address(ip)), Barred::Stranger(Network::of(ip, |_| false))]
            }
            Standing::Familiar => [Barred::Familiar(address); 2],
        };
        bars.iter().any(|barred| self.bars.get(&(info_hash, *barred)).is_some_and(|until| now < *until))
    }

    /// Counts a failed dial.
    pub(crate) fn handle_failure(&mut self, info_hash: InfoHash, address: SocketAddr, origin: Origin, now: Instant) {
        let attempts = self.failures.get(&(info_hash, address)).map_or(1, |failure| failure.attempts.saturating_add(1));
        let longest = match origin {
            Origin::Configured | Origin::Lan => LONGEST_FAMILIAR_WAIT,
            Origin::Dht | Origin::Tracker | Origin::Pex => LONGEST_WAIT,
        };
        let wait = FIRST_WAIT.saturating_mul(1 << (attempts - 1).min(20)).min(longest);
        self.failures.insert((info_hash, address), Failure { attempts, until: now + wait });
        if self.failures.len() > MAX_ENTRIES {
            // The wait of the first to be forgotten is nearly over anyway.
            let first = self.failures.iter().min_by_key(|(_, failure)| failure.until).map(|(key, _)| *key);
            first.and_then(|key| self.failures.remove(&key));
        }
    }

    /// Forgets the failures of an address that answered.
    pub(crate) fn handle_success(&mut self, info_hash: InfoHash, address: SocketAddr) {
        self.failures.remove(&(info_hash, address));
    }

    /// Forbids connections for `info_hash` until `until`.
    pub(crate) fn bar(&mut self, info_hash: InfoHash, barred: Barred, until: Instant) {
        self.bars.insert((info_hash, barred), until);
        if self.bars.len() > MAX_ENTRIES {
            let first = self.bars.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key);
            first.and_then(|key| self.bars.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7)), 6881);

    fn hash() -> InfoHash {
        InfoHash::of(b"a swarm")
    }

    /// How long the address is left alone after each of some failures in a row.
    fn waits(origin: Origin) -> Vec<u64> {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let clear = |backoff: &Backoff, seconds| {
            backoff.is_clear(hash(), PEER, Standing::Stranger, start + Duration::from_secs(seconds))
        };
        let wait = |_| {
            backoff.handle_failure(hash(), PEER, origin, start);
            (0..=1_000).find(|seconds| clear(&backoff, *seconds)).expect("every wait ends")
        };
        (0..12).map(wait).collect()
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_ten_minutes() {
        assert_eq!(waits(Origin::Dht), [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
        assert_eq!(waits(Origin::Configured), [2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30, 30]);
    }

    #[test]
    fn an_answer_clears_the_failures_and_another_swarm_never_had_them() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.handle_failure(hash(), PEER, Origin::Pex, now);
        assert!(!backoff.is_clear(hash(), PEER, Standing::Stranger, now));
        assert!(backoff.is_clear(InfoHash::of(b"another"), PEER, Standing::Stranger, now));
        backoff.handle_success(hash(), PEER);
        assert!(backoff.is_clear(hash(), PEER, Standing::Stranger, now));
    }

    #[test]
    fn a_stranger_is_barred_with_all_his_ports_and_a_familiar_address_with_one() {
        let now = Instant::now();
        let until = now + Duration::from_mins(1);
        let other_port = SocketAddr::new(PEER.ip(), 50_000);
        let stranger = Barred::Stranger(Network::Address(PEER.ip()));
        for (standing, barred) in [(Standing::Stranger, stranger), (Standing::Familiar, Barred::Familiar(PEER))] {
            let mut backoff = Backoff::default();
            backoff.bar(hash(), barred, until);
            assert!(backoff.is_barred(hash(), PEER, standing, now));
            assert_eq!(backoff.is_barred(hash(), other_port, standing, now), standing == Standing::Stranger);
            assert!(!backoff.is_barred(hash(), PEER, standing, until));
        }
    }

    #[test]
    fn a_stranger_is_barred_with_his_whole_ipv6_network_and_a_neighbour_alone() {
        let now = Instant::now();
        let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        let (peer, other) = (address("[2001:db8::1]:1"), address("[2001:db8::2]:2"));
        for is_on_link in [false, true] {
            let mut backoff = Backoff::default();
            let barred = Barred::Stranger(Network::of(peer.ip(), |_| is_on_link));
            backoff.bar(hash(), barred, now + Duration::from_mins(1));
            assert!(backoff.is_barred(hash(), peer, Standing::Stranger, now));
            assert_eq!(backoff.is_barred(hash(), other, Standing::Stranger, now), !is_on_link);
            assert!(!backoff.is_barred(hash(), address("[2001:db8:0:1::1]:1"), Standing::Stranger, now));
        }
    }

    #[test]
    fn the_table_stays_small() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for port in 1..=5_000 {
            let address = SocketAddr::new(PEER.ip(), port);
            backoff.handle_failure(hash(), address, Origin::Dht, now + Duration::from_millis(port.into()));
            backoff.bar(hash(), Barred::Familiar(address), now + Duration::from_millis(port.into()));
        }
        assert_eq!((backoff.failures.len(), backoff.bars.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert!(!backoff.is_clear(hash(), SocketAddr::new(PEER.ip(), 5_000), Standing::Stranger, now));
    }
}
