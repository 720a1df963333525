//! The clubs that we are in: neighbours are found, dialled and answered.

mod addresses;
mod shelf;
mod sleep;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use p2p_discovery::Found;
use p2p_neighbours::{
    Asker, Call, Caller, CircleOptions, Dial, Neighbour, NeighbourOptions, Neighbours, Origin, Traffic,
};
use p2p_package::InfoHash;
use p2p_wire::{PeerId, club_id, is_global};
use rand::RngExt;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::knowledge::Knowledge;
use crate::services::Services;
pub(crate) use addresses::Addresses;
pub(crate) use shelf::CatalogShelf;
use sleep::Sleep;

/// Who has sent what it did not claim is not heard for so long.
const BARRED_FOR: Duration = Duration::from_mins(30);
/// A dial that the circle has given up must not be under way any more.
const _: () = assert!(p2p_gate::DIAL_WITHIN.as_millis() <= p2p_neighbours::DIAL_TIMEOUT.as_millis());

/// The neighbours of a daemon that is called at this port, and where they were when it ran last. Blocks.
pub(crate) fn start(
    shelf: CatalogShelf,
    peer_id: PeerId,
    listen_port: u16,
    addresses: PathBuf,
) -> (Neighbours, Addresses) {
    let options = NeighbourOptions { peer_id, listen_port, seed: rand::rng().random() };
    let neighbours = Neighbours::new(options, Arc::new(shelf));
    let addresses = Addresses::load(addresses, &neighbours);
    (neighbours, addresses)
}

/// Our clubs, and the repository of each: one that is shared, whatever else its packages are excluded by. As of the last
/// reading of pacman's configuration: this neither waits nor looks at a file.
pub(crate) fn names(knowledge: &Knowledge) -> BTreeMap<InfoHash, String> {
    let (view, sharing) = (knowledge.last_view(), knowledge.last_sharing());
    let Some(architecture) = view.conf.architectures.first() else { return BTreeMap::new() };
    let repositories = view.conf.repositories.iter().map(|repository| &repository.name);
    let shared = repositories.filter(|name| sharing.rules().shares(name));
    shared.map(|name| (club_id(name, architecture), name.clone())).collect()
}

/// Looks for neighbours, and dials those that are due, until the daemon stops.
pub(crate) async fn keep(services: Arc<Services>) {
    let mut sharing = services.knowledge.watch_sharing();
    let mut neighbours = services.neighbours.watch_count();
    let mut searches: BTreeMap<InfoHash, AbortOnDropHandle<()>> = BTreeMap::new();
    // As many as there may be calls at a time.
    let mut calls = JoinSet::new();
    let (mut links, mut sleep) = (services.discovery.watch_links(), Sleep::new());
    sharing.mark_changed();
    loop {
        tokio::select! {
            Ok(()) = sharing.changed() => {
                sharing.mark_unchanged();
                let clubs: Vec<InfoHash> = names(&services.knowledge).into_keys().collect();
                searches.retain(|club, _| clubs.contains(club));
                for club in &clubs {
                    searches.entry(*club).or_insert_with(|| search(&services, *club));
                }
                tracing::debug!(clubs = clubs.len(), "the clubs are joined");
                services.neighbours.join(clubs);
            }
            dial = services.neighbours.next_dial() => {
                tracing::debug!(peer = %dial.address, origin = ?dial.origin, "a neighbour is dialled");
                if let Err(fault) = services.gate.introduce(dial.club, dial.address, origin(&dial)) {
                    tracing::debug!(peer = %dial.address, error = %fault, "a neighbour is not dialled");
                    services.neighbours.dial_failed(dial.address);
                }
            }
            call = services.neighbours.next_call() => {
                calls.spawn(answer(call, &services));
            }
            Some(_) = calls.join_next() => {}
            Ok(()) = links.changed() => services.neighbours.network_changed(),
            () = sleep.end() => services.neighbours.resumed(),
            Ok(()) = neighbours.changed() => {
                let count = *neighbours.borrow_and_update();
                services.discovery.company(count, CircleOptions::default().most.saturating_sub(count));
            }
            () = services.stopping.cancelled() => return,
        }
    }
}

