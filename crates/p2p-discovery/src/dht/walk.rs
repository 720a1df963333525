//! One announce in the DHT with few packets: towards the hash by a few questions at a time, then to the nearest nodes, unless
//! enough others have announced themselves.
//!
//! `mainline` looks up fast and thoroughly: it asks every node that may be among the 20 nearest at once, and pings it as
//! well. In the public DHT that is 200 packets and more, ten times what an announce needs that nobody waits for.

mod announced;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use p2p_package::InfoHash;
use p2p_wire::is_global;

use self::announced::Samples;
use super::krpc::{Answer, Node, NodeId, Query};

/// Nodes that are told (BEP 5: the closest; Kademlia's k is 8 in all common clients).
const NEAREST: usize = 8;
/// Questions under way at once: as in Kademlia.
const PARALLEL: usize = 3;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Packets that one walk may take; usually it is half of that.
pub(super) const MAX_PACKETS: u32 = 48;
/// Of these, questions at most: the 8 nearest have to be told, too, however many nearer ones liars invent.
const MAX_QUESTIONS: u32 = MAX_PACKETS - 8;
/// Nodes taken from one answer, the nearest: an invented one costs a question.
const MAX_NAMED: usize = 8;
/// Nodes that are considered.
const MAX_CANDIDATES: usize = 200;

/// How far a node is from the hash, and where it is.
type Key = (NodeId, SocketAddrV4);

/// What a walk is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand {
    pub(crate) info_hash: InfoHash,
    /// The port to announce.
    pub(crate) port: u16,
    /// The nearest nodes are told if fewer than this seem to be announced there.
    pub(crate) tell_below: u32,
}

/// One announce.
#[derive(Debug)]
pub(super) struct Walk {
    errand: Errand,
    candidates: BTreeMap<Key, Candidate>,
    under_way: BTreeMap<u32, UnderWay>,
    next_transaction: u32,
    stage: Stage,
    samples: Samples,
    /// Peers that nobody has taken yet.
    found: Vec<SocketAddr>,
    result: WalkResult,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct WalkResult {
    /// Nodes that know us now.
    pub(super) told: u32,
    /// Enough others are announced: nobody was told.
    pub(super) is_unneeded: bool,
    /// Who else is known.
    pub(super) peers: BTreeSet<SocketAddr>,
    /// Nodes that have answered, and who has not.
    pub(super) alive: Vec<Node>,
    pub(super) silent: Vec<SocketAddrV4>,
    /// Packets sent.
    pub(super) packets: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Candidate {
    Fresh,
    Asked,
    Answered { token: Option<Vec<u8>> },
}

#[derive(Debug)]
struct UnderWay {
    key: Key,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    Telling,
    Over,
}

impl Walk {
    /// Begins at nodes of which the id is known, and at others.
    pub(super) fn new(errand: Errand, nodes: &[Node], others: &[SocketAddrV4]) -> Self {
        let mut walk = Self {
            errand,
            candidates: BTreeMap::new(),
            under_way: BTreeMap::new(),
            next_transaction: 0,
            stage: Stage::Asking,
            samples: Samples::default(),
            found: Vec::new(),
            result: WalkResult::default(),
        };
        for node in nodes {
            walk.consider(*node);
        }
        // As if it were as far away as can be: asked when there is nobody better.
        let far = |address: &SocketAddrV4| ((NodeId::from([0xff; 20]), *address), Candidate::Fresh);
        let unknown = others.iter().filter(|other| !walk.candidates.keys().any(|(_, address)| address == *other));
        let unknown: Vec<_> = unknown.map(far).collect();
        walk.candidates.extend(unknown);
        walk
    }

    /// The next datagram to send: to whom, its transaction and what it asks.
    pub(super) fn poll_query(&mut self, now: Instant) -> Option<(SocketAddrV4, u32, Query)> {
        self.give_up_on_the_silent(now);
        if self.result.packets >= MAX_PACKETS || self.under_way.len() >= PARALLEL {
            return None;
        }
        if self.stage == Stage::Asking {
            let mut nearest = self.candidates.iter().take(NEAREST);
            let fresh = nearest.find(|(_, candidate)| **candidate == Candidate::Fresh).map(|(key, _)| *key);
            if let Some(key) = fresh.filter(|_| self.result.packets < MAX_QUESTIONS) {
                self.candidates.insert(key, Candidate::Asked);
                return Some(self.send(key, Query::GetPeers(self.errand.info_hash), now));
            }
            if !self.under_way.is_empty() {
                return None;
            }
            let is_answered = !self.result.alive.is_empty();
            self.result.is_unneeded = is_answered && self.samples.estimate() >= self.errand.tell_below;
            self.stage = if self.result.is_unneeded { Stage::Over } else { Stage::Telling };
        }
        if self.stage == Stage::Telling { self.poll_announce(now) } else { None }
    }

    /// Peers that were not found before.
    pub(super) fn take_found(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.found)
    }

    fn poll_announce(&mut self, now: Instant) -> Option<(SocketAddrV4, u32, Query)> {
        let answered = self.candidates.iter_mut().filter_map(|(key, candidate)| match candidate {
            Candidate::Answered { token } => Some((*key, token)),
            Candidate::Fresh | Candidate::Asked => None,
        });
        let (key, token) = answered.take(NEAREST).find_map(|(key, token)| Some((key, token.take()?)))?;
        let Errand { info_hash, port, .. } = self.errand;
        let query = Query::Announce { info_hash, port, token };
        Some(self.send(key, query, now))
    }

    fn send(&mut self, key: Key, query: Query, now: Instant) -> (SocketAddrV4, u32, Query) {
        let transaction = self.next_transaction;
        self.next_transaction += 1;
        self.under_way.insert(transaction, UnderWay { key, until: now + PATIENCE });
        self.result.packets += 1;
        (key.1, transaction, query)
    }

    /// Somebody has answered, or has said that it cannot.
    pub(super) fn handle_answer(&mut self, from: SocketAddrV4, transaction: u32, answer: Option<Answer>) {
        if self.under_way.get(&transaction).is_none_or(|under_way| under_way.key.1 != from) {
            return;
        }
        let key = self.under_way.remove(&transaction).expect("looked at a moment ago").key;
        let Some(answer) = answer else {
            self.candidates.remove(&key);
            return;
        };
        if self.stage == Stage::Telling {
            self.result.told += 1;
            return;
        }
        let node = Node { id: answer.id, address: from };
        self.result.alive.push(node);
        self.samples.add(&answer.peers);
        let peers = &mut self.result.peers;
        self.found.extend(answer.peers.into_iter().filter(|peer| peers.insert(*peer)));
        self.candidates.remove(&key);
        self.candidates.insert(self.key(node), Candidate::Answered { token: answer.token });
        // A stranger's word leads to strangers only.
        let is_local = !is_global((*from.ip()).into());
        let mut named = answer.nodes;
        named.retain(|node| is_local || is_global((*node.address.ip()).into()));
        named.sort_unstable_by_key(|node| self.key(*node));
        named.into_iter().take(MAX_NAMED).for_each(|node| self.consider(node));
    }

    /// When [`Self::poll_query`] gives somebody up; `None` when the walk has ended.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.values().map(|under_way| under_way.until).min()
    }

