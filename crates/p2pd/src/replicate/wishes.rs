//! One package of the set: how it comes, and how it goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use p2p_api::{Failed, FailureCode};
use p2p_package::PackageId;
use p2p_pacman::Request;
use p2p_seeder::Row;

use super::plan::Wish;
use super::{QUIET, RESERVE, RESERVE_PART};
use crate::fetch::{Outcome, Store};
use crate::services::Services;

/// Fetches the package; none where somebody has come who waits for another, or for this one.
pub(super) async fn fetch(services: &Arc<Services>, wish: &Wish, leisure: Duration) -> Option<Outcome> {
    let mut urgent = services.fetches.urgent();
    quiet(&mut urgent).await;
    let Some(request) = request(services, wish).await else {
        return Some(failed(FailureCode::NotFound, "the repository has no mirror"));
    };
    let Ok(mut fetch) = services.fetches.join_at_leisure(services, request, leisure).await else {
        return Some(failed(FailureCode::Internal, "too many files are being fetched"));
    };
    tokio::select! {
        biased;
        ended = fetch.wait_for(|snapshot| snapshot.outcome.is_some()) => ended.ok()?.outcome.clone(),
        _ = urgent.wait_for(|urgent| *urgent > 0) => None,
    }
}

/// Returns when nobody has waited for a file for a while.
async fn quiet(urgent: &mut tokio::sync::watch::Receiver<usize>) {
    while *urgent.borrow_and_update() > 0 {
        // The sender lives as long as the daemon.
        let _ = urgent.wait_for(|urgent| *urgent == 0).await;
        let _ = tokio::time::timeout(QUIET, urgent.changed()).await;
    }
}

async fn request(services: &Arc<Services>, wish: &Wish) -> Option<Request> {
    let (knowledge, name) = (Arc::clone(&services.knowledge), Arc::clone(&wish.repository));
    let servers = tokio::task::spawn_blocking(move || {
        let view = knowledge.view();
        let repository = view.conf.repositories.iter().find(|repository| repository.name == *name)?;
        Some(knowledge.mirrors_of(&repository.servers))
    });
    let servers = servers.await.expect("reading the configuration does not panic")?;
    servers.iter().find_map(|server| Request::from_url(&format!("{server}/{}", wish.id.file_name)).ok())
}

fn failed(code: FailureCode, message: &str) -> Outcome {
    Outcome::Failed(Failed { code, message: message.to_owned(), hint: None })
}

/// Removes the package from catalog and store; false where a client may be about to open it. Blocks.
pub(super) fn discard(services: &Services, id: &PackageId) -> bool {
    let is_it = |row: &Arc<Row>| row.id == *id && services.store.contains(&row.path);
    let row = services.catalog.by_name(&id.file_name).filter(is_it);
    // Without a row it is still being hashed.
    let unhashed = || services.store.marked().ok()?.remove(&Store::mark(id)).map(|marked| marked.path);
    let path = row.as_ref().map(|row| row.path.clone()).or_else(unhashed);
    if path.as_ref().is_some_and(|path| services.is_in_use(path)) {
        return false;
    }
    if let Some(row) = row {
        services.catalog.withdraw(&row);
    }
    if let Some(path) = path {
        Store::discard(&path);
    }
    services.store.replicas().remove(Store::mark(id));
    true
}

/// Bytes that may be written to the file system of this directory, the reserve left out; none where it does not tell.
pub(super) fn room(directory: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(directory).ok()?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let all = system.f_blocks.saturating_mul(system.f_frsize);
    Some(free.saturating_sub(RESERVE.min(all / RESERVE_PART)))
}
