//! The addresses that wait to be dialled: bounded, without duplicates, each info hash in its turn.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use p2p_package::InfoHash;

use crate::filter::Origin;

/// Info hashes that may have addresses waiting: more than are ever fetched at a time.
const MAX_INFO_HASHES: usize = 256;

/// An address to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dial {
    pub(crate) info_hash: InfoHash,
    pub(crate) address: SocketAddr,
    pub(crate) origin: Origin,
}

/// What became of an address that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Added,
    Duplicate,
    Full,
}

/// Addresses to dial, by info hash.
#[derive(Debug)]
pub(crate) struct DialQueue {
    per_info_hash: usize,
    waiting: BTreeMap<InfoHash, VecDeque<Dial>>,
    served: Option<InfoHash>,
}

impl DialQueue {
    pub(crate) fn new(per_info_hash: usize) -> Self {
        Self { per_info_hash, waiting: BTreeMap::new(), served: None }
    }

    /// Puts an address at the end of its info hash's line; configured and local ones go to the head.
    pub(crate) fn push(&mut self, dial: Dial) -> Queued {
        if self.waiting.len() >= MAX_INFO_HASHES && !self.waiting.contains_key(&dial.info_hash) {
            return Queued::Full;
        }
        let line = self.waiting.entry(dial.info_hash).or_default();
        if line.iter().any(|other| other.address == dial.address) {
            return Queued::Duplicate;
        }
        match dial.origin {
            Origin::Configured | Origin::Lan => {
                line.push_front(dial);
                line.truncate(self.per_info_hash);
            }
            Origin::Dht | Origin::Tracker | Origin::Pex if line.len() >= self.per_info_hash => return Queued::Full,
            Origin::Dht | Origin::Tracker | Origin::Pex => line.push_back(dial),
        }
        Queued::Added
    }

    /// The next address to dial, of the info hashes that have room, each in its turn.
    pub(crate) fn pop(&mut self, has_room: impl Fn(&InfoHash) -> bool) -> Option<Dial> {
        let later = self.waiting.keys().filter(|hash| self.served.is_none_or(|served| **hash > served));
        let next = later.chain(self.waiting.keys()).find(|hash| has_room(hash)).copied()?;
        let line = self.waiting.get_mut(&next)?;
        let dial = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&next);
        }
        self.served = Some(next);
        dial
    }

    /// Forgets all addresses of an info hash.
    pub(crate) fn clear(&mut self, info_hash: &InfoHash) {
        self.waiting.remove(info_hash);
    }

    /// Forgets one address of an info hash.
    pub(crate) fn remove(&mut self, info_hash: &InfoHash, address: SocketAddr) {
        if let Some(line) = self.waiting.get_mut(info_hash) {
            line.retain(|dial| dial.address != address);
            if line.is_empty() {
                self.waiting.remove(info_hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(name: &str, port: u16, origin: Origin) -> Dial {
        Dial { info_hash: InfoHash::of(name.as_bytes()), address: ([203, 0, 113, 1], port).into(), origin }
    }

    fn ports(queue: &mut DialQueue, has_room: impl Fn(&InfoHash) -> bool) -> Vec<u16> {
        std::iter::from_fn(|| queue.pop(&has_room)).map(|dial| dial.address.port()).collect()
    }

    #[test]
    fn info_hashes_take_turns() {
        let mut queue = DialQueue::new(10);
        for (name, port) in [("a", 1), ("a", 2), ("a", 3), ("b", 11), ("b", 12)] {
            assert_eq!(queue.push(dial(name, port, Origin::Dht)), Queued::Added);
        }
        let popped = ports(&mut queue, |_| true);
        let a_first = popped[0] == 1;
        assert_eq!(popped, if a_first { [1, 11, 2, 12, 3] } else { [11, 1, 12, 2, 3] });
    }

    #[test]
    fn an_info_hash_without_room_is_passed_over_and_keeps_its_line() {
        let mut queue = DialQueue::new(10);
        queue.push(dial("a", 1, Origin::Dht));
        queue.push(dial("b", 2, Origin::Dht));
        let b = InfoHash::of(b"b");
        assert_eq!(ports(&mut queue, |hash| *hash == b), [2]);
        assert_eq!(ports(&mut queue, |_| true), [1]);
    }

    #[test]
    fn a_full_line_takes_only_configured_and_local_addresses_and_those_come_first() {
        let mut queue = DialQueue::new(2);
        queue.push(dial("a", 1, Origin::Dht));
        assert_eq!(queue.push(dial("a", 1, Origin::Pex)), Queued::Duplicate);
        queue.push(dial("a", 2, Origin::Dht));
        assert_eq!(queue.push(dial("a", 3, Origin::Tracker)), Queued::Full);
        assert_eq!(queue.push(dial("a", 4, Origin::Configured)), Queued::Added);
        assert_eq!(ports(&mut queue, |_| true), [4, 1]);
    }

    #[test]
    fn the_number_of_lines_is_bounded_and_a_cleared_one_is_free() {
        let mut queue = DialQueue::new(2);
        for number in 0..MAX_INFO_HASHES {
            assert_eq!(queue.push(dial(&number.to_string(), 1, Origin::Dht)), Queued::Added);
        }
        assert_eq!(queue.push(dial("more", 1, Origin::Dht)), Queued::Full);
        queue.clear(&InfoHash::of(b"0"));
        assert_eq!(queue.push(dial("more", 1, Origin::Dht)), Queued::Added);
        queue.remove(&InfoHash::of(b"more"), ([203, 0, 113, 1], 1).into());
        assert_eq!(queue.push(dial("last", 1, Origin::Dht)), Queued::Added);
    }
}
