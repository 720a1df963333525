//! `GET /v1/neighbours`.

use axum::Json;
use axum::extract::State;
use p2p_api::{Neighbour, NeighbourOrigin};
use p2p_neighbours::{Asker, Origin};

use super::Api;
use crate::clubs;

/// Who is here, the nearest first.
pub(super) async fn list(State(api): State<Api>) -> Json<Vec<Neighbour>> {
    let clubs = clubs::names(&api.services.knowledge);
    let describe = |neighbour: p2p_neighbours::Neighbour| Neighbour {
        address: neighbour.address.to_string(),
        repository: clubs.get(&neighbour.club).cloned(),
        local: neighbour.asker == Asker::Local,
        origin: match neighbour.origin {
            Some(Origin::Configured) => NeighbourOrigin::Configured,
            Some(Origin::Lan) => NeighbourOrigin::Lan,
            Some(Origin::Remembered) => NeighbourOrigin::Remembered,
            Some(Origin::Neighbour) | None => NeighbourOrigin::Neighbour,
            Some(Origin::Tracker) => NeighbourOrigin::Tracker,
            Some(Origin::Dht) => NeighbourOrigin::Dht,
        },
        version: neighbour.version,
        connected_seconds: neighbour.since.elapsed().as_secs(),
        round_trip_us: neighbour.round_trip.and_then(|time| u64::try_from(time.as_micros()).ok()),
    };
    Json(api.services.neighbours.list().into_iter().map(describe).collect())
}
