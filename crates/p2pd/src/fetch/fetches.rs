//! The files that clients wait for: one entry each, however many wait.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_api::{ActiveFetch, Failed, FailureCode, Ready};
use p2p_pacman::{Known, Request};
use tokio::sync::watch;

use super::package::PackageFetch;
use super::plain::PlainFetch;
use super::snapshot::{Outcome, Snapshot};
use crate::knowledge::Target;
use crate::services::Services;

/// A failure is remembered for this long: pacman asks once for each mirror, and we have asked them all. The client tries by
/// itself in between, so nothing is lost where the network comes back.
const FAILURE_LIFE: Duration = Duration::from_secs(30);
/// Files that may be on their way at one time.
const MAX_ACTIVE: usize = 256;

/// The fetches in progress, and the failures that are still worth remembering.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    active: BTreeMap<String, Active>,
    failures: BTreeMap<String, (Instant, Failed)>,
}

#[derive(Debug)]
struct Active {
    file_name: String,
    publish: Arc<watch::Sender<Snapshot>>,
    last_done: u64,
    rate: u64,
}

/// Too many fetches are in progress.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_ACTIVE} files are being fetched already")]
pub(crate) struct TooBusy;

impl Fetches {
    /// Joins the fetch of the file that `request` names, or begins it.
    pub(crate) async fn join(
        &self,
        services: &Arc<Services>,
        request: Request,
    ) -> Result<watch::Receiver<Snapshot>, TooBusy> {
        let knowledge = Arc::clone(&services.knowledge);
        let target = tokio::task::spawn_blocking(move || knowledge.target(request)).await;
        let mut target = target.expect("reading databases does not panic");
        services.mirror_book.choose(&mut target.mirrors, Instant::now());
        if let Some(ready) = target.known.as_ref().and_then(|known| in_catalog(services, known)) {
            return Ok(ended(Outcome::Ready(ready)));
        }
        if let Some(signature) = target.signature {
            return Ok(ended(services.passing.put(signature).await));
        }
        let key = key(&target);
        let mut table = self.lock();
        table.failures.retain(|_, (at, _)| at.elapsed() < FAILURE_LIFE);
        if let Some((_, failed)) = table.failures.get(&key) {
            return Ok(ended(Outcome::Failed(failed.clone())));
        }
        if let Some(active) = table.active.get(&key) {
            return Ok(active.publish.subscribe());
        }
        if table.active.len() >= MAX_ACTIVE {
            return Err(TooBusy);
        }
        let (publish, receiver) = watch::channel(Snapshot::default());
        let publish = Arc::new(publish);
        let file_name = target.request.file_name.clone();
        let active = Active { file_name, publish: Arc::clone(&publish), last_done: 0, rate: 0 };
        table.active.insert(key.clone(), active);
        drop(table);
        tokio::spawn(run(Arc::clone(services), key, target, publish));
        Ok(receiver)
    }

    /// What is in progress, for people.
    pub(crate) fn active(&self) -> Vec<ActiveFetch> {
        let table = self.lock();
        let describe = |active: &Active| {
            let snapshot = active.publish.borrow();
            ActiveFetch {
                file_name: active.file_name.clone(),
                done: snapshot.done,
                total: snapshot.total,
                from_peers: snapshot.from_peers,
                rate: active.rate,
            }
        };
        table.active.values().map(describe).collect()
    }

    /// Measures the rates; called once a second.
    pub(crate) fn measure(&self) {
        for active in self.lock().active.values_mut() {
            let done = active.publish.borrow().done;
            active.rate = done.saturating_sub(active.last_done);
            active.last_done = done;
        }
    }

    /// Whether a fetch in progress writes to this file.
    pub(crate) fn writes(&self, path: &Path) -> bool {
        self.lock().active.values().any(|active| active.publish.borrow().source.as_deref() == Some(path))
    }

