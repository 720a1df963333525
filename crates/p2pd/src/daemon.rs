//! The order in which the daemon starts and stops, on one page.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use fs_err as fs;
use p2p_discovery::{DhtOptions, Discovery, DiscoveryError, DiscoveryOptions};
use p2p_engine::{Engine, EngineError, EngineOptions};
use p2p_gate::{Gate, GateError, GateOptions, Limits, Secret};
use p2p_pacman::ConfError;
use p2p_seeder::{CacheScan, Catalog, Row, ScanFault, ScanOptions, Seeder, SeederOptions, StoreDir};
use p2p_webseed::{MirrorOptions, Mirrors, MirrorsError};
use p2p_wire::PeerId;
use rand::RngExt;
use rand::distr::Alphanumeric;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::api::{Access, Api, Caller};
use crate::clubs::CatalogShelf;
use crate::config::{Policy, Scope, Settings};
use crate::diagnosis::Diagnoses;
use crate::editions::Editions;
use crate::fetch::{
    Counters, Databases, Fetches, MetainfoMemory, MetainfoShelf, MirrorBook, Newcomers, Passing, PeerBook, Store,
    Stories, Whereabouts, attend_whereabouts,
};
use crate::forgotten::Forgotten;
use crate::handovers::Handovers;
use crate::keyring::Keyring;
use crate::knowledge::Knowledge;
use crate::offers::Offers;
use crate::port_mapping::PortMapping;
use crate::publications::{self, Publications};
use crate::rates::Rates;
use crate::replicate::Replication;
use crate::seeding::DatabaseJudge;
use crate::services::Services;
use crate::sharing::Reach;
use crate::socket::{Socket, SocketError};
use crate::state_dir::{StateDir, StateDirError};
use crate::swarms::Swarms;
use crate::transactions::Transactions;
use crate::upload::{Alarm, Uploads};
use crate::verification::Verifications;
use crate::{cache_server, clubs, lan, replicate, tasks, upload};

