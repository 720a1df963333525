//! One node of the DHT (BEP 5, IPv4), by the crate `mainline`.
//!
//! Known limits of that crate, version 8.0.1, and what is done about them here:
//!
//! * It learns nodes only from their answers, and asks every bootstrap node again and again: see [`introduction`].
//! * Some answers of hostile nodes make its calls panic (an error 301 to an announce is "unreachable"). So each call
//!   runs in a task of its own, and a node whose thread has died is replaced.
//! * An announce without a fresh look-up asks by BEP 44's `get`, which old nodes do not know. So a round always looks
//!   peers up to the end and announces with the tokens that this brought.
//! * As a server it ignores queries whose transaction id is not 4 bytes long: libtorrent's and librqbit's, which use 2.
//!   They answer us, and we find and announce through them; they never hear of what is stored with us.
//! * Its look-ups are thorough: 200 packets and more in the public DHT, where an announce that nobody waits for needs
//!   about 26. So what is sought goes through it, what we hold and clubs by a [`walk`] of our own, from nodes that it knows.

mod acquaintances;
mod herald;
mod introducer;
mod introduction;
mod krpc;
mod nodes_file;
mod pointers;
mod upkeep;
mod walk;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use mainline::async_dht::AsyncDht;
use mainline::{DEFAULT_BOOTSTRAP_NODES, Id};
use p2p_package::InfoHash;
use tokio_util::sync::CancellationToken;

use self::acquaintances::Acquaintances;
use self::herald::Herald;
use self::introducer::Introducer;
use self::nodes_file::NodesFile;
use self::upkeep::Upkeep;
pub(crate) use self::walk::Errand;
use crate::health::Activity;
use crate::options::DhtOptions;
use crate::resolve::{Resolver, split_host_port};
use crate::schedule::{LookedUp, Round};

/// The longest look-up: some rounds of nodes that each have 2 seconds to answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest announce that follows.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Nodes of its table that are noted, for walks to begin with.
const MAX_NOTED: usize = 64;
/// How often the node is looked after, while it is alone and later.
const CARE_INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// With fewer nodes, the node counts as alone.
const FEW_NODES: usize = 8;
/// Between two look-ups of the nodes to begin with.
const BEGIN_INTERVAL: Duration = Duration::from_mins(1);
/// Between two saves of the known nodes.
const SAVE_INTERVAL: Duration = Duration::from_mins(5);
/// Between two tries of a lonely node to meet others, at first and at last; somebody new to be introduced to makes it
/// begin again.
const FILL_INTERVALS: [Duration; 2] = [Duration::from_secs(2), Duration::from_mins(1)];
/// How long one such try may take.
const FILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one question to the node's own thread may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks up and announces; the node behind it comes and goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dht {
    state: Arc<Mutex<DhtState>>,
    herald: Arc<Herald>,
}

#[derive(Debug, Default)]
struct DhtState {
    node: Option<AsyncDht>,
    activity: Activity,
    nodes: usize,
    upkeep: Upkeep,
    /// Some of these nodes.
    noted: Vec<SocketAddrV4>,
    /// Our own address, as far as it was bound, and its port.
    ip: Option<Ipv4Addr>,
    port: u16,
}

impl Dht {
    /// Whether the node runs, how many others it knows, and its own port.
    pub(crate) fn health(&self) -> (Activity, usize, u16) {
        let state = self.state();
        (state.activity, state.nodes, state.port)
    }

    /// Takes account of what the node has sent to meet others, about so many packets since the last time.
    pub(crate) fn take_upkeep(&self) -> u32 {
        self.state().upkeep.take()
    }

