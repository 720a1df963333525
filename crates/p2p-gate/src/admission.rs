//! How many connections there may be: in all, of one address, for one info hash, and before the handshake.
//!
//! A stranger who opens connections and says nothing costs a bounded amount: whoever calls when the waiting room is full
//! takes the place of the one who has waited longest there, so silent callers can't keep out one who speaks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use p2p_package::InfoHash;

use crate::doorman::{Destination, Direction};
use crate::filter::Reach;
use crate::network::Network;
use crate::tally::Tally;
use crate::transport::Transport;

/// How many connections of each kind may exist at a time. [`Limits::default`] gives the reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections after the handshake, in all. A quarter is kept for callers, and one for peers that we call.
    pub connections: usize,
    /// Connections after the handshake with one address; those of an IPv6 /64 that we are not on are one.
    pub per_address: usize,
    /// The same for loopback and for addresses that the user configured.
    pub per_familiar_address: usize,
    /// The part of them that may be the engine's, with the same quarters.
    pub spliced: usize,
    /// Connections after the handshake for one info hash of the engine's, with the same quarters.
    pub per_info_hash: usize,
    /// The same for an info hash that is served [here](crate::Destination::Here).
    pub per_served_info_hash: usize,
    /// Callers whose handshake has not arrived, for each of TCP and uTP.
    pub half_open: usize,
    /// Callers from one address whose handshake has not arrived, for each of TCP and uTP.
    pub half_open_per_address: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Dials in progress, from the first packet to the handshake.
    pub dials: usize,
    /// Addresses that wait to be dialled, for one info hash.
    pub queued_per_info_hash: usize,
    /// How long a connection may take to establish, the handshake not included.
    pub dial_timeout: Duration,
    /// How long a connection with an engine's torrent may stay without any byte in either direction.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    /// What suits a desktop: a spliced connection has two buffers of 32 KiB, so 500 of them take 32 MiB at most, and two
    /// file descriptors; a served one has what the seeder documents, and one. All of them need 1,500 file descriptors:
    /// the daemon raises its soft limit at the start.
    fn default() -> Self {
        Self {
            connections: 1_000,
            spliced: 500,
            // A home or an office behind one address; more is somebody who wants all the slots.
            per_address: 8,
            // Many daemons on one host are a test bench or a container host.
            per_familiar_address: 64,
            // libtorrent's own default is 50 to 60 for one torrent; a club with more neighbours learns nothing new.
            per_info_hash: 60,
            // A new kernel or browser on the day it appears; callers get 225 of them at most.
            per_served_info_hash: 300,
            // Half a thousand peers may call in the same moment; each costs a task of a kilobyte until it is heard.
            half_open: 256,
            half_open_per_address: 4,
            // Three lost SYN retransmissions would fit; an honest peer speaks at once.
            handshake_timeout: Duration::from_secs(5),
            // Home routers' connection tables suffer from more half-open flows (anchors.md, T7).
            dials: 32,
            queued_per_info_hash: 100,
            dial_timeout: Duration::from_secs(8),
            // BEP 3 peers send a keep-alive every two minutes.
            idle_timeout: Duration::from_secs(150),
        }
    }
}

/// Why a connection is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CrowdFault {
    /// The limit for all connections is reached.
    #[error("there are too many connections")]
    Total,
    /// The limit for the engine's connections is reached.
    #[error("the engine has too many connections")]
    Spliced,
    /// The limit for one address is reached.
    #[error("there are too many connections with this address")]
    Address,
    /// The limit for one info hash is reached.
    #[error("there are too many connections for this info hash")]
    InfoHash,
}

/// Whether an address gets the few connections of a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Stranger,
    /// Loopback or configured.
    Familiar,
}

impl Standing {
    pub(crate) fn of(address: IpAddr, is_configured: bool) -> Self {
        if is_configured || Reach::of(address) == Reach::Loopback { Self::Familiar } else { Self::Stranger }
    }
}

/// Who speaks with a peer, and so what its connection costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Engine,
    Here,
}

impl Speaker {
    /// Whoever may speak soon is the engine: what is sought is not in the catalog.
    pub(crate) fn of(destination: Destination) -> Self {
        match destination {
            Destination::Here => Self::Here,
            Destination::Engine { .. } | Destination::Soon | Destination::Nowhere => Self::Engine,
        }
    }
}

/// What is counted of a connection after its handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Party {
    pub(crate) info_hash: InfoHash,
    pub(crate) network: Network,
    pub(crate) speaker: Speaker,
    pub(crate) direction: Direction,
}

/// One caller whose handshake has not arrived; numbers grow with time.
pub(crate) type WaitingId = u64;

