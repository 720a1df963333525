//! The files that clients wait for: one entry each, however many wait.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_api::{ActiveFetch, Failed, FailureCode, Ready};
use p2p_pacman::{Kind, Known, Request};
use tokio::sync::watch;
use url::Url;

use super::haste::Haste;
use super::package::PackageFetch;
use super::plain::PlainFetch;
use super::snapshot::{Outcome, Snapshot};
use super::wanted::Wanted;
use crate::knowledge::Target;
use crate::services::Services;
use crate::sharing::Reach;

/// A failure is remembered for this long: pacman asks once for each mirror, and we have asked them all.
const FAILURE_LIFE: Duration = Duration::from_secs(30);
/// Files that may be on their way at one time.
const MAX_ACTIVE: usize = 256;

/// The fetches in progress, and the failures that are still worth remembering.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    table: Mutex<Table>,
    /// How many files somebody waits for.
    urgent: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Table {
    active: BTreeMap<String, Active>,
    failures: BTreeMap<String, Failure>,
}

/// A file that could not be had.
#[derive(Debug)]
struct Failure {
    at: Instant,
    failed: Failed,
    /// Who was asked. A URL that is not among them is worth a new attempt.
    mirrors: Vec<Url>,
    /// How many neighbours there were: with more of them it is worth a new attempt, too.
    neighbours: usize,
}

impl Failure {
    /// What whoever asks again is told.
    fn again(&self) -> Failed {
        let mut failed = self.failed.clone();
        if failed.code == FailureCode::Unreachable {
            failed.code = FailureCode::StillUnreachable;
        }
        failed
    }
}

#[derive(Debug)]
struct Active {
    file_name: String,
    publish: Arc<watch::Sender<Snapshot>>,
    haste: Haste,
    measured: Instant,
    last_done: u64,
    rate: u64,
}

/// Too many fetches are in progress.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_ACTIVE} files are being fetched already")]
pub(crate) struct TooBusy;

impl Fetches {
    /// Joins the fetch of the file that is wanted, or begins it.
    pub(crate) async fn join(
        &self,
        services: &Arc<Services>,
        wanted: impl Into<Wanted>,
    ) -> Result<watch::Receiver<Snapshot>, TooBusy> {
        self.enter(services, wanted.into(), Haste::urgent()).await
    }

    /// The same for somebody who has time: peers get `leisure` before a mirror is asked, and it ends as soon as nobody holds on
    /// to it.
    pub(crate) async fn join_at_leisure(
        &self,
        services: &Arc<Services>,
        request: Request,
        leisure: Duration,
    ) -> Result<watch::Receiver<Snapshot>, TooBusy> {
        self.enter(services, request.into(), Haste::leisurely(leisure)).await
    }

    /// How many files somebody waits for.
    pub(crate) fn urgent(&self) -> watch::Receiver<usize> {
        self.urgent.subscribe()
    }

    async fn enter(
        &self,
        services: &Arc<Services>,
        wanted: Wanted,
        haste: Haste,
    ) -> Result<watch::Receiver<Snapshot>, TooBusy> {
        let knowledge = Arc::clone(&services.knowledge);
        let target = tokio::task::spawn_blocking(move || knowledge.target(wanted)).await;
        let mut target = target.expect("reading databases does not panic");
        services.mirror_book.choose(&mut target.mirrors, Instant::now());
        if haste.is_urgent() {
            note_wanted(services, &target);
        }
        if let Some(ready) = target.known.as_ref().and_then(|known| in_catalog(services, known, &haste)) {
            return Ok(ended(Outcome::Ready(ready)));
        }
        if let Some(signature) = target.signature {
            return Ok(ended(services.passing.put(signature).await));
        }
        let key = key(&target);
        let mut table = self.lock();
        table.failures.retain(|_, failure| failure.at.elapsed() < FAILURE_LIFE);
        let neighbours = services.neighbours.count();
        let still_holds =
            |failure: &&Failure| failure.mirrors.contains(&target.request.url) && neighbours <= failure.neighbours;
        if let Some(failure) = table.failures.get(&key).filter(still_holds) {
            return Ok(ended(Outcome::Failed(failure.again())));
        }
        if let Some(active) = table.active.get(&key) {
            if haste.is_urgent() {
                active.haste.hurry();
                self.count(&table);
            }
            return Ok(active.publish.subscribe());
        }
        if table.active.len() >= MAX_ACTIVE {
            return Err(TooBusy);
        }
        let (publish, receiver) = watch::channel(Snapshot::default());
        let publish = Arc::new(publish);
        let file_name = target.request.file_name.clone();
        let (publisher, measured) = (Arc::clone(&publish), Instant::now());
        let active = Active { file_name, publish: publisher, haste: haste.clone(), measured, last_done: 0, rate: 0 };
        table.active.insert(key.clone(), active);
        self.count(&table);
        drop(table);
        tokio::spawn(run(Arc::clone(services), key, target, (publish, haste)));
        Ok(receiver)
    }