    /// What came of it, when nothing is under way any more.
    pub(super) fn end(self) -> WalkResult {
        self.result
    }

    fn give_up_on_the_silent(&mut self, now: Instant) {
        let silent = self.under_way.iter().filter(|(_, under_way)| under_way.until <= now);
        let silent: Vec<(u32, Key)> = silent.map(|(transaction, under_way)| (*transaction, under_way.key)).collect();
        for (transaction, key) in silent {
            self.under_way.remove(&transaction);
            self.candidates.remove(&key);
            self.result.silent.push(key.1);
        }
    }

    /// Takes a node in, unless it was given up or there are nearer ones enough.
    fn consider(&mut self, node: Node) {
        let key = self.key(node);
        let is_same = |other: &SocketAddrV4| is_same_node(*other, node.address);
        let is_known =
            self.candidates.keys().any(|(_, address)| is_same(address)) || self.result.silent.iter().any(is_same);
        if !is_known {
            self.candidates.insert(key, Candidate::Fresh);
            if self.candidates.len() > MAX_CANDIDATES {
                self.candidates.pop_last();
            }
        }
    }

    fn key(&self, node: Node) -> Key {
        (distance(&node.id, self.errand.info_hash.as_bytes()), node.address)
    }
}

/// One host may have as many ids and ports as it likes, but is one node; on our own networks tests and labs have several.
pub(super) fn is_same_node(one: SocketAddrV4, other: SocketAddrV4) -> bool {
    one == other || one.ip() == other.ip() && is_global((*one.ip()).into())
}

/// How far two ids are from each other (BEP 5: by exclusive or).
pub(super) fn distance(one: &NodeId, other: &NodeId) -> NodeId {
    std::array::from_fn(|at| one[at] ^ other[at])
}

#[cfg(test)]
mod tests;
