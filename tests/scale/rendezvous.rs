//! The nodes of the DHT that are nearest to a club's key, as far as they remember who announced.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::index;

/// Whom an announce by `mainline` tells, and a look-up asks: its k.
pub(crate) const NODES: usize = 20;
/// How long a node remembers an announce.
pub(crate) const REMEMBERED: Duration = Duration::from_mins(30);
/// Announcers that a node keeps of one key: the default of `mainline` (`MAX_PEERS`) and of libtorrent (`dht_max_peers`).
pub(crate) const KEPT: usize = 500;
/// Announcers in one answer: as `mainline` does. libtorrent tells 100.
const TOLD: usize = 10;
/// Datagrams that are lost, or meet a node that has just gone.
const LOSS: f64 = 0.1;

/// Where a daemon can be dialled, for as long as it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) member: usize,
    /// Which daemon of those that have had this place in the club, one after the other.
    pub(crate) life: u32,
}

/// All that these nodes remember of one key.
pub(crate) struct Rendezvous {
    /// For each node, the latest last: who, and until when.
    nodes: Vec<VecDeque<(Address, Duration)>>,
}

impl Rendezvous {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![VecDeque::new(); NODES] }
    }

    pub(crate) fn announce(&mut self, address: Address, now: Duration, rng: &mut SmallRng) {
        for node in &mut self.nodes {
            if rng.random_bool(1.0 - LOSS) {
                node.push_back((address, now + REMEMBERED));
                while node.len() > KEPT {
                    node.pop_front();
                }
            }
        }
    }

    /// What each node answers: some of those that it remembers, at random.
    pub(crate) fn look_up(&mut self, now: Duration, rng: &mut SmallRng) -> Vec<Vec<Address>> {
        let mut answers = Vec::new();
        for node in &mut self.nodes {
            while node.front().is_some_and(|(_, until)| *until <= now) {
                node.pop_front();
            }
            if rng.random_bool(1.0 - LOSS) {
                let told = index::sample(rng, node.len(), node.len().min(TOLD));
                answers.push(told.into_iter().map(|place| node[place].0).collect());
            }
        }
        answers
    }
}
