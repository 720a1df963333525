//! The handle: questions to all neighbours, bytes from one, and who is to be dialled.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use p2p_package::{InfoHash, Sha256};
use p2p_wire::{Handshake, MAX_QUESTION_IDS, PeerId, Role, What, Wishes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::calls::Call;
use crate::circle::{Left, Origin};
use crate::connection::{Command, Connection, End, PARTS};
use crate::conversation::{Conversation, ConversationOptions};
use crate::presence::{Neighbour, NeighbourId};
use crate::replies::{Newcomers, Part, Recents, Replies, Transfer};
use crate::shared::{Met, Shared};
use crate::shelf::{Asker, Shelf, Traffic};

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
    /// Whether the limits on uploads hold for what goes to them.
    pub traffic: Traffic,
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

impl Neighbours {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(options: NeighbourOptions, shelf: Arc<dyn Shelf>) -> Self {
        Self(Arc::new(Shared::new(options, shelf)))
    }

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

    /// Speaks with one neighbour until either side has enough; dropped to hang up. `on_enter` is told when the greetings are
    /// over and the neighbour has a place.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        caller: Caller,
        on_enter: impl FnOnce() + Send,
    ) -> End {
        let Caller { handshake, address, asker, dialled_by_us, traffic } = caller;
        let club = handshake.info_hash;
        let peer_id = handshake.peer_id;
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
            peer_id,
            address,
            club,
            asker,
            origin: None,
            version: None,
            since: now,
            round_trip: None,
        };
        let met = Met { dialled_by_us, traffic };
        Connection::new(Arc::clone(&self.0), conversation, neighbour, met).run(stream, on_enter).await
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

    /// Asks one neighbour.
    #[must_use]
    pub fn ask_one(&self, id: NeighbourId, ids: &[Sha256], wishes: Wishes) -> Replies {
        let questions: Vec<Arc<[Sha256]>> = ids.chunks(MAX_QUESTION_IDS).map(Arc::from).collect();
        let (replies, coming) = mpsc::channel(questions.len().max(1));
        if let Some(door) = self.0.lock().presence.door(id) {
            for ids in questions {
                let _ = door.commands.try_send(Command::Ask { ids, wishes, replies: replies.clone() });
            }
        }
        Replies(coming)
    }

    /// Who becomes a neighbour from now on.
    #[must_use]
    pub fn newcomers(&self) -> Newcomers {
        Newcomers(self.0.newcomers.subscribe())
    }

    /// Asks everybody who is here what they know of a club's repository: a daemon answers for every club that it is in.
    #[must_use]
    pub fn recent(&self, club: InfoHash) -> Recents {
        let book = self.0.lock();
        let (replies, coming) = mpsc::channel(book.presence.count().max(1));
        for door in book.presence.doors() {
            let _ = door.commands.try_send(Command::Recent { club, replies: replies.clone() });
        }
        Recents(coming)
    }

    /// Has a neighbour send these bytes, 4 MiB after 4 MiB.
    ///
    /// Four gets go to one neighbour at a time, 64 more wait until it is their turn, and one that it calls too much is asked
    /// again for two seconds. What is beyond ends at once, as if the neighbour sent nothing; so it is where a large question
    /// has left no room for it a moment before.
    #[must_use]
    pub fn get(&self, from: NeighbourId, what: What, range: Range<u64>) -> Transfer {
        Transfer::new(self.clone(), from, what, range)
    }

    /// Has a neighbour send the first `length` bytes of a file, as [`Self::get`] does.
    #[must_use]
    pub fn get_file(&self, from: NeighbourId, what: What, length: u64) -> Transfer {
        Transfer::new(self.clone(), from, what, 0..length)
    }

    pub(crate) fn get_part(&self, from: NeighbourId, what: What, range: Range<u64>) -> mpsc::Receiver<Part> {
        let (parts, coming) = mpsc::channel(PARTS);
        if let Some(door) = self.0.lock().presence.door(from) {
            // One with so much to do would answer too late.
            let _ = door.commands.try_send(Command::Get { what, range, parts });
        }
        coming
    }

    /// Has a neighbour dial us back at `port` of the address that it sees; whether it says that it reached us. None where it
    /// does not try: it is too busy, or was asked within the last minute.
    pub async fn call_me(&self, id: NeighbourId, port: u16) -> Option<bool> {
        let (reached, outcome) = oneshot::channel();
        {
            let book = self.0.lock();
            // Where there is nobody, `reached` must not outlive this, or it would be waited for.
            let _ = book.presence.door(id)?.commands.try_send(Command::Call { port, reached });
        }
        outcome.await.ok()
    }

    /// Waits until a neighbour wishes to be dialled. There are 4 at a time at most, until they are answered or dropped; one
    /// waiter gets each.
    pub async fn next_call(&self) -> Call {
        self.0.calls.next().await
    }

    /// Who asked for this package in the last 10 minutes and was told that it is not here, or not yet.
    #[must_use]
    pub fn asked_by(&self, id: &Sha256) -> Vec<(NeighbourId, PeerId, Asker)> {
        self.0.lock().presence.asked_by(id, Instant::now())
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
    pub fn arrivals(&self) -> broadcast::Receiver<(NeighbourId, Sha256)> {
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

    /// How many are here, as it changes.
    #[must_use]
    pub fn watch_count(&self) -> watch::Receiver<usize> {
        self.0.lock().presence.watch_count()
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

    /// We are on another network, or on one more: whom we could not reach may be there now.
    pub fn network_changed(&self) {
        self.0.lock().circle.handle_network_change(Instant::now().into_std());
        self.0.changed.notify_one();
    }

    /// The machine has slept: whom we could not reach may be there now, and we do not call all of them at once.
    pub fn resumed(&self) {
        self.0.lock().circle.handle_resumed(Instant::now().into_std());
        self.0.changed.notify_one();
    }

    /// The addresses to come back to after a restart.
    #[must_use]
    pub fn to_remember(&self) -> Vec<SocketAddr> {
        self.0.lock().circle.to_remember()
    }
}

#[cfg(test)]
mod tests;
