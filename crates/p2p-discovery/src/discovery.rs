//! The one way in: search, meet, offer, health, stop.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use p2p_package::InfoHash;
use p2p_wire::{Pointer, PublisherKey};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::announces_file::AnnouncesFile;
use crate::clock;
use crate::dht::{Dht, DhtKeeper};
use crate::driver::Driver;
use crate::found::LanSearch;
use crate::health::{Activity, Health, TrackerHealth};
use crate::lan::Lan;
use crate::options::{DiscoveryOptions, Scope};
use crate::resolve::{Resolver, split_host_port};
use crate::schedule::{Company, Means, Schedule};
use crate::search::Search;
use crate::shared::Shared;
use crate::tracker::{Announcer, HttpSetupError, Tracker, Trust, with_causes};

/// Searches of others that wait to be read; a reader that is slower loses some, which are repeated.
const LAN_SEARCHES: usize = 256;
/// Events between the tasks.
const EVENTS: usize = 256;
/// Configured peers.
const MAX_CONFIGURED: usize = 64;

/// Why discovery cannot start. Networks that are down are no reason: they are tried again.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// A configured peer is no `host:port`.
    #[error("{0:?} is not of the form host:port")]
    Peer(String),
    /// A configured tracker has another scheme than http, https and udp, or no host.
    #[error("{0} is not a tracker's URL")]
    Tracker(Url),
    /// The machine's certificates cannot be used, most likely.
    #[error("trackers cannot be asked by HTTP")]
    Http(#[source] HttpSetupError),
}