    /// Announces a port with few packets, in about the time it takes; nobody waits. Every other peer is handed to
    /// `found` as it comes. To be run in a task of its own, because it may panic.
    pub(crate) async fn announce(&self, errand: Errand, mut found: impl FnMut(SocketAddr)) -> LookedUp {
        let Errand { info_hash, port, .. } = errand;
        let (node, noted, ip) = {
            let state = self.state();
            (state.node.clone(), state.noted.clone(), state.ip)
        };
        let (Some(node), Some(ip)) = (node, ip) else {
            return LookedUp::MISSED;
        };
        // Asked first: should the node have died, nothing has been sent yet.
        let own = tokio::time::timeout(CALL_TIMEOUT, node.info()).await.ok().and_then(|info| info.public_address());
        // Whom the nodes know may be ourselves, of the last round.
        let own = own.map(|own| SocketAddr::from((*own.ip(), port)));
        let mut others = 0;
        let found = |peer| {
            if Some(peer) != own {
                others += 1;
                found(peer);
            }
        };
        let result = match self.herald.go(errand, ip, &noted, found).await {
            Ok(result) => result,
            Err(error) => {
                tracing::debug!(%info_hash, error = %error, "cannot announce in the dht");
                return LookedUp::MISSED;
            }
        };
        tracing::debug!(%info_hash, nodes = result.told, others, packets = result.packets, "dht announce");
        let round = match result.told {
            0 if result.is_unneeded => Round::Unneeded,
            0 => Round::Missed,
            _ => Round::Announced,
        };
        LookedUp { round, others, packets: result.packets }
    }

    /// One round: every peer is handed to `found` as it comes; then `port` is announced. To be run in a task of its
    /// own, because it may panic.
    pub(crate) async fn look_up(&self, info_hash: InfoHash, port: u16, mut found: impl FnMut(SocketAddr)) -> Round {
        let Some(node) = self.state().node.clone() else {
            return Round::Missed;
        };
        let started = Instant::now();
        let id = Id::from(*info_hash.as_bytes());
        let peers = async {
            let mut peers = node.get_peers(id);
            while let Some(some) = peers.next().await {
                for peer in some {
                    found(SocketAddr::V4(peer));
                }
            }
        };
        if tokio::time::timeout(LOOKUP_TIMEOUT, peers).await.is_err() {
            tracing::debug!(%info_hash, "dht look-up took too long");
        }
        let announced = tokio::time::timeout(ANNOUNCE_TIMEOUT, node.announce_peer(id, Some(port))).await;
        let announced = matches!(announced, Ok(Ok(_)));
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(%info_hash, announced, elapsed_ms, "dht round");
        if announced { Round::Announced } else { Round::Missed }
    }

    fn state(&self) -> MutexGuard<'_, DhtState> {
        self.state.lock().expect("no panic while the node is locked")
    }

    /// Looks for the nodes nearest to ourselves, which brings introductions and fills the table.
    async fn fill_table(&self) {
        let Some(node) = self.state().node.clone() else {
            return;
        };
        let mut call = tokio::task::JoinSet::new();
        call.spawn(async move {
            let own = *node.info().await.id();
            node.find_node(own).await.len()
        });
        let found = tokio::time::timeout(FILL_TIMEOUT, call.join_next()).await;
        tracing::debug!(?found, "dht node looked for others");
    }

    /// The known nodes, or `None` when the node's thread has died.
    async fn nodes(&self, introducer: SocketAddrV4) -> Option<Vec<SocketAddrV4>> {
        let node = self.state().node.clone()?;
        let mut call = tokio::task::JoinSet::new();
        call.spawn(async move { node.to_bootstrap().await });
        let nodes = tokio::time::timeout(CALL_TIMEOUT, call.join_next()).await.ok()??.ok()?;
        let nodes = nodes.iter().filter_map(|node| node.parse().ok());
        Some(nodes.filter(|node| *node != introducer).collect())
    }
}

/// Keeps a node running, introduced and remembered.
#[derive(Debug)]
pub(crate) struct DhtKeeper {
    options: DhtOptions,
    resolver: Resolver,
    dht: Dht,
    file: NodesFile,
    acquaintances: Arc<Mutex<Acquaintances>>,
}

impl DhtKeeper {
    pub(crate) fn new(options: DhtOptions, resolver: Resolver, dht: Dht) -> Self {
        let file = NodesFile::new(&options.state_dir);
        Self { options, resolver, dht, file, acquaintances: Arc::default() }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        self.begin_with_saved();
        while !stop.is_cancelled() {
            match Introducer::bind(Arc::clone(&self.acquaintances)).await {
                Ok(introducer) => self.keep(introducer, &stop).await,
                Err(error) => self.fail(&error),
            }
            let pause = tokio::time::sleep(CARE_INTERVALS[1]);
            tokio::select! {
                () = stop.cancelled() => {}
                () = pause => {}
            }
        }
    }

