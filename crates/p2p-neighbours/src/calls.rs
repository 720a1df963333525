//! Neighbours that wish to be dialled: only where they are, few at once, and each seldom.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use p2p_package::InfoHash;
use p2p_wire::{PeerId, Refusal, is_global};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::connection::Command;
use crate::presence::Neighbour;
use crate::quota::asker;
use crate::shelf::Asker;

/// Calls under way at one time, over all neighbours: each is a dial of a few seconds.
const MOST_CALLS: usize = 4;

/// How soon one address may wish so again: a port that was just opened is tried by hand.
const INTERVAL: Duration = Duration::from_mins(1);

/// A neighbour wishes to know whether it can be reached: to be dialled, and told within 5 s. Dropped, it is told that we are too
/// busy.
#[derive(Debug)]
pub struct Call {
    /// Where: the address that it speaks from, and the port that it named.
    pub address: SocketAddr,
    /// What to say in the handshake.
    pub club: InfoHash,
    /// Who has to answer.
    pub peer_id: PeerId,
    /// Whether it is on a local network, as far as trust goes; else its address is one of the whole Internet.
    pub is_local: bool,
    number: u32,
    reached: Option<bool>,
    door: mpsc::Sender<Command>,
    _place: OwnedSemaphorePermit,
}

impl Call {
    /// Tells the neighbour whether it was reached.
    pub fn answer(mut self, reached: bool) {
        self.reached = Some(reached);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // One that does not take our bytes hears nothing: it has asked enough.
        let _ = self.door.try_send(Command::AnswerCall { number: self.number, reached: self.reached });
    }
}

/// The calls that are to be made.
#[derive(Debug)]
pub(crate) struct Calls {
    due: mpsc::Sender<Call>,
    next: tokio::sync::Mutex<mpsc::Receiver<Call>>,
    places: Arc<Semaphore>,
    /// When an address was last called. As few as the places allow within [`INTERVAL`].
    called: Mutex<BTreeMap<IpAddr, Instant>>,
}

impl Default for Calls {
    fn default() -> Self {
        let (due, next) = mpsc::channel(MOST_CALLS);
        let places = Arc::new(Semaphore::new(MOST_CALLS));
        Self { due, next: tokio::sync::Mutex::new(next), places, called: Mutex::default() }
    }
}

impl Calls {
    /// Notes that `neighbour` wishes to be called at `port` of where it is.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(crate) fn wish(
        &self,
        neighbour: &Neighbour,
        (number, port): (u32, u16),
        door: mpsc::Sender<Command>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (ip, is_local) = (neighbour.address.ip(), neighbour.asker == Asker::Local);
        if port == 0 || !is_local && !is_global(ip) {
            return Err(Refusal::NotHere);
        }
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        called.retain(|_, last| now < *last + INTERVAL);
        if called.contains_key(&asker(ip)) {
            return Err(Refusal::TooMuch);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::TooBusy)?;
        called.insert(asker(ip), now);
        let mut address = neighbour.address;
        address.set_port(port);
        let (club, peer_id) = (neighbour.club, neighbour.peer_id);
        let call = Call { address, club, peer_id, is_local, number, reached: None, door, _place: place };
        // Each has a place, and there are as many in the line: where that is full, dropping it is the answer.
        let _ = self.due.try_send(call);
        Ok(())
    }

    pub(crate) async fn next(&self) -> Call {
        self.next.lock().await.recv().await.expect("a sender is held beside it")
    }
}
