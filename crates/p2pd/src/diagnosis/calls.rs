//! Whether others reach us: some neighbours are asked to dial back.

use std::time::Duration;

use futures_util::future::join_all;
use p2p_api::{Calls, CallsBack};
use p2p_neighbours::{Asker, Neighbour};

use crate::services::Services;

/// Neighbours of each kind that are asked.
const MOST: usize = 3;
/// How long they get: their dial may take five seconds.
const WITHIN: Duration = Duration::from_secs(6);

/// Asks those far away, and those on the local networks.
pub(super) async fn ask(services: &Services) -> CallsBack {
    let (remote, local) = tokio::join!(ask_kind(services, Asker::Remote), ask_kind(services, Asker::Local));
    CallsBack { asked: true, remote, local }
}

async fn ask_kind(services: &Services, kind: Asker) -> Calls {
    let mut connected: Vec<Neighbour> = services.neighbours.list();
    connected.retain(|neighbour| neighbour.asker == kind);
    let port = services.listen().port();
    let call = |neighbour: &Neighbour| {
        let (neighbours, id) = (services.neighbours.clone(), neighbour.id);
        async move { tokio::time::timeout(WITHIN, neighbours.call_me(id, port)).await.ok().flatten() }
    };
    let answers = join_all(connected.iter().take(MOST).map(call)).await;
    let count = |answer| answers.iter().filter(|given| **given == Some(answer)).count() as u64;
    Calls { connected: connected.len() as u64, asked: answers.len() as u64, reached: count(true), failed: count(false) }
}