    /// Ends an entry; false where clients have come to a fetch that was given up for want of any.
    fn end(&self, key: &str, outcome: &Outcome) -> bool {
        let mut table = self.lock();
        let wanted = table.active.get(key).is_some_and(|active| active.publish.receiver_count() > 0);
        if matches!(outcome, Outcome::Abandoned) && wanted {
            return false;
        }
        table.active.remove(key);
        if let Outcome::Failed(failed) = outcome
            && matches!(failed.code, FailureCode::NotFound | FailureCode::Unreachable)
        {
            table.failures.insert(key.to_owned(), (Instant::now(), failed.clone()));
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients that ask for the same package share a fetch, whatever mirror they name.
fn key(target: &Target) -> String {
    match (&target.known, &target.repository) {
        (Some(known), _) => known.id.sha256.to_string(),
        (None, Some(repository)) => format!("{repository}/{}", target.request.file_name),
        (None, None) => target.request.url.to_string(),
    }
}

fn in_catalog(services: &Services, known: &Known) -> Option<Ready> {
    let row = services.catalog.by_name(&known.id.file_name).filter(|row| row.id == known.id)?;
    if !row.is_unchanged() {
        services.catalog.withdraw(&row);
        return None;
    }
    services.handovers.note(&row.path, &row.id.file_name, Instant::now());
    services.catalog.touch(&row.info_hash(), SystemTime::now());
    let (size, path) = (row.id.size, row.path.clone());
    let modified = fs_err::metadata(&path).and_then(|metadata| metadata.modified()).ok();
    let modified = modified.and_then(super::package::seconds_since_1970);
    Some(Ready {
        path,
        size,
        modified,
        verified: true,
        from_peers: 0,
        from_mirrors: 0,
        signature: None,
        transaction: None,
    })
}

fn ended(outcome: Outcome) -> watch::Receiver<Snapshot> {
    watch::channel(Snapshot { outcome: Some(outcome), ..Snapshot::default() }).1
}

async fn run(services: Arc<Services>, key: String, target: Target, publish: Arc<watch::Sender<Snapshot>>) {
    let started = Instant::now();
    let file = target.request.file_name.clone();
    let outcome = loop {
        // In a task of its own: should it panic, its clients still hear of the end.
        let fetched = tokio::spawn(fetch(Arc::clone(&services), target.clone(), Arc::clone(&publish))).await;
        let outcome = fetched.unwrap_or_else(|error| {
            tracing::error!(file, %error, "a fetch has broken down");
            let message = "the fetch has broken down".to_owned();
            Outcome::Failed(Failed { code: FailureCode::Internal, message, hint: None })
        });
        if services.fetches.end(&key, &outcome) {
            break outcome;
        }
    };
    let elapsed_ms = started.elapsed().as_millis();
    match &outcome {
        Outcome::Ready(ready) => {
            let (bytes, from_peers) = (ready.size, ready.from_peers);
            tracing::info!(file, bytes, from_peers, elapsed_ms, "fetched");
        }
        Outcome::Failed(failed) => tracing::info!(file, error = failed.message, elapsed_ms, "not fetched"),
        Outcome::Abandoned => tracing::info!(file, elapsed_ms, "abandoned"),
    }
    publish.send_modify(|snapshot| snapshot.outcome = Some(outcome));
}

async fn fetch(services: Arc<Services>, target: Target, publish: Arc<watch::Sender<Snapshot>>) -> Outcome {
    let plain = PlainFetch {
        services: Arc::clone(&services),
        kind: target.request.kind.clone(),
        file_name: target.request.file_name.clone(),
        mirrors: target.mirrors.clone(),
        publish: Arc::clone(&publish),
    };
    let Some(known) = target.known.clone() else { return plain.run().await };
    let named = target.request.url.clone();
    let name = known.id.file_name.clone();
    let outcome = match PackageFetch::new(services, known, target, publish) {
        Ok(fetch) => fetch.run().await,
        Err(fault) => super::package::disk_failure(&fault),
    };
    if !matches!(&outcome, Outcome::Failed(failed) if failed.code == FailureCode::Mismatch) {
        return outcome;
    }
    // Our database may be the stale one: pacman judges what the mirror that it named sends. Bytes from peers never.
    tracing::warn!(package = %name, "no source has the sync database's SHA-256; pacman will judge the mirror's file");
    PlainFetch { mirrors: vec![named], ..plain }.run().await
}
