//! The handle: questions to all neighbours, bytes from one, and who is to be dialled.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{Handshake, Holding, MAX_QUESTION_IDS, PeerId, Role, What, Wishes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::circle::{Circle, CircleOptions, Direction, Left, Origin, Stay};
use crate::connection::{Command, Connection, End, PARTS};
use crate::conversation::{Conversation, ConversationOptions};
use crate::presence::{Door, Neighbour, NeighbourId, Presence, Rank};
use crate::quota::Quota;
use crate::shelf::{Asker, Shelf};

/// Clubs of addresses that are remembered: more than the circle knows addresses.
const MAX_MET: usize = 4096;
/// Announcements of arrivals that a slow listener may miss.
const ARRIVALS: usize = 1024;

/// What holds for all connections.
#[derive(Debug, Clone)]
pub struct NeighbourOptions {
    /// As in every handshake of ours.
    pub peer_id: PeerId,
    /// Where we are called.
    pub listen_port: u16,
    /// Makes back-off differ from daemon to daemon.
    pub seed: u64,
}

/// Somebody who speaks for a club, after the handshakes that have been.
#[derive(Debug)]
pub struct Caller {
    /// What they said.
    pub handshake: Handshake,
    /// From where they called, or where we did.
    pub address: SocketAddr,
    /// How near they are.
    pub asker: Asker,
    /// Whether we dialled: then our handshake has been sent.
    pub dialled_by_us: bool,
}

/// What one neighbour says to a question.
#[derive(Debug)]
pub struct Reply {
    /// Who says so.
    pub neighbour: Neighbour,
    /// What was asked.
    pub ids: Arc<[Sha256]>,
    /// The answers, in that order. A claim.
    pub answers: Vec<Option<Holding>>,
}

/// The replies to one question, as they come.
#[derive(Debug)]
pub struct Replies(mpsc::Receiver<Reply>);

impl Replies {
    /// The next one; none when everybody has answered, or will not.
    pub async fn next(&mut self) -> Option<Reply> {
        self.0.recv().await
    }
}

/// Bytes that one neighbour sends.
#[derive(Debug)]
pub struct Transfer(mpsc::Receiver<Bytes>);

impl Transfer {
    /// The next bytes, in order; none at the end, and where the neighbour sends no more. The reader counts.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

/// How a connection came about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) peer_id: [u8; 20],
    pub(crate) dialled_by_us: bool,
}

/// A dial that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial {
    /// What to say in the handshake.
    pub club: InfoHash,
    /// Where.
    pub address: SocketAddr,
    /// How it was heard of.
    pub origin: Origin,
}

/// The neighbours. Clones share.
#[derive(Debug, Clone)]
pub struct Neighbours(Arc<Shared>);

pub(crate) struct Shared {
    options: NeighbourOptions,
    pub(crate) shelf: Arc<dyn Shelf>,
    book: Mutex<Book>,
    /// The circle may want to dial.
    changed: Notify,
    arrivals: broadcast::Sender<Sha256>,
}

#[derive(Debug)]
struct Book {
    circle: Circle,
    presence: Presence,
    quota: Quota,
    clubs: Vec<InfoHash>,
    /// In which club an address was heard of; others are tried in all, one after the other.
    met_in: BTreeMap<SocketAddr, InfoHash>,
    turn: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Neighbours({} present)", self.lock().presence.count())
    }
}

impl Neighbours {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(options: NeighbourOptions, shelf: Arc<dyn Shelf>) -> Self {
        let circle = Circle::new(CircleOptions { seed: options.seed, ..CircleOptions::default() });
        let book = Book {
            circle,
            presence: Presence::default(),
            quota: Quota::default(),
            clubs: Vec::new(),
            met_in: BTreeMap::new(),
            turn: 0,
        };
        let (arrivals, _) = broadcast::channel(ARRIVALS);
        Self(Arc::new(Shared { options, shelf, book: Mutex::new(book), changed: Notify::new(), arrivals }))
    }
}

impl Neighbours {
    /// The clubs that we are in now: their neighbours may call, and addresses that came without a club are tried in each.
    pub fn join(&self, clubs: Vec<InfoHash>) {
        self.0.lock().clubs = clubs;
        self.0.changed.notify_one();
    }

    /// Whether we are in this club.
    #[must_use]
    pub fn speaks_for(&self, club: &InfoHash) -> bool {
        self.0.lock().clubs.contains(club)
    }

    /// Somebody is, or was, in one of our clubs.
    pub fn hear_of(&self, address: SocketAddr, origin: Origin, asker: Asker, club: Option<InfoHash>) {
        self.0.hear(address, origin, asker, club);
    }

