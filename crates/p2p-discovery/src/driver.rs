//! Does what the schedule says, and tells it what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant, SystemTime};

use p2p_package::InfoHash;
use p2p_wire::{Announce, AnnounceEvent, MAX_TRACKER_PEERS, PeerId};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::announces_file::AnnouncesFile;
use crate::clock;
use crate::dht::{Dht, Errand};
use crate::found::{Found, Origin};
use crate::lan::LanEvent;
use crate::resolve::Resolver;
use crate::schedule::{Announced, LookedUp, Purpose, Task};
use crate::shared::Shared;
use crate::tracker::{Announcer, Tracker, TrackerFault, with_causes};

/// How long farewells may delay the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between two times that what is due when is written down.
const SAVE_INTERVAL: Duration = Duration::from_mins(5);
/// The longest pause: timers stand still while the machine sleeps, and offers become due.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// After a longer sleep of the machine, clubs are looked for as at the start.
const LONG_SLEEP: Duration = Duration::from_mins(1);

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
    /// Where it is written down what is due when.
    pub(crate) file: Option<AnnouncesFile>,
}

#[derive(Debug)]
enum Done {
    Announced { task: Task, outcome: Announced, sent: u32 },
    LookedUp(InfoHash, Purpose, LookedUp),
    Met(InfoHash, LookedUp),
    Resolved(Vec<SocketAddr>),
}

impl Driver {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut resolving = false;
        let mut save_at = clock::now() + SAVE_INTERVAL;
        let mut slept = clock::slept();
        loop {
            if clock::slept().saturating_sub(slept) >= LONG_SLEEP {
                slept = clock::slept();
                self.shared.state().schedule.handle_new_links(clock::now());
            }
            self.begin_tasks(&mut tasks);
            resolving |= self.begin_resolving(&mut tasks, resolving);
            if clock::now() >= save_at {
                save_at = clock::now() + SAVE_INTERVAL;
                self.begin_saving();
            }
            let timeout = self.shared.state().schedule.poll_timeout().map_or(save_at, |timeout| timeout.min(save_at));
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
        self.shared.state().stop(clock::now());
        let saving = self.begin_saving();
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
        if let Some(saving) = saving {
            // It does not panic, and a disk that hangs must not keep us for long.
            let _ = tokio::time::timeout(FAREWELL, saving).await;
        }
    }

    /// Writes down what is due when, if that has changed.
    fn begin_saving(&self) -> Option<JoinHandle<()>> {
        let (file, shared) = (self.file.clone()?, Arc::clone(&self.shared));
        Some(tokio::task::spawn_blocking(move || {
            let keep = || shared.state().schedule.keep(clock::now(), SystemTime::now());
            if let Err(error) = file.update(keep) {
                tracing::warn!(error = %error, "when announces are due cannot be saved");
            }
        }))
    }

