//! What all connections and the handle have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use p2p_package::{InfoHash, Sha256};
use p2p_wire::{DatabaseClaim, Pointer, Refusal};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::calls::Calls;
use crate::circle::{Circle, CircleOptions, Direction, Left, Origin, Stay};
use crate::neighbours::{Dial, NeighbourOptions};
use crate::presence::{Door, Neighbour, NeighbourId, Presence, Rank};
use crate::quota::Quota;
use crate::shelf::{Asker, Shelf, Traffic};

/// Clubs of addresses that are remembered: more than the circle knows addresses.
const MAX_MET: usize = 4096;
/// Announcements of arrivals that a slow listener may miss.
const ARRIVALS: usize = 1024;
/// As many as there may be neighbours.
const NEWCOMERS: usize = 64;

/// How a connection came about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) dialled_by_us: bool,
    pub(crate) traffic: Traffic,
}

/// Whether somebody who has greeted is a neighbour now.
#[derive(Debug)]
pub(crate) enum Entry {
    Entered(Neighbour),
    /// There is a better connection with the same daemon.
    Outranked,
    /// There is no place; these may have one.
    Full(Vec<SocketAddr>),
}

pub(crate) struct Shared {
    pub(crate) options: NeighbourOptions,
    pub(crate) shelf: Arc<dyn Shelf>,
    book: Mutex<Book>,
    /// The circle may want to dial.
    pub(crate) changed: Notify,
    pub(crate) arrivals: broadcast::Sender<(NeighbourId, Sha256)>,
    pub(crate) newcomers: broadcast::Sender<NeighbourId>,
    pub(crate) calls: Calls,
}

#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) circle: Circle,
    pub(crate) presence: Presence,
    quota: Quota,
    pub(crate) clubs: Vec<InfoHash>,
    /// In which club an address was heard of; others are tried in all, one after the other.
    met_in: BTreeMap<SocketAddr, InfoHash>,
    turn: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Neighbours({} present)", self.lock().presence.count())
    }
}

