//! The neighbours that are connected now.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use p2p_package::{InfoHash, Sha256};
use p2p_wire::{MAX_PEX_PEERS, PeerId, is_global};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::circle::Origin;
use crate::connection::Command;
use crate::conversation::Denials;
use crate::shelf::Asker;

/// One connection with a neighbour, in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeighbourId(pub(crate) u64);

/// A neighbour, for people and for who asks.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Which connection.
    pub id: NeighbourId,
    /// What it calls itself, in all of its handshakes. A claim.
    pub peer_id: PeerId,
    /// Where it listens, where it says so; else from where it called.
    pub address: SocketAddr,
    /// The club that it was met in.
    pub club: InfoHash,
    /// How near it is.
    pub asker: Asker,
    /// Who told us of it; none where nobody did: it called.
    pub origin: Option<Origin>,
    /// Its program.
    pub version: Option<String>,
    /// When the greetings were over.
    pub since: Instant,
    /// How long it takes to answer a question, smoothed; none before the first answer.
    pub round_trip: Option<Duration>,
}

/// Those who are here.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    present: BTreeMap<NeighbourId, Present>,
    next: u64,
    /// How many they are.
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct Present {
    neighbour: Neighbour,
    rank: Rank,
    door: Door,
    /// What it asked for in vain, some 48 KiB at most.
    denials: Denials,
}

impl Present {
    /// Anybody can say that he is somebody else: a peer id counts only from the same place.
    fn is_same(&self, neighbour: &Neighbour) -> bool {
        let are_local = self.neighbour.asker == Asker::Local && neighbour.asker == Asker::Local;
        self.neighbour.peer_id == neighbour.peer_id
            && (are_local || self.neighbour.address.ip() == neighbour.address.ip())
    }
}

/// How to reach a connection.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Told when the connection is to end.
    pub(crate) closing: Arc<Notify>,
}

/// Which of two connections with the same daemon stays: both sides have to choose the same one. Lower stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The side with the larger peer id did not dial.
    pub(crate) dialled_by_the_smaller: bool,
    pub(crate) club: InfoHash,
    /// On a local network most daemons are found by both families at once.
    pub(crate) by_ipv6: bool,
}

impl Presence {
    /// Whether a better connection with the same daemon is here. Of two that are equally good the newer one stays: the other
    /// may be dead.
    pub(crate) fn is_outranked(&self, neighbour: &Neighbour, rank: Rank) -> bool {
        self.present.values().any(|present| present.is_same(neighbour) && present.rank < rank)
    }

    /// A neighbour has come; worse connections with the same daemon are told to go. Also their addresses.
    pub(crate) fn enter(&mut self, mut neighbour: Neighbour, rank: Rank, door: Door) -> (Neighbour, Vec<SocketAddr>) {
        let replaced = self.close(|present| present.is_same(&neighbour));
        for present in self.present.values().filter(|present| may_be_told(&neighbour, &present.neighbour)) {
            let _ = present.door.commands.try_send(Command::Came(neighbour.address));
        }
        for present in self.present.values().filter(|present| may_be_told(&present.neighbour, &neighbour)) {
            let _ = door.commands.try_send(Command::Came(present.neighbour.address));
        }
        let id = NeighbourId(self.next);
        self.next += 1;
        neighbour.id = id;
        let present = Present { neighbour: neighbour.clone(), rank, door, denials: Denials::default() };
        self.present.insert(id, present);
        self.count.send_replace(self.present.len());
        (neighbour, replaced)
    }

    /// Somebody else gets this neighbour's place.
    pub(crate) fn turn_out(&mut self, address: &SocketAddr) {
        drop(self.close(|present| present.neighbour.address == *address));
    }

    pub(crate) fn is_at(&self, address: &SocketAddr) -> bool {
        self.present.values().any(|present| present.neighbour.address == *address)
    }

    fn close(&mut self, which: impl Fn(&Present) -> bool) -> Vec<SocketAddr> {
        let closed: Vec<NeighbourId> =
            self.present.iter().filter(|(_, present)| which(present)).map(|(id, _)| *id).collect();
        let addresses = closed.iter().filter_map(|id| self.address(*id)).collect();
        for id in closed {
            if let Some(door) = self.door(id) {
                door.closing.notify_one();
            }
            self.leave(id);
        }
        addresses
    }

    /// Whether the neighbour was still here.
    pub(crate) fn leave(&mut self, id: NeighbourId) -> bool {
        let Some(gone) = self.present.remove(&id) else { return false };
        self.count.send_replace(self.present.len());
        for present in self.present.values().filter(|present| may_be_told(&gone.neighbour, &present.neighbour)) {
            let _ = present.door.commands.try_send(Command::Went(gone.neighbour.address));
        }
        true
    }

    pub(crate) fn address(&self, id: NeighbourId) -> Option<SocketAddr> {
        self.present.get(&id).map(|present| present.neighbour.address)
    }

    pub(crate) fn note_round_trip(&mut self, id: NeighbourId, round_trip: Option<Duration>) {
        if let Some(present) = self.present.get_mut(&id) {
            present.neighbour.round_trip = round_trip.or(present.neighbour.round_trip);
        }
    }

    /// Notes that a neighbour was told that we do not have these, or not yet.
    pub(crate) fn note_denied(&mut self, id: NeighbourId, denied: impl Iterator<Item = Sha256>, now: Instant) {
        if let Some(present) = self.present.get_mut(&id) {
            denied.for_each(|id| present.denials.note(id, now.into_std()));
        }
    }

    /// Who waits for this one.
    pub(crate) fn asked_by(&self, id: &Sha256, now: Instant) -> Vec<(NeighbourId, PeerId, Asker)> {
        let waiting = self.present.values().filter(|present| present.denials.contains(id, now.into_std()));
        waiting.map(|Present { neighbour, .. }| (neighbour.id, neighbour.peer_id, neighbour.asker)).collect()
    }

    /// Whom somebody may be told of who finds no place here: one message full.
    pub(crate) fn others_for(&self, newcomer: &Neighbour) -> Vec<SocketAddr> {
        let others = self.present.values().filter(|present| may_be_told(&present.neighbour, newcomer));
        others.map(|present| present.neighbour.address).take(MAX_PEX_PEERS).collect()
    }

    /// Everybody, the nearest first.
    pub(crate) fn list(&self) -> Vec<Neighbour> {
        let mut all: Vec<Neighbour> = self.present.values().map(|present| present.neighbour.clone()).collect();
        all.sort_by_key(|neighbour| (neighbour.asker == Asker::Remote, neighbour.round_trip));
        all
    }

    pub(crate) fn count(&self) -> usize {
        self.present.len()
    }

    /// The number of those who are here, as it changes.
    pub(crate) fn watch_count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(crate) fn door(&self, id: NeighbourId) -> Option<&Door> {
        self.present.get(&id).map(|present| &present.door)
    }

    pub(crate) fn doors_within(&self, farthest: Asker) -> impl Iterator<Item = &Door> {
        let near_enough =
            move |present: &&Present| farthest == Asker::Remote || present.neighbour.asker == Asker::Local;
        self.present.values().filter(near_enough).map(|present| &present.door)
    }

    pub(crate) fn doors(&self) -> impl Iterator<Item = &Door> {
        self.present.values().map(|present| &present.door)
    }
}

/// Local addresses mean nothing elsewhere, and are nobody's business there. A neighbour that is told late, or not, loses little.
fn may_be_told(of: &Neighbour, to: &Neighbour) -> bool {
    is_global(of.address.ip()) || to.asker == Asker::Local
}