    /// Speaks with one neighbour until either side has enough; dropped to hang up.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, caller: Caller) -> End {
        let Caller { handshake, address, asker, dialled_by_us } = caller;
        let club = handshake.info_hash;
        let peer_id = *handshake.peer_id.as_bytes();
        let role = if dialled_by_us { Role::Introduced(handshake) } else { Role::Answerer(handshake) };
        let options = ConversationOptions {
            peer_id: self.0.options.peer_id,
            listen_port: self.0.options.listen_port,
            your_ip: Some(address.ip()),
        };
        let now = Instant::now();
        let conversation = match Conversation::new(club, role, options, now.into_std()) {
            Ok(conversation) => conversation,
            Err(fault) => {
                if dialled_by_us {
                    self.0.fail(address, Left::Useless);
                }
                return End::Fault(fault);
            }
        };
        let neighbour = Neighbour {
            id: NeighbourId(0),
            address,
            club,
            asker,
            origin: None,
            version: None,
            since: now,
            round_trip: None,
        };
        let met = Met { peer_id, dialled_by_us };
        Connection::new(Arc::clone(&self.0), conversation, neighbour, met).run(stream).await
    }

    /// Asks everybody who is here. Replies come as they are given; the last one is followed by none.
    #[must_use]
    pub fn ask(&self, ids: &[Sha256], wishes: Wishes) -> Replies {
        let book = self.0.lock();
        let questions: Vec<Arc<[Sha256]>> = ids.chunks(MAX_QUESTION_IDS).map(Arc::from).collect();
        let (replies, coming) = mpsc::channel((book.presence.count() * questions.len()).max(1));
        for door in book.presence.doors() {
            for ids in &questions {
                let command = Command::Ask { ids: Arc::clone(ids), wishes, replies: replies.clone() };
                // One with so much to do would answer too late.
                let _ = door.commands.try_send(command);
            }
        }
        Replies(coming)
    }

    /// Has a neighbour send these bytes, at most 4 MiB.
    #[must_use]
    pub fn get(&self, from: NeighbourId, what: What, range: Range<u64>) -> Transfer {
        let (parts, coming) = mpsc::channel(PARTS);
        if let Some(door) = self.0.lock().presence.door(from) {
            // One with so much to do would answer too late.
            let _ = door.commands.try_send(Command::Get { what, range, parts });
        }
        Transfer(coming)
    }

    /// We have these now: those who asked for them hear of it, if they are not farther away than `farthest`.
    pub fn tell_arrived(&self, ids: &[Sha256], farthest: Asker) {
        let ids: Arc<[Sha256]> = Arc::from(ids);
        for door in self.0.lock().presence.doors_within(farthest) {
            let _ = door.commands.try_send(Command::Arrived(Arc::clone(&ids)));
        }
    }

    /// What neighbours say has come to them, from now on.
    #[must_use]
    pub fn arrivals(&self) -> broadcast::Receiver<Sha256> {
        self.0.arrivals.subscribe()
    }

    /// Who is here, the nearest first.
    #[must_use]
    pub fn list(&self) -> Vec<Neighbour> {
        self.0.lock().presence.list()
    }

    /// How many are here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().presence.count()
    }

    /// A neighbour has sent what it should not have: no more of it.
    pub fn turn_away(&self, id: NeighbourId) {
        let address = {
            let book = self.0.lock();
            let Some(door) = book.presence.door(id) else { return };
            door.closing.notify_one();
            book.presence.address(id)
        };
        if let Some(address) = address {
            self.0.leave(id, address, Left::Fault);
        }
    }

    /// Waits until somebody is to be dialled.
    pub async fn next_dial(&self) -> Dial {
        loop {
            let deadline = {
                let mut book = self.0.lock();
                let now = Instant::now();
                match book.next_dial(now) {
                    Some(dial) => return dial,
                    None if book.clubs.is_empty() => None,
                    None => book.circle.poll_timeout().map(Instant::from_std),
                }
            };
            let timeout = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.changed.notified() => {}
                () = timeout => {}
            }
        }
    }

    /// A dial that was due cannot be made.
    pub fn dial_failed(&self, address: SocketAddr) {
        self.0.fail(address, Left::Broken);
    }

    /// The addresses to come back to after a restart.
    #[must_use]
    pub fn to_remember(&self) -> Vec<SocketAddr> {
        self.0.lock().circle.to_remember()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, address: SocketAddr, origin: Origin, asker: Asker, club: Option<InfoHash>) {
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

    pub(crate) fn note_arrived(&self, ids: &[Sha256]) {
        for id in ids {
            // Nobody listens where nobody waits.
            let _ = self.arrivals.send(*id);
        }
    }

    pub(crate) fn note_round_trip(&self, id: NeighbourId, round_trip: Option<Duration>) {
        self.lock().presence.note_round_trip(id, round_trip);
    }

    /// The greetings are over: a place for the neighbour, if there is one.
    pub(crate) fn enter(&self, neighbour: Neighbour, met: Met, door: Door) -> Option<Neighbour> {
        let mut book = self.lock();
        let (address, is_local) = (neighbour.address, neighbour.asker == Asker::Local);
        let ours = *self.options.peer_id.as_bytes();
        let now = Instant::now().into_std();
        let direction = if met.dialled_by_us { Direction::Outgoing } else { Direction::Incoming };
        let dialled_by_the_smaller = met.dialled_by_us == (ours < met.peer_id);
        let rank = Rank { dialled_by_the_smaller, club: neighbour.club };
        if book.presence.is_outranked(&neighbour, &met.peer_id, rank) {
            // A dial has ended; the place of the connection that stays is not given up.
            book.circle.handle_failed(address, now);
            return None;
        }
        if !met.dialled_by_us {
            // Where it listens, by its own word.
            let origin = if is_local { Origin::Lan } else { Origin::Neighbour };
            book.circle.handle_heard(address, origin, is_local, now);
        }
        match book.circle.handle_connected(address, direction, is_local, now) {
            Stay::Yes => {}
            Stay::InsteadOf(other) => book.presence.turn_out(&other),
            Stay::No => return None,
        }
        let origin = book.circle.origin(&address);
        let (neighbour, replaced) = book.presence.enter(Neighbour { origin, ..neighbour }, met.peer_id, rank, door);
        for gone in replaced {
            if !book.presence.is_at(&gone) {
                book.circle.handle_left(gone, Left::Broken, now);
            }
        }
        drop(book);
        self.changed.notify_one();
        Some(neighbour)
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
    fn next_dial(&mut self, now: Instant) -> Option<Dial> {
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