/// Calls a neighbour back, and tells it whether it was reached.
fn answer(call: Call, services: &Services) -> impl Future<Output = ()> + use<> {
    let reached = services.gate.probe(call.club, call.address, call.peer_id);
    async move {
        let reached = reached.await;
        tracing::debug!(peer = %call.address, reached, "a neighbour is called back");
        call.answer(reached);
    }
}

fn search(services: &Arc<Services>, club: InfoHash) -> AbortOnDropHandle<()> {
    let mut search = services.discovery.meet(club);
    let neighbours = services.neighbours.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(Found { address, origin }) = search.next().await {
            let origin = match origin {
                p2p_discovery::Origin::Configured => Origin::Configured,
                p2p_discovery::Origin::Lan => Origin::Lan,
                p2p_discovery::Origin::Tracker => Origin::Tracker,
                p2p_discovery::Origin::Dht => Origin::Dht,
            };
            neighbours.hear_of(address, origin, asker(address.ip()), Some(club));
        }
    }))
}

/// Somebody on the local network looks for one of our clubs.
pub(crate) fn hear(neighbours: &Neighbours, club: InfoHash, address: SocketAddr) {
    neighbours.hear_of(address, Origin::Lan, Asker::Local, Some(club));
}

/// Speaks with somebody who has come, or was dialled, for a club of ours.
pub(crate) fn serve(neighbours: Neighbours, visitor: p2p_gate::Visitor) -> p2p_gate::Serving {
    let p2p_gate::Visitor { stream, handshake, address, is_local, is_metered, direction, claims } = visitor;
    let asker = if is_local { Asker::Local } else { Asker::Remote };
    let traffic = if is_metered { Traffic::Limited } else { Traffic::Unlimited };
    let dialled_by_us = direction == p2p_gate::Direction::Outgoing;
    Box::pin(async move {
        let caller = Caller { handshake, address, asker, dialled_by_us, traffic };
        // A neighbour is silent for long, and wanted all the same.
        let end = neighbours.serve(stream, caller, || claims.note(p2p_gate::Claim::Kept)).await;
        tracing::debug!(peer = %address, ?end, "a neighbour has gone");
    })
}

/// A neighbour has lied: no more of it for a while, in whichever of our clubs it comes. Each connection is asked about all of them.
pub(crate) fn turn_away(services: &Services, neighbour: &Neighbour) {
    services.neighbours.turn_away(neighbour.id);
    for club in names(&services.knowledge).into_keys().chain([neighbour.club]) {
        services.gate.cut(club, neighbour.address, BARRED_FOR);
    }
}

/// Somebody who was a neighbour in an earlier run.
fn recall(neighbours: &Neighbours, address: SocketAddr) {
    neighbours.hear_of(address, Origin::Remembered, asker(address.ip()), None);
}

/// How near an address is that nobody has come from yet.
fn asker(address: IpAddr) -> Asker {
    if is_global(address) { Asker::Remote } else { Asker::Local }
}

/// What the gate judges by whether to dial. What an earlier run knew is as good as what somebody says now.
fn origin(dial: &Dial) -> p2p_gate::Origin {
    match dial.origin {
        Origin::Configured => p2p_gate::Origin::Configured,
        Origin::Lan => p2p_gate::Origin::Lan,
        Origin::Remembered if asker(dial.address.ip()) == Asker::Local => p2p_gate::Origin::Lan,
        Origin::Neighbour | Origin::Remembered => p2p_gate::Origin::Pex,
        Origin::Dht => p2p_gate::Origin::Dht,
        Origin::Tracker => p2p_gate::Origin::Tracker,
    }
}
