//! The daemon's long-lived tasks beside fetches: the heartbeat, the sweeper, the reloader.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;
use p2p_api::{API_VERSION, HEARTBEAT_INTERVAL, HOST, STATUS, VERSION_HEADER, heartbeat_path};
use p2p_seeder::Row;
use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::Signal;

use crate::api::Access;
use crate::config::Settings;
use crate::fetch::Store;
use crate::services::Services;
use crate::sharing::Reach;

/// A daemon that does not answer itself within this is not well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the totals are written down and old files are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Every second: asks ourselves over the socket, and only a good answer touches the heartbeat file and feeds the watchdog.
pub(crate) async fn beat(services: Arc<Services>, socket: PathBuf) {
    let heartbeat = heartbeat_path(&socket);
    let mut interval = tokio::time::interval(HEARTBEAT_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        measure(&services);
        match tokio::time::timeout(PROBE_TIMEOUT, probe(&socket)).await {
            Ok(Ok(())) => {
                if let Err(error) = fs::write(&heartbeat, b"") {
                    tracing::warn!(%error, "the heartbeat cannot be written; clients will pass us by");
                }
                notify(&[NotifyState::Watchdog, NotifyState::Status(&summary(&services))]);
            }
            Ok(Err(error)) => tracing::error!(%error, "our own socket does not answer"),
            Err(_) => tracing::error!("our own socket does not answer in time"),
        }
    }
}

/// Tells the service manager, where there is one.
pub(crate) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

fn measure(services: &Services) {
    let uploaded = services.gate.totals().uploaded;
    let downloaded = services.counters.peers_bytes() + services.counters.mirrors_bytes();
    services.rates.measure(uploaded, downloaded, Instant::now());
    services.fetches.measure(Instant::now());
}

fn summary(services: &Services) -> String {
    let (packages, fetches) = (services.catalog.totals().packages, services.fetches.active().len());
    format!("seeding {packages} packages, fetching {fetches} files")
}

async fn probe(socket: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("GET {STATUS} HTTP/1.0\r\nHost: {HOST}\r\n{VERSION_HEADER}: {API_VERSION}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; "HTTP/1.0 200".len()];
    stream.read_exact(&mut head).await?;
    if head.ends_with(b" 200") { Ok(()) } else { Err(std::io::Error::other("our own status is refused")) }
}

/// Every half minute: writes totals down, removes what nobody needs.
pub(crate) async fn sweep(services: Arc<Services>, counters: PathBuf) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        let (services, counters) = (Arc::clone(&services), counters.clone());
        let swept = tokio::task::spawn_blocking(move || sweep_once(&services, &counters)).await;
        swept.expect("sweeping does not panic");
    }
}

fn sweep_once(services: &Services, counters: &Path) {
    save_counters(services, counters);
    save_mirrors(services);
    services.club_addresses.save(&services.neighbours);
    let now = SystemTime::now();
    services.databases.sweep(Instant::now(), |path| services.transactions.holds(path));
    services.passing.sweep(now, |path| services.transactions.holds(path));
    discard_copies(services);
    review_sharing(services);
    if let Some(seeder) = services.swarms.seeder() {
        services.offers.tell_demand(&services.discovery, &seeder.demand(), Instant::now());
    }
    let seeded = |path: &Path| services.catalog.by_path(path).is_some();
    let in_use = |path: &Path| services.is_in_use(path);
    services.forgotten.take_unused(in_use).iter().for_each(|copy| Store::discard(copy));
    services.store.sweep(now, services.settings().seed.max_store, seeded, in_use);
}

/// What may not be shared any more leaves the catalog, and what is not public any more is not announced.
pub(crate) fn review_sharing(services: &Services) {
    let sharing = services.knowledge.sharing();
    let reach = |row: &Row| sharing.reach(&row.id, &row.repository);
    services.catalog.retain(|row| reach(row) > Reach::Nobody);
    services.offers.review(&services.discovery, &services.catalog, |row| reach(row) == Reach::Public);
}

/// The store's copy goes once pacman's cache has the package, and clients have had time to open the copy.
fn discard_copies(services: &Services) {
    for (path, name) in services.handovers.forget_old(Instant::now()) {
        let row = services.catalog.by_name(&name);
        if path.starts_with(services.store.directory()) && row.is_some_and(|row| row.path != path) {
            Store::discard(&path);
        }
    }
}

/// Writes the totals down.
pub(crate) fn save_counters(services: &Services, path: &Path) {
    if let Err(error) = services.counters.save(path, services.gate.totals().uploaded, services.upload.month(services)) {
        tracing::warn!(%error, "the totals cannot be saved");
    }
}

/// Writes down what is known of mirrors.
pub(crate) fn save_mirrors(services: &Services) {
    if let Err(error) = services.mirror_book.save(Instant::now(), SystemTime::now()) {
        tracing::warn!(%error, "what is known of mirrors cannot be saved");
    }
}

/// At each SIGHUP: reads the configuration again. A wrong one changes nothing.
pub(crate) async fn reload(services: Arc<Services>, access: Arc<Access>, config: PathBuf, mut hang_ups: Signal) {
    while hang_ups.recv().await.is_some() {
        match crate::read_settings(&config) {
            Ok(settings) => {
                let (services, access) = (Arc::clone(&services), Arc::clone(&access));
                // Databases may be read.
                let applied = tokio::task::spawn_blocking(move || apply(&services, &access, settings)).await;
                applied.expect("taking over settings does not panic");
            }
            Err(problems) => {
                tracing::error!(error = problems, "the configuration is wrong; the old one stays in force");
            }
        }
        services.scan.nudge();
    }
}

fn apply(services: &Services, access: &Access, settings: Settings) {
    let before = &services.started_with;
    let needs_restart = before.daemon.socket != settings.daemon.socket
        || before.daemon.state_dir != settings.daemon.state_dir
        || before.pacman != settings.pacman
        || before.network.listen != settings.network.listen
        || before.discovery != settings.discovery
        || before.fetch.mirror_connections != settings.fetch.mirror_connections
        || before.network.download_limit != settings.network.download_limit
        || before.network.port_mapping != settings.network.port_mapping
        || before.cache_server != settings.cache_server;
    access.set(&settings.daemon);
    // Connections and running fetches watch it, and heed it at once.
    services.knowledge.share(&settings.seed);
    review_sharing(services);
    *services.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    services.upload.handle_settings(services);
    services.replication.handle_reload();
    services.publications.nudge();
    if needs_restart {
        tracing::warn!("the configuration was read again; some of its changes need a restart");
    } else {
        tracing::info!("the configuration was read again");
    }
}