    /// Keeps peers' bytes out of a growing file from now on; false where it may hold some already, or has ended.
    pub(crate) fn pin(&self, fetch: &watch::Receiver<Snapshot>) -> bool {
        let table = self.lock();
        let active = table.active.values().find(|active| active.publish.subscribe().same_channel(fetch));
        active.is_some_and(|active| {
            // In one step with the fetch's own decision to join a swarm: see `PackageFetch::join_swarm`.
            active.publish.send_if_modified(|snapshot| {
                snapshot.pinned |= snapshot.mirrors_alone;
                snapshot.pinned
            })
        })
    }

    /// Waits until this database of a repository, `core/core.db` say, is not being fetched.
    pub(crate) async fn settle(&self, database: &str) {
        for key in [database.to_owned(), format!("!{database}")] {
            let snapshots = self.lock().active.get(&key).map(|active| active.publish.subscribe());
            if let Some(mut snapshots) = snapshots {
                // An error means that it has ended, too.
                let _ = snapshots.wait_for(|snapshot| snapshot.outcome.is_some()).await;
            }
        }
    }

    /// What somebody waits for, for people.
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
        table.active.values().filter(|active| active.haste.is_urgent()).map(describe).collect()
    }

    /// Measures the rates since the last call.
    pub(crate) fn measure(&self, now: Instant) {
        for active in self.lock().active.values_mut() {
            let done = active.publish.borrow().done;
            let millis = now.duration_since(active.measured).as_millis().max(1);
            let rate = u128::from(done.saturating_sub(active.last_done)) * 1000 / millis;
            active.rate = u64::try_from(rate).unwrap_or(u64::MAX);
            (active.last_done, active.measured) = (done, now);
        }
    }

    /// Whether a fetch in progress writes to this file.
    pub(crate) fn writes(&self, path: &Path) -> bool {
        self.lock().active.values().any(|active| active.publish.borrow().source.as_deref() == Some(path))
    }

    /// Ends an entry; false where clients have come to a fetch that was given up for want of any.
    fn end(&self, key: &str, (mirrors, neighbours): (&[Url], usize), outcome: &Outcome) -> bool {
        let mut table = self.lock();
        let wanted = table.active.get(key).is_some_and(|active| active.publish.receiver_count() > 0);
        if matches!(outcome, Outcome::Abandoned) && wanted {
            return false;
        }
        let active = table.active.remove(key);
        self.count(&table);
        // Who waits deserves an attempt of their own.
        if active.is_some_and(|active| active.haste.is_urgent())
            && let Outcome::Failed(failed) = outcome
            && matches!(failed.code, FailureCode::NotFound | FailureCode::Unreachable)
            && !(failed.code == FailureCode::NotFound && is_database_signature(key))
        {
            let failure = Failure { at: Instant::now(), failed: failed.clone(), mirrors: mirrors.to_vec(), neighbours };
            table.failures.insert(key.to_owned(), failure);
        }
        true
    }

    fn count(&self, table: &Table) {
        let urgent = table.active.values().filter(|active| active.haste.is_urgent()).count();
        self.urgent.send_if_modified(|before| std::mem::replace(before, urgent) != urgent);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients that ask for the same package share a fetch, whatever mirror they name. One who insists on a mirror's own answer does
/// not share the fetch of one who doesn't.
fn key(target: &Target) -> String {
    let insists = if target.force && target.known.is_none() { "!" } else { "" };
    match (&target.known, &target.repository) {
        (Some(known), _) => known.id.sha256.to_string(),
        (None, Some(repository)) => format!("{insists}{repository}/{}", target.request.file_name),
        (None, None) => format!("{insists}{}", target.request.url),
    }
}

/// That it is missing is for [`Databases`](super::Databases) to remember: it depends on the database.
fn is_database_signature(key: &str) -> bool {
    key.ends_with(".db.sig") || key.ends_with(".files.sig")
}

fn in_catalog(services: &Services, known: &Known, haste: &Haste) -> Option<Ready> {
    let row = services.catalog.by_name(&known.id.file_name).filter(|row| row.id == known.id)?;
    if !row.is_unchanged() {
        services.catalog.withdraw(&row);
        return None;
    }
    if haste.is_urgent() {
        services.handovers.note(&row.path, &row.id.file_name, Instant::now());
        services.catalog.touch(&row.info_hash(), SystemTime::now());
    }
    let (size, path) = (row.id.size, row.path.clone());
    let modified = super::package::modified(&path).and_then(super::package::seconds_since_1970);
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

/// What everybody may have is worth replicating; what is nobody's business is not even noted.
fn note_wanted(services: &Services, target: &Target) {
    let sharing = services.knowledge.last_sharing();
    let public = |known: &&Known| sharing.reach(&known.id, &known.repository) == Reach::Public;
    if let Some(known) = target.known.as_ref().filter(public) {
        services.replication.note_wanted(&known.id.file_name);
    }
}

fn ended(outcome: Outcome) -> watch::Receiver<Snapshot> {
    watch::channel(Snapshot { outcome: Some(outcome), ..Snapshot::default() }).1
}

/// Who is told, and how they wait.
type Clients = (Arc<watch::Sender<Snapshot>>, Haste);

async fn run(services: Arc<Services>, key: String, target: Target, clients: Clients) {
    let started = Instant::now();
    let file = target.request.file_name.clone();
    let outcome = loop {
        let at_leisure = !clients.1.is_urgent();
        // In a task of its own: should it panic, its clients still hear of the end.
        let fetched = tokio::spawn(fetch(Arc::clone(&services), target.clone(), clients.clone()));
        let fetched = undisturbed(&services, &clients.1, fetched).await;
        let outcome = fetched.unwrap_or_else(|error| {
            tracing::error!(file, %error, "a fetch has broken down");
            let message = "the fetch has broken down".to_owned();
            Outcome::Failed(Failed { code: FailureCode::Internal, message, hint: None })
        });
        // Who came meanwhile deserves an attempt of their own.
        if at_leisure && clients.1.is_urgent() && matches!(outcome, Outcome::Failed(_)) {
            continue;
        }
        let asked = (target.mirrors.as_slice(), services.neighbours.count());
        if services.fetches.end(&key, asked, &outcome) {
            break outcome;
        }
    };
    // Clients first: the log can wait.
    clients.0.send_modify(|snapshot| snapshot.outcome = Some(outcome.clone()));
    log(&file, &outcome, started.elapsed());
}

fn log(file: &str, outcome: &Outcome, elapsed: Duration) {
    let elapsed_ms = elapsed.as_millis();
    match outcome {
        Outcome::Ready(ready) => {
            let (bytes, from_peers) = (ready.size, ready.from_peers);
            tracing::info!(file, bytes, from_peers, elapsed_ms, "fetched");
        }
        Outcome::Failed(failed) => tracing::info!(file, error = failed.message, elapsed_ms, "not fetched"),
        Outcome::Abandoned => tracing::info!(file, elapsed_ms, "abandoned"),
    }
}

/// Waits for the end of a fetch; as soon as somebody else waits for it, nothing is hashed beside it.
async fn undisturbed<T>(services: &Services, haste: &Haste, fetch: impl Future<Output = T>) -> T {
    let (mut fetch, mut hold) = (std::pin::pin!(fetch), None);
    loop {
        tokio::select! {
            biased;
            () = haste.urged(), if hold.is_none() => hold = Some(services.scan.hold()),
            ended = &mut fetch => return ended,
        }
    }
}

async fn fetch(services: Arc<Services>, target: Target, (publish, haste): Clients) -> Outcome {
    let is_unknown = target.known.is_none() && matches!(target.request.kind, Kind::Package(_));
    let opening = is_unknown.then(|| super::package::unlisted(&services, &target));
    let story = opening.map(|opening| services.stories.begin(&target.request.file_name, opening));
    let plain = PlainFetch {
        services: Arc::clone(&services),
        kind: target.request.kind.clone(),
        file_name: target.request.file_name.clone(),
        repository: target.repository.clone(),
        package: target.signed.clone(),
        force: target.force,
        mirrors: target.mirrors.clone(),
        publish: Arc::clone(&publish),
        story: story.clone(),
    };
    let Some(known) = target.known.clone() else {
        let outcome = if haste.is_urgent() { plain.run().await } else { unlisted() };
        if let Some(story) = story {
            story.end(&outcome);
        }
        return outcome;
    };
    let (named, claimed) = (target.request.url.clone(), target.claimed);
    let name = known.id.file_name.clone();
    let outcome = match PackageFetch::new(services, known, target, (publish, haste.clone())) {
        Ok(fetch) => fetch.run().await,
        Err(fault) => super::package::disk_failure(&fault),
    };
    if claimed
        || !haste.is_urgent()
        || !matches!(&outcome, Outcome::Failed(failed) if failed.code == FailureCode::Mismatch)
    {
        return outcome;
    }
    // Our database may be the stale one: pacman judges what the mirror that it named sends. Bytes from peers never.
    tracing::warn!(package = %name, "no source has the sync database's SHA-256; pacman will judge the mirror's file");
    PlainFetch { mirrors: vec![named], ..plain }.run().await
}

/// The record for what nobody waits for, and no database lists any more.
fn unlisted() -> Outcome {
    let message = "no database lists it any more".to_owned();
    Outcome::Failed(Failed { code: FailureCode::NotFound, message, hint: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_mirrors_alone_have_written_to_is_pinned_and_only_while_it_grows() {
        let fetches = Fetches::default();
        let publish = Arc::new(watch::Sender::new(Snapshot::default()));
        let fetch = publish.subscribe();
        assert!(!fetches.pin(&fetch), "not in progress");
        let (file_name, measured) = ("a".to_owned(), Instant::now());
        let (publisher, haste) = (Arc::clone(&publish), Haste::urgent());
        let active = Active { file_name, publish: publisher, haste, measured, last_done: 0, rate: 0 };
        fetches.lock().active.insert("a".to_owned(), active);
        publish.send_modify(|snapshot| snapshot.mirrors_alone = false);
        assert!(!fetches.pin(&fetch) && !publish.borrow().pinned);
        publish.send_modify(|snapshot| snapshot.mirrors_alone = true);
        assert!(fetches.pin(&fetch) && fetches.pin(&fetch) && publish.borrow().pinned);
    }
}