    /// One life of the node.
    async fn keep(&self, introducer: Introducer, stop: &CancellationToken) {
        let address = introducer.address();
        let port = match introducer.open_node(self.options.listen).await {
            Ok((node, port)) => {
                let mut state = self.dht.state();
                let ip = Some(*self.options.listen.ip());
                *state = DhtState { node: Some(node), activity: Activity::On, ip, port, ..DhtState::default() };
                port
            }
            Err(error) => return self.fail(&error),
        };
        tracing::info!(port, "dht node runs");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(introducer.run(port));
        self.care(address, stop).await;
        *self.dht.state() = DhtState { activity: Activity::Failed, ..DhtState::default() };
    }

    /// Counts, introduces and saves, until `stop` or the death of the node.
    async fn care(&self, introducer: SocketAddrV4, stop: &CancellationToken) {
        let mut begun_at: Option<Instant> = None;
        let mut fill_at = Instant::now();
        let mut fill_pause = FILL_INTERVALS[0];
        let mut strangers = 0;
        let mut saved_at = Instant::now();
        loop {
            let Some(nodes) = self.dht.nodes(introducer).await else {
                tracing::warn!("dht node died, starting another one");
                return;
            };
            self.note(&nodes);
            let stopping = stop.is_cancelled();
            if stopping || saved_at.elapsed() >= SAVE_INTERVAL {
                saved_at = Instant::now();
                self.save(nodes.clone()).await;
            }
            if stopping {
                return;
            }
            let alone = nodes.len() < FEW_NODES;
            if alone && begun_at.is_none_or(|at| at.elapsed() >= BEGIN_INTERVAL) {
                begun_at = Some(Instant::now());
                self.begin(stop).await;
            }
            let known = self.acquaintances().strangers();
            if alone && (known != strangers || Instant::now() >= fill_at) {
                fill_pause = if known == strangers { 2 * fill_pause } else { FILL_INTERVALS[0] };
                fill_pause = fill_pause.min(FILL_INTERVALS[1]);
                (fill_at, strangers) = (Instant::now() + fill_pause, known);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.dht.fill_table() => {}
                }
            }
            let pause = tokio::time::sleep(CARE_INTERVALS[usize::from(!alone)]);
            tokio::select! {
                () = stop.cancelled() => {}
                () = pause => {}
            }
        }
    }

    fn note(&self, nodes: &[SocketAddrV4]) {
        let mut state = self.dht.state();
        state.upkeep.note(nodes);
        (state.nodes, state.noted) = (nodes.len(), nodes.iter().take(MAX_NOTED).copied().collect());
    }

    async fn begin(&self, stop: &CancellationToken) {
        let well_known: Vec<String> = DEFAULT_BOOTSTRAP_NODES.iter().map(ToString::to_string).collect();
        let configured = &self.options.bootstrap;
        for node in if configured.is_empty() { &well_known } else { configured } {
            let Some((host, port)) = split_host_port(node) else {
                continue;
            };
            let addresses = tokio::select! {
                () = stop.cancelled() => return,
                addresses = self.resolver.resolve(host, port) => addresses,
            };
            match addresses {
                Ok(addresses) => self.begin_with(addresses.into_iter().filter_map(|address| match address {
                    SocketAddr::V4(address) => Some(address),
                    SocketAddr::V6(_) => None,
                })),
                Err(error) => tracing::debug!(host, error = %error, "dht node has no address"),
            }
        }
    }

    fn begin_with_saved(&self) {
        match self.file.load() {
            Ok(nodes) => self.begin_with(nodes),
            Err(error) => tracing::warn!(error = %error, "dht nodes of the last run are lost"),
        }
    }

    fn begin_with(&self, nodes: impl IntoIterator<Item = SocketAddrV4>) {
        let mut acquaintances = self.acquaintances();
        nodes.into_iter().for_each(|node| acquaintances.begin_with(node));
    }

    fn acquaintances(&self) -> MutexGuard<'_, Acquaintances> {
        self.acquaintances.lock().expect("no panic while acquaintances are locked")
    }

    /// Never writes an empty list over a good one: it may be the network that is down.
    async fn save(&self, nodes: Vec<SocketAddrV4>) {
        if nodes.is_empty() {
            return;
        }
        let file = self.file.clone();
        let saved = tokio::task::spawn_blocking(move || file.save(&nodes)).await;
        if let Err(error) = saved.expect("writing a file does not panic") {
            tracing::warn!(error = %error, "dht nodes cannot be saved");
        }
    }

    fn fail(&self, error: &std::io::Error) {
        tracing::warn!(error = %error, "dht node cannot start");
        self.dht.state().activity = Activity::Failed;
    }
}
