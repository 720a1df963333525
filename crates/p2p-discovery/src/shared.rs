//! What the callers, the driver and its tasks know in common.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use p2p_package::InfoHash;
use tokio::sync::{Notify, mpsc, watch};

use crate::clock;
use crate::found::{Found, LanSearch, Origin};
use crate::health::Activity;
use crate::peers::{MAX_PEERS, Peers};
use crate::schedule::{Means, Schedule};

/// The state, and the bell that wakes the driver after a change.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) wake: Notify,
    /// Changes when there is another link than at the start.
    pub(crate) links: watch::Sender<()>,
}

/// Everything that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) schedule: Schedule,
    pub(crate) lan: Activity,
    /// Where somebody reads what others on the link look for.
    pub(crate) lan_searches: Option<mpsc::Sender<LanSearch>>,
    /// The configured peers are to be looked up again.
    pub(crate) wants_configured: bool,
    swarms: BTreeMap<InfoHash, Swarm>,
    last_listener: u64,
}

#[derive(Debug, Default)]
struct Swarm {
    peers: Peers,
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    id: u64,
    sender: mpsc::Sender<Found>,
}

impl Shared {
    pub(crate) fn new(means: Means) -> Self {
        let state = State {
            schedule: Schedule::new(means, clock::now()),
            lan: Activity::Off,
            lan_searches: None,
            wants_configured: false,
            swarms: BTreeMap::new(),
            last_listener: 0,
        };
        Self { state: Mutex::new(state), wake: Notify::new(), links: watch::Sender::default() }
    }

    /// The state, for a moment without any waiting.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the state is locked")
    }
}

impl State {
    /// A new listener for the swarm, which gets what is known already first, and `configured` before that.
    pub(crate) fn listen(
        &mut self,
        info_hash: InfoHash,
        configured: Vec<SocketAddr>,
        now: Instant,
    ) -> (u64, mpsc::Receiver<Found>) {
        self.last_listener += 1;
        let id = self.last_listener;
        // Room for all that is known, and for as many again to come before the reader's next turn.
        let (sender, receiver) = mpsc::channel(2 * MAX_PEERS);
        let swarm = self.swarms.entry(info_hash).or_default();
        for address in configured {
            swarm.tell(Found { address, origin: Origin::Configured }, now);
        }
        for found in swarm.peers.all() {
            let _ = sender.try_send(found);
        }
        swarm.listeners.push(Listener { id, sender });
        self.wants_configured = true;
        (id, receiver)
    }

    /// The listener is gone; with the last one, the search ends, and whoever was in a club has left it.
    pub(crate) fn leave(&mut self, info_hash: InfoHash, id: u64) {
        let Some(swarm) = self.swarms.get_mut(&info_hash) else {
            return;
        };
        swarm.listeners.retain(|listener| listener.id != id);
        if swarm.listeners.is_empty() {
            self.swarms.remove(&info_hash);
            self.schedule.handle_end(info_hash);
            self.schedule.handle_parting(info_hash);
        }
    }

    /// Tells the listeners of the swarm, if there are any and it is news.
    pub(crate) fn tell(&mut self, info_hash: InfoHash, found: Found, now: Instant) {
        if let Some(swarm) = self.swarms.get_mut(&info_hash) {
            swarm.tell(found, now);
            self.schedule.handle_peers(info_hash, swarm.peers.len());
        }
    }

    /// Tells the listeners of every swarm.
    pub(crate) fn tell_all(&mut self, found: Found, now: Instant) {
        self.swarms.values_mut().for_each(|swarm| swarm.tell(found, now));
    }

    /// Hands a search of somebody else's to whoever reads them; one too many is lost, and will be repeated.
    pub(crate) fn tell_lan_search(&mut self, search: LanSearch, now: Instant) {
        self.tell(search.info_hash, Found { address: search.address, origin: Origin::Lan }, now);
        if let Some(sender) = &self.lan_searches {
            let _ = sender.try_send(search);
        }
    }

    /// Ends every search and offer; the listeners hear the end.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.swarms.clear();
        self.lan_searches = None;
        self.schedule.handle_stop(now);
    }
}

impl Swarm {
    fn tell(&mut self, found: Found, now: Instant) {
        if self.peers.insert(found, now) {
            for listener in &self.listeners {
                // A reader that is so far behind has more peers than it can use.
                let _ = listener.sender.try_send(found);
            }
        }
    }
}
