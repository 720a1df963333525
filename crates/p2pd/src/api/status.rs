//! `GET /v1/status`.

use axum::Json;
use axum::extract::{ConnectInfo, State};
use p2p_api::{Announcing, Discovery, Scope, ServiceState, Status, Tracker};
use p2p_discovery::{Activity, Health};

use super::{Api, Caller};
use crate::services::Services;

/// Everything at a glance.
pub(super) async fn show(State(api): State<Api>, ConnectInfo(caller): ConnectInfo<Caller>) -> Json<Status> {
    let mut status = of(&api.services);
    if !api.access.may_fetch(&caller) {
        // What is fetched may come from a private repository, which is nobody else's business.
        status.fetches.clear();
    }
    Json(status)
}

fn of(services: &Services) -> Status {
    let (seeded, gate, health) = (services.catalog.totals(), services.gate.totals(), services.discovery.health());
    let rates = services.rates.now();
    let fetches = services.fetches.active();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: services.started.elapsed().as_secs(),
        listen: services.listen().to_string(),
        packages_seeded: seeded.packages,
        bytes_seeded: seeded.bytes,
        uploaded_bytes: services.counters.uploaded(gate.uploaded),
        downloaded_from_peers_bytes: services.counters.peers_bytes(),
        downloaded_from_mirrors_bytes: services.counters.mirrors_bytes(),
        upload_rate: rates.upload,
        download_rate: rates.download,
        neighbours: services.neighbours.count() as u64,
        peers: gate.connections as u64,
        dht_nodes: health.dht_nodes as u64,
        active_fetches: fetches.len() as u64,
        fetches,
        databases: Some(crate::freshness::describe(services)),
        keyring_fault: services.keyring.trouble(),
        announcing: Some(announcing(services, health.announcing)),
        discovery: discovery(services, health),
        upload: Some(services.upload.describe(services)),
        store_bytes: services.store.bytes(),
        cache_server: services.knowledge.cache_server().map(|bound| bound.to_string()),
        replicate: services.replication.status(),
        port_mapping: Some(services.port_mapping.status()),
    }
}

fn announcing(services: &Services, announcing: p2p_discovery::Announcing) -> Announcing {
    let budget = u64::from(services.started_with.discovery.announce_budget);
    let p2p_discovery::Announcing { offers, due, packets } = announcing;
    Announcing { offers: offers as u64, due: due as u64, packets, budget }
}

fn discovery(services: &Services, health: Health) -> Discovery {
    let scope = match services.started_with.discovery.scope {
        crate::config::Scope::Public => Scope::Public,
        crate::config::Scope::Lan => Scope::Lan,
    };
    let trackers = health.trackers.into_iter().map(|tracker| Tracker {
        url: tracker.url.to_string(),
        last_error: tracker.last_error,
        peers: tracker.peers as u64,
    });
    Discovery { scope, lan: state(health.lan), dht: state(health.dht), trackers: trackers.collect() }
}

fn state(activity: Activity) -> ServiceState {
    match activity {
        Activity::On => ServiceState::On,
        Activity::Off => ServiceState::Off,
        Activity::Failed => ServiceState::Failed,
    }
}