    fn begin_tasks(&self, tasks: &mut JoinSet<Done>) {
        let upkeep = self.dht.take_upkeep();
        self.shared.state().schedule.handle_upkeep(upkeep, clock::now());
        loop {
            let task = self.shared.state().schedule.poll_task(clock::now());
            match task {
                Some(Task::Announce { info_hash, tracker, event, left, purpose }) => {
                    tasks.spawn(self.announce(info_hash, tracker, event, left, purpose));
                }
                Some(Task::LookUp { info_hash, purpose }) => drop(tasks.spawn(self.look_up(info_hash, purpose))),
                Some(Task::Meet { club, tell_below }) => drop(tasks.spawn(self.meet(club, tell_below))),
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
        purpose: Purpose,
    ) -> impl Future<Output = Done> + Send + 'static {
        let (announcer, shared) = (Arc::clone(&self.announcer), Arc::clone(&self.shared));
        let wanted = if left == 0 || event == AnnounceEvent::Stopped { 0 } else { MAX_TRACKER_PEERS };
        let wanted = u16::try_from(wanted).expect("200 at most");
        let (peer_id, port, key) = (self.peer_id, self.port, self.key);
        // What is sent and received only serves trackers that keep accounts of their users; to them we say nothing.
        let announce = Announce { info_hash, peer_id, port, uploaded: 0, downloaded: 0, left, event, wanted, key };
        async move {
            let sent = AtomicU32::new(0);
            let answer = announcer.announce(&tracker, &announce, &sent).await;
            let outcome = match answer {
                Ok(answer) => {
                    let (mut state, now) = (shared.state(), clock::now());
                    for address in &answer.peers {
                        state.tell(info_hash, Found { address: *address, origin: Origin::Tracker }, now);
                    }
                    let (interval, min_interval) = (answer.interval, answer.min_interval);
                    let (peers, seeders) = (answer.peers.len(), answer.seeders);
                    Announced::Answered { interval, min_interval, peers, seeders }
                }
                Err(fault) => failed(&tracker, &fault),
            };
            let task = Task::Announce { info_hash, tracker, event, left, purpose };
            Done::Announced { task, outcome, sent: sent.into_inner() }
        }
    }

    fn look_up(&self, info_hash: InfoHash, purpose: Purpose) -> impl Future<Output = Done> + Send + 'static {
        let (dht, shared, port) = (self.dht.clone(), Arc::clone(&self.shared), self.port);
        async move {
            let round = on_its_own(async move {
                match purpose {
                    Purpose::Seek => {
                        let round = dht.look_up(info_hash, port, tell(&shared, info_hash)).await;
                        LookedUp { round, ..LookedUp::MISSED }
                    }
                    Purpose::Meet | Purpose::Offer => {
                        dht.announce(Errand { info_hash, port, tell_below: u32::MAX }, |_| ()).await
                    }
                }
            });
            Done::LookedUp(info_hash, purpose, round.await)
        }
    }

    fn meet(&self, club: InfoHash, tell_below: u32) -> impl Future<Output = Done> + Send + 'static {
        let (dht, shared) = (self.dht.clone(), Arc::clone(&self.shared));
        let errand = Errand { info_hash: club, port: self.port, tell_below };
        let round = on_its_own(async move { dht.announce(errand, tell(&shared, club)).await });
        async move { Done::Met(club, round.await) }
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
        let now = clock::now();
        let mut state = self.shared.state();
        match done {
            Ok(Done::Announced { task, outcome, sent }) => state.schedule.handle_announced(&task, outcome, sent, now),
            Ok(Done::LookedUp(info_hash, purpose, ended)) => {
                state.schedule.handle_looked_up(info_hash, purpose, ended, now);
            }
            Ok(Done::Met(club, ended)) => state.schedule.handle_met(club, ended, now),
            Ok(Done::Resolved(addresses)) => {
                for address in addresses {
                    state.tell_all(Found { address, origin: Origin::Configured }, now);
                }
            }
            Err(error) => tracing::error!(error = %error, "a discovery task panicked"),
        }
    }

    fn handle_lan(&self, event: &LanEvent) {
        let now = clock::now();
        let mut state = self.shared.state();
        match event {
            LanEvent::Heard(search) => state.tell_lan_search(*search, now),
            LanEvent::NewLinks { are_first } => {
                state.schedule.handle_new_links(now);
                if !are_first {
                    self.shared.links.send_replace(());
                }
            }
            LanEvent::Activity(activity) => state.lan = *activity,
        }
    }
}

/// Tells the listeners of a swarm of somebody in the DHT.
fn tell(shared: &Shared, info_hash: InfoHash) -> impl FnMut(SocketAddr) {
    move |address| shared.state().tell(info_hash, Found { address, origin: Origin::Dht }, clock::now())
}

/// A round in the DHT may panic.
async fn on_its_own(round: impl Future<Output = LookedUp> + Send + 'static) -> LookedUp {
    AbortOnDropHandle::new(tokio::spawn(round)).await.unwrap_or_else(|error| {
        tracing::warn!(error = %error, "dht round failed");
        LookedUp::MISSED
    })
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

async fn sleep_until(instant: Instant) {
    tokio::time::sleep(instant.saturating_duration_since(clock::now()).min(LONGEST_PAUSE)).await;
}