/// Counts connections and says whether one more fits.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    waiting: BTreeMap<WaitingId, (Transport, Network)>,
    next: WaitingId,
    open: Tally,
    by_network: BTreeMap<Network, usize>,
    spliced: Tally,
    by_info_hash: BTreeMap<InfoHash, Tally>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        let (open, spliced) = (Tally::default(), Tally::default());
        let (by_network, by_info_hash) = (BTreeMap::new(), BTreeMap::new());
        Self { limits, waiting: BTreeMap::new(), next: 0, open, by_network, spliced, by_info_hash }
    }

    /// Gives a caller a place in the waiting room, and names the one who has to leave it for him.
    ///
    /// TCP and uTP have a room each, because a uTP caller's address may be forged: it is believed before any round trip.
    pub(crate) fn handle_caller(
        &mut self,
        network: Network,
        transport: Transport,
        standing: Standing,
    ) -> (WaitingId, Option<WaitingId>) {
        let of_address = match standing {
            Standing::Stranger => self.limits.half_open_per_address,
            Standing::Familiar => self.limits.half_open,
        };
        let leaves = if self.waiting_from(network, transport).count() >= of_address {
            self.waiting_from(network, transport).next()
        } else if self.waiting.values().filter(|(other, _)| *other == transport).count() >= self.limits.half_open {
            self.waiting_from(self.busiest(transport), transport).next()
        } else {
            None
        };
        if let Some(leaves) = leaves {
            self.waiting.remove(&leaves);
        }
        let id = self.next;
        self.next += 1;
        self.waiting.insert(id, (transport, network));
        (id, leaves)
    }

    /// Frees the place of a caller who has spoken, or left. False: he was told to leave already.
    pub(crate) fn handle_caller_gone(&mut self, id: WaitingId) -> bool {
        self.waiting.remove(&id).is_some()
    }

    /// Counts a connection whose handshake is done, where it fits.
    pub(crate) fn handle_open(&mut self, party: Party, standing: Standing) -> Result<(), CrowdFault> {
        let Party { info_hash, network, speaker, direction } = party;
        let of_address = match standing {
            Standing::Stranger => self.limits.per_address,
            Standing::Familiar => self.limits.per_familiar_address,
        };
        if self.by_network.get(&network).is_some_and(|count| *count >= of_address) {
            return Err(CrowdFault::Address);
        }
        // Before the total: a place of the same info hash is one of all, too.
        if !self.of_info_hash(&info_hash).has_room(self.per_info_hash(speaker), direction) {
            return Err(CrowdFault::InfoHash);
        }
        if !self.open.has_room(self.limits.connections, direction) {
            return Err(CrowdFault::Total);
        }
        if speaker == Speaker::Engine && !self.spliced.has_room(self.limits.spliced, direction) {
            return Err(CrowdFault::Spliced);
        }
        self.count(party);
        Ok(())
    }

    fn count(&mut self, party: Party) {
        self.open.add(party.direction);
        if party.speaker == Speaker::Engine {
            self.spliced.add(party.direction);
        }
        *self.by_network.entry(party.network).or_default() += 1;
        self.by_info_hash.entry(party.info_hash).or_default().add(party.direction);
    }

    /// As [`Self::handle_open`], where another connection ends for this one.
    pub(crate) fn handle_open_instead(
        &mut self,
        other: Party,
        party: Party,
        standing: Standing,
    ) -> Result<(), CrowdFault> {
        self.handle_closed(other);
        let opened = self.handle_open(party, standing);
        if opened.is_err() {
            // The other one stays.
            self.count(other);
        }
        opened
    }

    /// Takes back what [`Self::handle_open`] counted.
    pub(crate) fn handle_closed(&mut self, party: Party) {
        self.open.subtract(party.direction);
        if party.speaker == Speaker::Engine {
            self.spliced.subtract(party.direction);
        }
        if let Entry::Occupied(mut count) = self.by_network.entry(party.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if let Entry::Occupied(mut tally) = self.by_info_hash.entry(party.info_hash) {
            tally.get_mut().subtract(party.direction);
            if tally.get().total() == 0 {
                tally.remove();
            }
        }
    }

    /// Whether a peer that we call for `info_hash` may fit, as far as its address and who speaks for it allow.
    pub(crate) fn has_room_for(&self, info_hash: &InfoHash, speaker: Speaker) -> bool {
        let fits = |tally: Tally, limit| tally.has_room(limit, Direction::Outgoing);
        fits(self.open, self.limits.connections)
            && fits(self.of_info_hash(info_hash), self.per_info_hash(speaker))
            && (speaker == Speaker::Here || fits(self.spliced, self.limits.spliced))
    }

    fn per_info_hash(&self, speaker: Speaker) -> usize {
        match speaker {
            Speaker::Engine => self.limits.per_info_hash,
            Speaker::Here => self.limits.per_served_info_hash,
        }
    }

    fn of_info_hash(&self, info_hash: &InfoHash) -> Tally {
        self.by_info_hash.get(info_hash).copied().unwrap_or_default()
    }

    /// Connections after the handshake.
    pub(crate) fn open(&self) -> usize {
        self.open.total()
    }

    /// Callers whose handshake has not arrived.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The callers from one address, the longest waiting first.
    fn waiting_from(&self, network: Network, transport: Transport) -> impl Iterator<Item = WaitingId> + '_ {
        self.waiting.iter().filter(move |(_, caller)| **caller == (transport, network)).map(|(id, _)| *id)
    }

    /// The address with the most callers waiting; among equals the one who has waited longest.
    fn busiest(&self, transport: Transport) -> Network {
        let mut counts: BTreeMap<Network, (usize, std::cmp::Reverse<WaitingId>)> = BTreeMap::new();
        for (id, (_, network)) in self.waiting.iter().filter(|(_, (other, _))| *other == transport) {
            counts.entry(*network).or_insert((0, std::cmp::Reverse(*id))).0 += 1;
        }
        let busiest = counts.into_iter().max_by_key(|(_, rank)| *rank);
        busiest.expect("the room is full, so somebody waits in it").0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> Network {
        Network::Address([203, 0, 113, last].into())
    }

    fn hash(text: &str) -> InfoHash {
        InfoHash::of(text.as_bytes())
    }

    fn party(name: &str, last: u8) -> Party {
        let (info_hash, network) = (hash(name), network(last));
        Party { info_hash, network, speaker: Speaker::Engine, direction: Direction::Outgoing }
    }

    fn small() -> Admission {
        let limits =
            Limits { connections: 8, per_address: 2, per_familiar_address: 4, per_info_hash: 3, ..Limits::default() };
        Admission::new(Limits { half_open: 5, half_open_per_address: 2, ..limits })
    }

    #[test]
    fn a_caller_beyond_his_addresss_share_takes_his_own_oldest_place() {
        let mut admission = small();
        let call = |admission: &mut Admission, last| {
            admission.handle_caller(network(last), Transport::Tcp, Standing::Stranger)
        };
        let (first, _) = call(&mut admission, 1);
        let (other, none) = call(&mut admission, 2);
        assert_eq!(none, None);
        call(&mut admission, 1);
        let (_, leaves) = call(&mut admission, 1);
        assert_eq!(leaves, Some(first));
        assert!(!admission.handle_caller_gone(first));
        assert!(admission.handle_caller_gone(other));
        assert_eq!(admission.waiting(), 2);
    }

    #[test]
    fn in_a_full_room_the_busiest_address_gives_way_and_the_other_transport_does_not() {
        let mut admission = small();
        let call = |admission: &mut Admission, last, transport| {
            admission.handle_caller(network(last), transport, Standing::Stranger)
        };
        call(&mut admission, 1, Transport::Tcp);
        let (crowding, _) = call(&mut admission, 2, Transport::Tcp);
        call(&mut admission, 2, Transport::Tcp);
        call(&mut admission, 3, Transport::Tcp);
        call(&mut admission, 4, Transport::Tcp);
        assert_eq!(call(&mut admission, 5, Transport::Utp).1, None);
        assert_eq!(call(&mut admission, 6, Transport::Tcp).1, Some(crowding));
        assert_eq!(admission.waiting(), 6);
    }

    #[test]
    fn each_limit_holds_and_a_closed_connection_makes_room() {
        let mut admission = small();
        let open = |admission: &mut Admission, name, last, standing| admission.handle_open(party(name, last), standing);
        assert_eq!(open(&mut admission, "a", 1, Standing::Stranger), Ok(()));
        assert_eq!(open(&mut admission, "a", 1, Standing::Stranger), Ok(()));
        assert_eq!(open(&mut admission, "b", 1, Standing::Stranger), Err(CrowdFault::Address));
        assert_eq!(open(&mut admission, "b", 1, Standing::Familiar), Ok(()));
        assert_eq!(open(&mut admission, "a", 2, Standing::Stranger), Ok(()));
        assert_eq!(open(&mut admission, "a", 3, Standing::Stranger), Err(CrowdFault::InfoHash));
        assert_eq!(open(&mut admission, "b", 2, Standing::Stranger), Ok(()));
        assert_eq!(open(&mut admission, "c", 3, Standing::Stranger), Ok(()));
        assert_eq!(open(&mut admission, "c", 4, Standing::Stranger), Err(CrowdFault::Total));
        admission.handle_closed(party("a", 1));
        assert_eq!(open(&mut admission, "a", 4, Standing::Stranger), Ok(()));
        assert_eq!(admission.open(), 6);
    }

    #[test]
    fn callers_leave_a_quarter_of_the_places_to_peers_that_we_call() {
        let mut admission = Admission::new(Limits { connections: 8, per_info_hash: 4, ..Limits::default() });
        let open = |admission: &mut Admission, name, last, direction| {
            admission.handle_open(Party { direction, ..party(name, last) }, Standing::Stranger)
        };
        for last in 0..3 {
            assert_eq!(open(&mut admission, "a", last, Direction::Incoming), Ok(()));
            assert_eq!(open(&mut admission, "b", last, Direction::Incoming), Ok(()));
        }
        assert_eq!(open(&mut admission, "c", 4, Direction::Incoming), Err(CrowdFault::Total));
        assert_eq!(open(&mut admission, "a", 4, Direction::Outgoing), Ok(()));
        for last in 0..2 {
            admission.handle_closed(Party { direction: Direction::Incoming, ..party("b", last) });
        }
        assert_eq!(open(&mut admission, "a", 5, Direction::Incoming), Err(CrowdFault::InfoHash));
        assert_eq!(open(&mut admission, "b", 5, Direction::Incoming), Ok(()));
    }

    #[test]
    fn dials_leave_a_quarter_of_the_places_to_callers_and_a_caller_may_take_a_callers_place() {
        let mut admission = Admission::new(Limits { connections: 8, per_info_hash: 4, ..Limits::default() });
        let caller = |name, last| Party { direction: Direction::Incoming, ..party(name, last) };
        for (name, last) in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)] {
            assert_eq!(admission.handle_open(party(name, last), Standing::Stranger), Ok(()));
        }
        assert!(!admission.has_room_for(&hash("a"), Speaker::Engine));
        assert_eq!(admission.handle_open(party("a", 4), Standing::Stranger), Err(CrowdFault::InfoHash));
        assert_eq!(admission.handle_open(caller("a", 4), Standing::Stranger), Ok(()));
        assert_eq!(admission.handle_open(caller("a", 5), Standing::Stranger), Err(CrowdFault::InfoHash));
        assert_eq!(admission.handle_open_instead(caller("a", 4), caller("a", 5), Standing::Stranger), Ok(()));
        assert_eq!(admission.handle_open(party("c", 6), Standing::Stranger), Ok(()));
        assert!(!admission.has_room_for(&hash("c"), Speaker::Engine));
        assert_eq!(admission.handle_open(party("c", 7), Standing::Stranger), Err(CrowdFault::Total));
        assert_eq!(admission.handle_open(caller("c", 7), Standing::Stranger), Ok(()));
        assert_eq!(admission.handle_open(caller("c", 8), Standing::Stranger), Err(CrowdFault::Total));
        assert_eq!(
            admission.handle_open(caller("a", 8), Standing::Stranger),
            Err(CrowdFault::InfoHash),
            "both are full"
        );
        assert_eq!(admission.handle_open_instead(caller("c", 7), caller("c", 8), Standing::Stranger), Ok(()));
    }

    #[test]
    fn the_engine_leaves_room_for_peers_that_are_served_here() {
        let limits =
            Limits { connections: 5, spliced: 2, per_info_hash: 1, per_served_info_hash: 3, ..Limits::default() };
        let mut admission = Admission::new(limits);
        let open = |admission: &mut Admission, name, last, speaker| {
            let party = Party { speaker, ..party(name, last) };
            admission.handle_open(party, Standing::Stranger)
        };
        assert_eq!(open(&mut admission, "a", 1, Speaker::Engine), Ok(()));
        assert!(!admission.has_room_for(&hash("a"), Speaker::Engine));
        assert_eq!(open(&mut admission, "a", 2, Speaker::Engine), Err(CrowdFault::InfoHash));
        assert_eq!(open(&mut admission, "b", 2, Speaker::Engine), Ok(()));
        assert_eq!(open(&mut admission, "c", 3, Speaker::Engine), Err(CrowdFault::Spliced));
        assert!(!admission.has_room_for(&hash("c"), Speaker::Engine));
        assert_eq!(open(&mut admission, "c", 3, Speaker::Here), Ok(()));
        assert_eq!(open(&mut admission, "c", 4, Speaker::Here), Ok(()));
        assert_eq!(open(&mut admission, "c", 5, Speaker::Here), Err(CrowdFault::Total));
        admission.handle_closed(party("a", 1));
        assert_eq!(open(&mut admission, "c", 5, Speaker::Here), Ok(()));
    }
}
