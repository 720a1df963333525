//! Does what the schedule says, and tells it what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;
use p2p_wire::{Announce, AnnounceEvent, MAX_TRACKER_PEERS, PeerId};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::dht::Dht;
use crate::found::{Found, Origin};
use crate::lan::LanEvent;
use crate::resolve::Resolver;
use crate::schedule::{Announced, Round, Task};
use crate::shared::Shared;
use crate::tracker::{Announcer, Tracker, TrackerFault, with_causes};

/// How long farewells may delay the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// The one task that acts; everything slow runs in tasks of its own beside it.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) announcer: Arc<Announcer>,
    pub(crate) dht: Dht,
    pub(crate) resolver: Resolver,
    /// Host and port of each configured peer.
    pub(crate) peers: Vec<(String, u16)>,
    pub(crate) port: u16,
    pub(crate) peer_id: PeerId,
    pub(crate) key: u32,
    pub(crate) lan: mpsc::Receiver<LanEvent>,
    pub(crate) searches: mpsc::Sender<Vec<InfoHash>>,
}

#[derive(Debug)]
enum Done {
    Announced { info_hash: InfoHash, tracker: Arc<Tracker>, event: AnnounceEvent, outcome: Announced },
    LookedUp(InfoHash, Round),
    Resolved(Vec<SocketAddr>),
}

impl Driver {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut resolving = false;
        loop {
            self.begin_tasks(&mut tasks);
            resolving |= self.begin_resolving(&mut tasks, resolving);
            let timeout = self.shared.state().schedule.poll_timeout();
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.wake.notified() => {}
                Some(done) = tasks.join_next() => {
                    resolving &= !matches!(done, Ok(Done::Resolved(_)) | Err(_));
                    self.handle_done(done);
                }
                Some(event) = self.lan.recv() => self.handle_lan(&event),
                () = sleep_until(timeout) => {}
            }
        }
        self.say_farewell(tasks).await;
    }

    async fn say_farewell(&self, mut tasks: JoinSet<Done>) {
        self.shared.state().stop();
        let farewell = async {
            loop {
                self.begin_tasks(&mut tasks);
                if self.shared.state().schedule.is_idle() {
                    return;
                }
                match tasks.join_next().await {
                    Some(done) => self.handle_done(done),
                    None => return,
                }
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("some trackers have not heard that we leave");
        }
    }

    fn begin_tasks(&self, tasks: &mut JoinSet<Done>) {
        loop {
            let task = self.shared.state().schedule.poll_task(Instant::now());
            match task {
                Some(Task::Announce { info_hash, tracker, event, left }) => {
                    tasks.spawn(self.announce(info_hash, tracker, event, left));
                }
                Some(Task::LookUp { info_hash }) => drop(tasks.spawn(self.look_up(info_hash))),
                Some(Task::Search(hashes)) => {
                    if self.searches.try_send(hashes).is_err() {
                        tracing::debug!("local search left out");
                    }
                }
                None => return,
            }
        }
    }

    fn announce(
        &self,
        info_hash: InfoHash,
        tracker: Arc<Tracker>,
        event: AnnounceEvent,
        left: u64,
    ) -> impl Future<Output = Done> + Send + 'static {
        let (announcer, shared) = (Arc::clone(&self.announcer), Arc::clone(&self.shared));
        let wanted = if left == 0 || event == AnnounceEvent::Stopped { 0 } else { MAX_TRACKER_PEERS };
        let wanted = u16::try_from(wanted).expect("200 at most");
        let (peer_id, port, key) = (self.peer_id, self.port, self.key);
        // What is sent and received only serves trackers that keep accounts of their users; to them we say nothing.
        let announce = Announce { info_hash, peer_id, port, uploaded: 0, downloaded: 0, left, event, wanted, key };
        async move {
            let answer = announcer.announce(&tracker, &announce).await;
            let outcome = match answer {
                Ok(answer) => {
                    let (mut state, now) = (shared.state(), Instant::now());
                    for address in &answer.peers {
                        state.tell(info_hash, Found { address: *address, origin: Origin::Tracker }, now);
                    }
                    let (interval, min_interval) = (answer.interval, answer.min_interval);
                    Announced::Answered { interval, min_interval, peers: answer.peers.len() }
                }
                Err(fault) => failed(&tracker, &fault),
            };
            Done::Announced { info_hash, tracker, event, outcome }
        }
    }

    fn look_up(&self, info_hash: InfoHash) -> impl Future<Output = Done> + Send + 'static {
        let (dht, shared, port) = (self.dht.clone(), Arc::clone(&self.shared), self.port);
        async move {
            let round = tokio::spawn(async move {
                let found = |address| {
                    shared.state().tell(info_hash, Found { address, origin: Origin::Dht }, Instant::now());
                };
                dht.look_up(info_hash, port, found).await
            });
            let round = AbortOnDropHandle::new(round).await.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "dht round failed");
                Round::Missed
            });
            Done::LookedUp(info_hash, round)
        }
    }

    /// Whether a look-up of the configured peers has begun.
    fn begin_resolving(&self, tasks: &mut JoinSet<Done>, resolving: bool) -> bool {
        if resolving || !std::mem::take(&mut self.shared.state().wants_configured) || self.peers.is_empty() {
            return false;
        }
        let (resolver, peers) = (self.resolver.clone(), self.peers.clone());
        tasks.spawn(async move {
            let look_ups = peers.iter().map(|(host, port)| resolver.resolve(host, *port));
            let found = futures_util::future::join_all(look_ups).await;
            for error in found.iter().filter_map(|result| result.as_ref().err()) {
                tracing::debug!(error = %with_causes(error), "configured peer has no address");
            }
            Done::Resolved(found.into_iter().flatten().flatten().collect())
        });
        true
    }

    fn handle_done(&self, done: Result<Done, JoinError>) {
        let now = Instant::now();
        let mut state = self.shared.state();
        match done {
            Ok(Done::Announced { info_hash, tracker, event, outcome }) => {
                state.schedule.handle_announced(info_hash, &tracker, event, outcome, now);
            }
            Ok(Done::LookedUp(info_hash, round)) => state.schedule.handle_looked_up(info_hash, round, now),
            Ok(Done::Resolved(addresses)) => {
                for address in addresses {
                    state.tell_all(Found { address, origin: Origin::Configured }, now);
                }
            }
            Err(error) => tracing::error!(error = %error, "a discovery task panicked"),
        }
    }

    fn handle_lan(&self, event: &LanEvent) {
        let now = Instant::now();
        let mut state = self.shared.state();
        match event {
            LanEvent::Heard(search) => state.tell_lan_search(*search, now),
            LanEvent::NewLinks => state.schedule.handle_new_links(now),
            LanEvent::Activity(activity) => state.lan = *activity,
        }
    }
}

fn failed(tracker: &Tracker, fault: &TrackerFault) -> Announced {
    // Not the whole URL: it may hold a key of the user's.
    let host = tracker.url.host_str().unwrap_or_default();
    let error = with_causes(fault);
    tracing::debug!(tracker = host, error, "announce failed");
    if let TrackerFault::Refused(reason) = fault {
        Announced::Refused(reason.clone())
    } else {
        Announced::Failed(error)
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