/// A mirror that cannot be reached for this long gives way to the next: TCP has knocked three times by then.
const MIRROR_CONNECT_PATIENCE: Duration = Duration::from_millis(3_500);
/// So does one that says nothing for this long.
const MIRROR_PATIENCE: Duration = Duration::from_secs(5);
/// How long clients and peers have to hear of the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the runtime cannot start")]
    Runtime(#[source] std::io::Error),
    #[error("the state directory cannot be used")]
    State(#[source] StateDirError),
    #[error("pacman's configuration cannot be read")]
    Pacman(#[source] ConfError),
    #[error("mirrors cannot be asked")]
    Mirrors(#[source] MirrorsError),
    #[error("the BitTorrent port cannot be opened; set network.listen")]
    Gate(#[source] GateError),
    #[error("the download engine cannot start")]
    Engine(#[source] EngineError),
    #[error("discovery cannot start")]
    Discovery(#[source] DiscoveryError),
    #[error("the cache cannot be scanned")]
    Scan(#[source] ScanFault),
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the cache server's port cannot be opened; set cache_server.listen")]
    CacheServer(#[source] std::io::Error),
    #[error("clients cannot be heard")]
    Socket(#[source] SocketError),
    #[error("the clock cannot be followed")]
    Clock(#[source] std::io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

/// Runs the daemon until it is told to stop.
pub(crate) async fn run(config: PathBuf, settings: Settings) -> Result<(), StartError> {
    let state = StateDir::open(&settings.daemon.state_dir).map_err(StartError::State)?;
    let socket = settings.daemon.socket.clone();
    let listener = Socket::open(&socket).map_err(StartError::Socket)?;
    let hang_ups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let alarm = Alarm::new().map_err(StartError::Clock)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let access = Arc::new(Access::default());
    access.set(&settings.daemon);
    warn_of_what_is_to_come(&settings);
    let cache_server = cache_server::bind(settings.cache_server.listen).await.map_err(StartError::CacheServer)?;
    let services = start(&state, settings).await?;
    let _cache_server = cache_server.map(|listener| cache_server::start(&services, listener));
    let api = Api { services: Arc::clone(&services), access: Arc::clone(&access) };
    let server = tokio::spawn(serve(listener, api, services.stopping.clone()));
    let searches = services.discovery.lan_searches();
    let background = [
        tokio::spawn(tasks::beat(Arc::clone(&services), socket.clone())),
        tokio::spawn(tasks::sweep(Arc::clone(&services), state.counters())),
        tokio::spawn(tasks::reload(Arc::clone(&services), access, config, hang_ups)),
        tokio::spawn(lan::answer(Arc::clone(&services), searches)),
        tokio::spawn(clubs::keep(Arc::clone(&services))),
        tokio::spawn(attend_whereabouts(Arc::clone(&services))),
        tokio::spawn(Arc::clone(&services.editions).keep(services.stopping.clone())),
        tokio::spawn(publications::with_neighbours(Arc::clone(&services))),
        tokio::spawn(publications::in_dht(Arc::clone(&services))),
        tokio::spawn(upload::keep(Arc::clone(&services), alarm)),
        tokio::spawn(replicate::run(Arc::clone(&services), state.replicate())),
    ]
    .map(AbortOnDropHandle::new);
    tasks::notify(&[NotifyState::Ready]);
    tracing::info!(listen = %services.listen(), socket = %socket.display(), "p2pd is ready");
    tokio::select! {
        _ = terminations.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tasks::notify(&[NotifyState::Stopping]);
    tracing::info!("p2pd is stopping");
    services.stopping.cancel();
    let _ = tokio::time::timeout(STOP_TIMEOUT, server).await;
    drop(background);
    stop(&services, &state, &socket).await;
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "a line for each part, in the order in which they need one another")]
async fn start(state: &StateDir, settings: Settings) -> Result<Arc<Services>, StartError> {
    let knowledge = Knowledge::load(&settings.pacman.config, &settings.seed).map_err(StartError::Pacman)?;
    let knowledge = Arc::new(knowledge);
    let mirrors = Mirrors::new(mirror_options(&settings)).map_err(StartError::Mirrors)?;
    let peer_id = PeerId::ours(rand::rng().random());
    let forgotten = Arc::new(Forgotten::load(state.forgotten()));
    let catalog = open_catalog(state, &knowledge, &forgotten);
    let swarms = Arc::new(Swarms::new(catalog.clone(), Arc::clone(&knowledge)));
    let gate =
        Gate::bind(gate_options(&settings, peer_id), Arc::clone(&swarms) as _).await.map_err(StartError::Gate)?;
    let options = EngineOptions { peer_id: *peer_id.as_bytes(), proxy: Some(gate.proxy().url()) };
    let engine = Engine::start(options).await.map_err(StartError::Engine)?;
    let port_mapping = PortMapping::start(&settings, gate.local_addr()).map_err(StartError::Thread)?;
    let counters = Counters::load(&state.counters());
    let upload = Uploads::load(state.upload_wishes(), counters.month_before());
    let seeder = seeder(&catalog, &gate, peer_id);
    upload.begin(&settings, &gate, &seeder);
    let databases = Arc::new(Databases::open(state.databases(), Instant::now()));
    let keyring = Arc::new(Keyring::new(Arc::clone(&knowledge)));
    let editions = Arc::new(Editions::new(Arc::clone(&knowledge), Arc::clone(&databases), Arc::clone(&keyring)));
    let publications = Arc::new(Publications::open(state.publications()));
    publications.follow(&settings.publishers, &knowledge);
    let whereabouts = Arc::new(Whereabouts::new(peer_id));
    let shelf = CatalogShelf::new(
        catalog.clone(),
        Arc::clone(&knowledge),
        seeder.clone(),
        (Arc::clone(&editions), Arc::clone(&publications), Arc::clone(&whereabouts)),
    );
    let (neighbours, club_addresses) = clubs::start(shelf, peer_id, gate.local_addr().port(), state.neighbours());
    swarms.open(seeder, engine.listen_addr(), neighbours.clone());
    let discovery = discovery_options(&settings, state.root(), peer_id, gate.local_addr());
    let discovery = Discovery::start(discovery).map_err(StartError::Discovery)?;
    let store = Store::new(state.store());
    let handovers = Arc::<Handovers>::default();
    let scan = start_scan(&catalog, &knowledge, &store, (&handovers, &forgotten))?;
    let settings = Arc::new(settings);
    Ok(Arc::new(Services {
        settings: RwLock::new(Arc::clone(&settings)),
        started_with: settings,
        knowledge,
        catalog,
        engine,
        gate,
        discovery,
        neighbours,
        club_addresses,
        mirrors,
        swarms,
        store,
        scan,
        handovers,
        forgotten,
        verifications: Verifications::default(),
        offers: Offers::default(),
        passing: Passing::new(state.passing()),
        fetches: Fetches::default(),
        stories: Stories::default(),
        transactions: Transactions::default(),
        upload,
        counters,
        rates: Rates::default(),
        replication: Replication::default(),
        metainfo_memory: MetainfoMemory::default(),
        metainfo_shelf: MetainfoShelf::default(),
        peer_book: PeerBook::default(),
        newcomers: Newcomers::start().map_err(StartError::Thread)?,
        whereabouts,
        mirror_book: MirrorBook::load(state.mirrors(), Instant::now(), SystemTime::now()),
        databases,
        publications,
        editions,
        keyring,
        port_mapping,
        diagnoses: Diagnoses::default(),
        started: Instant::now(),
        stopping: CancellationToken::new(),
    }))
}

fn seeder(catalog: &Catalog, gate: &Gate, peer_id: PeerId) -> Seeder {
    let options = SeederOptions { listen_port: Some(gate.local_addr().port()), ..SeederOptions::new(peer_id) };
    Seeder::new(catalog.clone(), options)
}

/// What an earlier run left, without what must not be shared any more.
fn open_catalog(state: &StateDir, knowledge: &Knowledge, forgotten: &Forgotten) -> Catalog {
    let catalog = Catalog::open(&state.catalog());
    let sharing = knowledge.last_sharing();
    let may_stay = |row: &Row| sharing.reach(&row.id, &row.repository) > Reach::Nobody;
    catalog.retain(|row| may_stay(row) && !forgotten.contains(&row.id.sha256));
    catalog
}

fn start_scan(
    catalog: &Catalog,
    knowledge: &Arc<Knowledge>,
    store: &Store,
    (handovers, forgotten): (&Arc<Handovers>, &Arc<Forgotten>),
) -> Result<CacheScan, StartError> {
    let (handovers, forgotten) = (Arc::clone(handovers), Arc::clone(forgotten));
    let judge = DatabaseJudge { knowledge: Arc::clone(knowledge), handovers, forgotten };
    let options = ScanOptions {
        cache_dirs: knowledge.view().conf.cache_dirs.clone(),
        store: Some(StoreDir { path: store.directory().to_owned(), package_at: Store::package_at }),
    };
    CacheScan::start(options, catalog.clone(), Arc::new(judge)).map_err(StartError::Scan)
}

fn mirror_options(settings: &Settings) -> MirrorOptions {
    MirrorOptions {
        connections: settings.fetch.mirror_connections,
        connect_timeout: MIRROR_CONNECT_PATIENCE,
        stall_timeout: MIRROR_PATIENCE,
        download: settings.network.download_limit,
        ..MirrorOptions::default()
    }
}

fn gate_options(settings: &Settings, peer_id: PeerId) -> GateOptions {
    let secret: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
    GateOptions {
        listen: settings.network.listen,
        peer_id,
        scope: match settings.discovery.scope {
            Scope::Public => p2p_gate::Scope::Public,
            Scope::Lan => p2p_gate::Scope::Lan,
        },
        limits: Limits::default(),
        upload: settings.network.upload_limit,
        download: settings.network.download_limit,
        proxy_secret: Secret::new(secret).expect("letters and digits"),
    }
}

fn discovery_options(settings: &Settings, state: &Path, peer_id: PeerId, listen: SocketAddr) -> DiscoveryOptions {
    let settings = &settings.discovery;
    // Both are UDP: with one port for both, the DHT takes any other.
    let dht_port = if settings.dht_listen.port() == listen.port() { 0 } else { settings.dht_listen.port() };
    let dht = DhtOptions {
        listen: SocketAddrV4::new(*settings.dht_listen.ip(), dht_port),
        bootstrap: settings.dht_bootstrap.clone(),
        state_dir: state.to_owned(),
    };
    DiscoveryOptions {
        scope: match settings.scope {
            Scope::Public => p2p_discovery::Scope::Public,
            Scope::Lan => p2p_discovery::Scope::Lan,
        },
        lan: settings.lan,
        dht: settings.dht.then_some(dht),
        trackers: settings.trackers.clone(),
        peers: settings.peers.clone(),
        port: listen.port(),
        peer_id,
        user_agent: MirrorOptions::default().user_agent,
        announce_budget: settings.announce_budget,
        announces: Some(state.join("announces")),
    }
}

async fn serve(listener: Socket, api: Api, stopping: CancellationToken) {
    let service: IntoMakeServiceWithConnectInfo<Router, Caller> = api.router().into_make_service_with_connect_info();
    let server = axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned());
    if let Err(error) = server.await {
        tracing::error!(%error, "the socket has failed");
    }
}

fn warn_of_what_is_to_come(settings: &Settings) {
    if settings.fetch.policy == Policy::Speed {
        tracing::info!(
            "fetch.policy = \"speed\" does what \"balanced\" does as long as there are no neighbours to wait for"
        );
    }
}

async fn stop(services: &Services, state: &StateDir, socket: &Path) {
    tasks::save_counters(services, &state.counters());
    tasks::save_mirrors(services);
    services.club_addresses.save(&services.neighbours);
    let discovery = tokio::time::timeout(STOP_TIMEOUT, services.discovery.stop());
    let _ = tokio::join!(discovery, services.port_mapping.stop());
    services.catalog.flush();
    for path in [socket.to_owned(), p2p_api::heartbeat_path(socket)] {
        let _ = fs::remove_file(path);
    }
}