impl Shared {
    /// Nobody is here yet.
    pub(crate) fn new(options: NeighbourOptions, shelf: Arc<dyn Shelf>) -> Self {
        let circle = Circle::new(CircleOptions { seed: options.seed, ..CircleOptions::default() });
        let book = Book {
            circle,
            presence: Presence::default(),
            quota: Quota::default(),
            clubs: Vec::new(),
            met_in: BTreeMap::new(),
            turn: 0,
        };
        let ((arrivals, _), (newcomers, _)) = (broadcast::channel(ARRIVALS), broadcast::channel(NEWCOMERS));
        let (book, changed) = (Mutex::new(book), Notify::new());
        Self { options, shelf, book, changed, arrivals, newcomers, calls: Calls::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hear(&self, address: SocketAddr, origin: Origin, asker: Asker, club: Option<InfoHash>) {
        let mut book = self.lock();
        book.circle.handle_heard(address, origin, asker == Asker::Local, Instant::now().into_std());
        if let Some(club) = club {
            if book.met_in.len() >= MAX_MET {
                let Book { met_in, circle, .. } = &mut *book;
                met_in.retain(|address, _| circle.origin(address).is_some());
            }
            if book.met_in.len() < MAX_MET {
                book.met_in.insert(address, club);
            }
        }
        drop(book);
        self.changed.notify_one();
    }

    /// Neighbours' neighbours. Only the gate knows how near they are; here they count as far.
    pub(crate) fn hear_of(&self, addresses: &[SocketAddr], club: InfoHash) {
        for address in addresses {
            self.hear(*address, Origin::Neighbour, Asker::Remote, Some(club));
        }
    }

    pub(crate) fn may_ask(&self, from: IpAddr, asker: Asker, ids: usize, now: std::time::Instant) -> bool {
        self.lock().quota.take(from, asker == Asker::Local, ids, now)
    }

    /// What they are told about a club's repository.
    pub(crate) fn recent(&self, club: InfoHash, asker: Asker) -> Result<(Vec<DatabaseClaim>, Vec<Pointer>), Refusal> {
        let is_ours = self.lock().clubs.contains(&club);
        if is_ours { Ok(self.shelf.recent(club, asker)) } else { Err(Refusal::NotHere) }
    }

    pub(crate) fn note_denied(&self, id: NeighbourId, denied: impl Iterator<Item = Sha256>) {
        self.lock().presence.note_denied(id, denied, Instant::now());
    }

    pub(crate) fn note_arrived(&self, from: NeighbourId, ids: &[Sha256]) {
        for id in ids {
            // Nobody listens where nobody waits.
            let _ = self.arrivals.send((from, *id));
        }
    }

    pub(crate) fn note_round_trip(&self, id: NeighbourId, round_trip: Option<Duration>) {
        self.lock().presence.note_round_trip(id, round_trip);
    }

    /// The greetings are over: a place for the neighbour, if there is one.
    pub(crate) fn enter(&self, neighbour: Neighbour, met: Met, door: Door) -> Entry {
        let mut book = self.lock();
        let (address, is_local) = (neighbour.address, neighbour.asker == Asker::Local);
        let now = Instant::now().into_std();
        let direction = if met.dialled_by_us { Direction::Outgoing } else { Direction::Incoming };
        let dialled_by_the_smaller = met.dialled_by_us == (self.options.peer_id < neighbour.peer_id);
        let by_ipv6 = address.ip().to_canonical().is_ipv6();
        let rank = Rank { dialled_by_the_smaller, club: neighbour.club, by_ipv6 };
        if book.presence.is_outranked(&neighbour, rank) {
            // A dial has ended; the place of the connection that stays is not given up.
            book.circle.handle_failed(address, now);
            return Entry::Outranked;
        }
        if !met.dialled_by_us {
            // Where it listens, by its own word.
            let origin = if is_local { Origin::Lan } else { Origin::Neighbour };
            book.circle.handle_heard(address, origin, is_local, now);
        }
        match book.circle.handle_connected(address, direction, is_local, now) {
            Stay::Yes => {}
            Stay::InsteadOf(other) => book.presence.turn_out(&other),
            Stay::No => return Entry::Full(book.presence.others_for(&neighbour)),
        }
        let origin = book.circle.origin(&address);
        let (neighbour, replaced) = book.presence.enter(Neighbour { origin, ..neighbour }, rank, door);
        for gone in replaced {
            if !book.presence.is_at(&gone) {
                book.circle.handle_left(gone, Left::Broken, now);
            }
        }
        drop(book);
        self.changed.notify_one();
        // Nobody listens where nobody waits.
        let _ = self.newcomers.send(neighbour.id);
        Entry::Entered(neighbour)
    }

    /// A connection has ended, or will: who spoke is not here any more.
    pub(crate) fn leave(&self, id: NeighbourId, address: SocketAddr, why: Left) {
        let mut book = self.lock();
        if book.presence.leave(id) && !book.presence.is_at(&address) {
            book.circle.handle_left(address, why, Instant::now().into_std());
        }
        drop(book);
        self.changed.notify_one();
    }

    /// We have dialled an address, and it has led to nobody who is here.
    pub(crate) fn fail(&self, address: SocketAddr, why: Left) {
        let mut book = self.lock();
        match why {
            Left::Broken => book.circle.handle_failed(address, Instant::now().into_std()),
            Left::Useless | Left::Fault => book.circle.handle_left(address, why, Instant::now().into_std()),
        }
        drop(book);
        self.changed.notify_one();
    }
}

impl Book {
    pub(crate) fn next_dial(&mut self, now: Instant) -> Option<Dial> {
        // Without a club there is nothing to say.
        if self.clubs.is_empty() {
            return None;
        }
        let address = self.circle.poll_dial(now.into_std())?;
        let club = self.club_of(&address)?;
        Some(Dial { club, address, origin: self.circle.origin(&address)? })
    }

    /// In which club to try an address: the one that it was heard of in, else one after the other.
    fn club_of(&mut self, address: &SocketAddr) -> Option<InfoHash> {
        if let Some(club) = self.met_in.get(address).filter(|club| self.clubs.contains(club)) {
            return Some(*club);
        }
        self.turn = self.turn.wrapping_add(1);
        let at = self.turn.checked_rem(self.clubs.len())?;
        Some(self.clubs[at])
    }
}