/// All ways to find peers and to be found. Dropped, it ends at once; [`Self::stop`] says farewell.
#[derive(Debug)]
pub struct Discovery {
    shared: Arc<Shared>,
    resolver: Resolver,
    peers: Vec<(String, u16)>,
    trackers: Vec<Arc<Tracker>>,
    dht: Dht,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Discovery {
    /// Starts everything that `options` want, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// What is wrong with the options.
    pub fn start(options: DiscoveryOptions) -> Result<Self, DiscoveryError> {
        let peers = options.peers.iter().take(MAX_CONFIGURED).map(|peer| {
            let (host, port) = split_host_port(peer).ok_or_else(|| DiscoveryError::Peer(peer.clone()))?;
            Ok((host.to_owned(), port))
        });
        let peers = peers.collect::<Result<Vec<_>, _>>()?;
        if let Some(unfit) = options.trackers.iter().find(|url| !is_tracker(url)) {
            return Err(DiscoveryError::Tracker(unfit.clone()));
        }
        let means = means(&options);
        let resolver = Resolver::default();
        let announcer = Announcer::new(resolver.clone(), &options.user_agent).map_err(DiscoveryError::Http)?;
        let discovery = Self {
            shared: Arc::new(Shared::new(means.clone())),
            resolver,
            peers,
            trackers: means.trackers,
            dht: Dht::default(),
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
        };
        discovery.spawn(options, announcer);
        Ok(discovery)
    }

    fn spawn(&self, options: DiscoveryOptions, announcer: Announcer) {
        let (lan_events, lan) = mpsc::channel(EVENTS);
        let (searches, searched) = mpsc::channel(EVENTS);
        if options.lan {
            let cookie = format!("{:016x}", rand::random::<u64>());
            let lan = Lan::new(options.port, cookie, lan_events);
            self.adopt(tokio::spawn(lan.run(searched, self.stop.clone())));
        }
        if let Some(dht) = options.dht.filter(|_| options.scope == Scope::Public) {
            let keeper = DhtKeeper::new(dht, self.resolver.clone(), self.dht.clone());
            self.adopt(tokio::spawn(keeper.run(self.stop.clone())));
        }
        let file = options.announces.map(AnnouncesFile::new);
        if let Some(file) = &file {
            self.restore(file);
        }
        let driver = Driver {
            shared: Arc::clone(&self.shared),
            announcer: Arc::new(announcer),
            dht: self.dht.clone(),
            resolver: self.resolver.clone(),
            peers: self.peers.clone(),
            port: options.port,
            peer_id: options.peer_id,
            key: rand::random(),
            lan,
            searches,
            file,
        };
        self.adopt(tokio::spawn(driver.run(self.stop.clone())));
    }

    /// Goes on where the last run ended.
    fn restore(&self, file: &AnnouncesFile) {
        match file.load() {
            Ok(kept) => self.shared.state().schedule.handle_kept(kept, clock::now(), SystemTime::now()),
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, "when announces are due is lost, beginning anew");
            }
        }
    }

    fn adopt(&self, task: JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Looks for the peers of a swarm, and announces us as one who wants it, until the search is dropped. `trackers`
    /// are those of a `.torrent`: the first four at global addresses count. Configured peers are told first.
    pub fn seek(&self, info_hash: InfoHash, trackers: &[String]) -> Search {
        let trackers = parse(trackers);
        self.search(info_hash, |schedule, now| schedule.handle_seek(info_hash, &trackers, now))
    }

    /// Looks for the neighbours in a club, and announces us as one, until the search is dropped: soon at first, within the
    /// budget of packets, and the more neighbours there are the more seldom: see [`Self::company`]. Configured peers are
    /// told first.
    pub fn meet(&self, club: InfoHash) -> Search {
        self.search(club, |schedule, now| schedule.handle_meet(club, now))
    }

    /// How many neighbours there are, of all clubs, and how many more would find a place: who has none for callers is not
    /// announced.
    pub fn company(&self, neighbours: usize, places: usize) {
        self.shared.state().schedule.handle_company(Company { neighbours, places }, clock::now());
        self.shared.wake.notify_one();
    }

    fn search(&self, info_hash: InfoHash, begin: impl FnOnce(&mut Schedule, Instant)) -> Search {
        let configured: Vec<SocketAddr> =
            self.peers.iter().flat_map(|(host, port)| self.resolver.last_good(host, *port)).collect();
        let (listener, found) = {
            let (mut state, now) = (self.shared.state(), clock::now());
            begin(&mut state.schedule, now);
            state.listen(info_hash, configured, now)
        };
        self.shared.wake.notify_one();
        Search::new(info_hash, listener, found, Arc::clone(&self.shared))
    }

    /// Announces us as one who has it all, within the budget and at intervals; `since` is when we got it. The first
    /// four of `trackers` at global addresses hear of it too.
    pub fn offer(&self, info_hash: InfoHash, since: SystemTime, trackers: &[String]) {
        let trackers = parse(trackers);
        self.shared.state().schedule.handle_offer(info_hash, seconds(since), &trackers, clock::now());
        self.shared.wake.notify_one();
    }

    /// Offers exactly these from now on: what is not among them is withdrawn. At most 20,000, the newest first.
    pub fn hold(&self, held: impl IntoIterator<Item = (InfoHash, SystemTime)>) {
        let held = held.into_iter().map(|(info_hash, since)| (info_hash, seconds(since))).collect();
        self.shared.state().schedule.handle_holdings(held, clock::now());
        self.shared.wake.notify_one();
    }

    /// How often peers have asked lately for what is offered: the most wanted is announced first. What is not named was
    /// not asked for.
    pub fn demand(&self, lately: &[(InfoHash, u32)]) {
        self.shared.state().schedule.handle_demand(lately);
    }

    /// How many others have what is offered, as trackers or the DHT said last; none before they did.
    pub fn rarity(&self, info_hash: &InfoHash) -> Option<u32> {
        self.shared.state().schedule.rarity(info_hash)
    }

    /// Offers it no more: the package is gone, and trackers hear that we leave.
    pub fn withdraw(&self, info_hash: InfoHash) {
        self.shared.state().schedule.handle_withdrawal(info_hash);
        self.shared.wake.notify_one();
    }

    /// Changes when the machine comes to another network, or to one more. Without local service discovery nobody notices.
    pub fn watch_links(&self) -> watch::Receiver<()> {
        self.shared.links.subscribe()
    }

    /// What others on the link look for, or have. A later call takes the place of the former.
    pub fn lan_searches(&self) -> mpsc::Receiver<LanSearch> {
        let (sender, receiver) = mpsc::channel(LAN_SEARCHES);
        self.shared.state().lan_searches = Some(sender);
        receiver
    }

    /// The newest pointer of this publisher for this club that the DHT has (BEP 44), verified. Takes some seconds.
    pub async fn get_pointer(&self, key: PublisherKey, club: InfoHash) -> Option<Pointer> {
        self.dht.get_pointer(key, club).await
    }

    /// Puts a pointer into the DHT, where it stays for about two hours; how many nodes have taken it.
    pub async fn put_pointer(&self, pointer: &Pointer, club: InfoHash) -> u32 {
        self.dht.put_pointer(pointer, club).await
    }

    /// How everything does now.
    pub fn health(&self) -> Health {
        let (dht, dht_nodes, dht_port) = self.dht.health();
        let state = self.shared.state();
        let trackers = self.trackers.iter().map(|tracker| {
            let (record, next) = state.schedule.tracker(&tracker.url);
            let next = next.map(clock::without_sleep);
            TrackerHealth { url: tracker.url.clone(), last_error: record.last_error, peers: record.peers, next }
        });
        let announcing = state.schedule.announcing();
        Health { lan: state.lan, dht, dht_nodes, dht_port, trackers: trackers.collect(), announcing }
    }

    /// Leaves all swarms, saves the DHT nodes and ends, within a few seconds.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that has panicked has ended too.
            let _ = task.await;
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
        let mut state = self.shared.state();
        state.stop(clock::now());
        state.lan = Activity::Off;
    }
}

fn means(options: &DiscoveryOptions) -> Means {
    let is_public = options.scope == Scope::Public;
    let trackers = options.trackers.iter().filter(|_| is_public).cloned();
    Means {
        trackers: trackers.map(|url| Arc::new(Tracker { url, trust: Trust::Configured })).collect(),
        strangers: is_public,
        dht: is_public && options.dht.is_some(),
        lan: options.lan,
        announce_budget: options.announce_budget,
    }
}

/// Seconds since 1970, for the order of offers.
fn seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

fn parse(trackers: &[String]) -> Vec<Url> {
    let urls = trackers.iter().filter_map(|tracker| Url::parse(tracker).ok());
    urls.filter(is_tracker).collect()
}

fn is_tracker(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https" | "udp") && url.host_str().is_some_and(|host| !host.is_empty())
}
