//! Files that are fetched before somebody asks for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use p2p_api::TransactionProgress;
use p2p_package::{PackageId, Sha256};
use p2p_pacman::{Kind, Known};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::line::Line;
use crate::fetch::{Outcome, Snapshot, TooBusy, Turn, Wanted, Wish, look_ahead, turns, wish};
use crate::services::Services;
use crate::sharing::Reach;

/// One file of an order.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    pub(crate) wanted: Wanted,
    /// Also fetch `<file>.sig`, where the file is a package whose signature no sync database holds.
    pub(crate) with_signature: bool,
}

/// An order, and what has come of it.
///
/// It holds on to each fetch, so that none is given up for want of a client, and what no catalog knows can still be handed
/// over.
#[derive(Debug)]
pub(crate) struct Ahead(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    /// A client has asked for a file before its turn.
    changed: Notify,
    finished: watch::Sender<bool>,
    lanes: usize,
}

#[derive(Debug)]
struct Book {
    files: Vec<File>,
    /// Places in `files`; file names are unique in a transaction.
    by_name: BTreeMap<String, usize>,
    line: Line,
    /// Fetches that are not in the order: signatures, and what was asked for before it.
    others: BTreeMap<String, watch::Receiver<Snapshot>>,
    /// Files of the order that clients have asked for before their turn.
    attached: Vec<usize>,
    settled: TransactionProgress,
    /// What neighbours are asked for, and say.
    wish: Option<Wish>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct File {
    ordered: Ordered,
    /// What neighbours may be asked for.
    id: Option<Sha256>,
    /// In bytes, where a sync database knows it.
    size: Option<u64>,
    fetch: Option<watch::Receiver<Snapshot>>,
    ended: bool,
}

/// How many files that are in no order are held on to.
const MAX_OTHERS: usize = 1000;

impl Ahead {
    /// Nothing is ordered yet.
    pub(crate) fn new(services: &Services) -> Self {
        let lanes = services.started_with.fetch.mirror_connections;
        let book = Book {
            files: Vec::new(),
            by_name: BTreeMap::new(),
            line: Line::new([], lanes),
            others: BTreeMap::new(),
            attached: Vec::new(),
            settled: TransactionProgress::default(),
            wish: None,
            tasks: Vec::new(),
        };
        Self(Arc::new(Shared {
            book: Mutex::new(book),
            changed: Notify::new(),
            finished: watch::Sender::new(false),
            lanes,
        }))
    }

    /// Begins to fetch these files; says how many they are. A file that is named twice counts once.
    pub(crate) async fn order(&self, services: &Arc<Services>, files: Vec<Ordered>) -> u64 {
        let (asking, all) = (Arc::clone(services), files);
        let sized =
            tokio::task::spawn_blocking(move || all.into_iter().map(|ordered| size(&asking, ordered)).collect());
        let sized: Vec<Sized> = sized.await.expect("reading databases does not panic");
        let shared: Vec<PackageId> = sized.iter().filter_map(|sized| sized.shared.clone()).collect();
        let rate = sized.iter().find_map(|sized| sized.rate);
        let wish = wish(services, &shared, rate);
        let count = {
            let mut book = self.0.lock();
            book.wish = Some(wish);
            book.take(sized, self.0.lanes)
        };
        let fetching = tokio::spawn(fetch_all(Arc::clone(services), Arc::clone(&self.0)));
        // Those in front look for their own.
        let later: Vec<Wanted> = {
            let book = self.0.lock();
            book.files.iter().skip(self.0.lanes).map(|file| file.ordered.wanted.clone()).collect()
        };
        let looking = tokio::spawn(look_ahead(Arc::clone(services), later));
        self.0.lock().tasks = [fetching, looking].map(AbortOnDropHandle::new).into();
        count
    }

    /// Joins the fetch of a file, or takes what was fetched ahead.
    pub(crate) async fn join(
        &self,
        services: &Arc<Services>,
        wanted: Wanted,
    ) -> Result<watch::Receiver<Snapshot>, TooBusy> {
        let name = wanted.request.file_name.clone();
        let is_ours = |path: &Path| services.passing.contains(path) || services.store.contains(path);
        if let Some(fetch) = self.0.lock().usable(&name, is_ours).filter(|_| !wanted.force) {
            return Ok(fetch);
        }
        let fetch = services.fetches.join(services, wanted).await?;
        self.0.lock().attach(name, fetch.clone());
        self.0.changed.notify_one();
        Ok(fetch)
    }

    /// Whether this file was ordered.
    pub(crate) fn contains(&self, file_name: &str) -> bool {
        self.0.lock().by_name.contains_key(file_name)
    }

    /// How far all files are.
    pub(crate) fn progress(&self) -> TransactionProgress {
        self.0.lock().progress()
    }

    /// Ends when all files have come, or cannot be had.
    pub(crate) async fn finished(&self) {
        let mut finished = self.0.finished.subscribe();
        // The sender lives as long as we do.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    /// The files that could not be had, by URL, and why.
    pub(crate) fn failures(&self) -> Vec<(String, String)> {
        let book = self.0.lock();
        let why = |file: &File| {
            let fetch = file.fetch.as_ref()?.borrow();
            match &fetch.outcome {
                Some(Outcome::Ready(_)) => Some(None),
                Some(Outcome::Failed(failed)) => Some(Some(failed.message.clone())),
                Some(Outcome::Abandoned) | None => None,
            }
        };
        let failure = |file: &File| {
            let message = why(file).unwrap_or_else(|| Some("p2pd is too busy".to_owned()))?;
            Some((file.ordered.wanted.request.url.to_string(), message))
        };
        book.files.iter().filter_map(failure).collect()
    }

    /// Whether this complete file is held on to.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let is_at = |fetch: &watch::Receiver<Snapshot>| matches!(&fetch.borrow().outcome, Some(Outcome::Ready(ready)) if ready.path == path);
        let book = self.0.lock();
        book.files.iter().filter_map(|file| file.fetch.as_ref()).chain(book.others.values()).any(is_at)
    }

    /// Begins nothing more, and lets go of everything.
    pub(crate) fn stop(&self) {
        let mut book = self.0.lock();
        book.tasks.clear();
        book.others.clear();
        book.wish = None;
        book.files.iter_mut().for_each(|file| file.fetch = None);
    }
}

impl Drop for Ahead {
    /// Its tasks hold on to what they share with it.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn take(&mut self, sized: Vec<Sized>, lanes: usize) -> u64 {
        for Sized { ordered, size, shared, .. } in sized {
            let id = shared.map(|package| package.sha256);
            let name = ordered.wanted.request.file_name.clone();
            if let std::collections::btree_map::Entry::Vacant(place) = self.by_name.entry(name) {
                let fetch = self.others.remove(place.key());
                place.insert(self.files.len());
                self.files.push(File { ordered, id, size, fetch, ended: false });
            }
        }
        self.line = Line::new(self.files.iter().map(|file| file.size), lanes);
        let attached = self.files.iter().enumerate().filter(|(_, file)| file.fetch.is_some());
        self.attached = attached.map(|(at, _)| at).collect();
        self.attached.iter().for_each(|at| _ = self.line.handle_begun(*at));
        self.settled.files = self.files.len() as u64;
        self.settled.total = self.files.iter().filter_map(|file| file.size).sum();
        self.settled.files
    }

    /// A fetch that has the file, or may still get it.
    fn usable(&self, name: &str, is_ours: impl Fn(&Path) -> bool) -> Option<watch::Receiver<Snapshot>> {
        let known = self.by_name.get(name).map(|at| &self.files[*at]);
        let fetch = known.and_then(|file| file.fetch.as_ref()).or_else(|| self.others.get(name))?;
        let is_good = match &fetch.borrow().outcome {
            None => true,
            // What lies in pacman's cache may be another file by now.
            Some(Outcome::Ready(ready)) => {
                let length = fs_err::metadata(&ready.path).map(|metadata| metadata.len());
                is_ours(&ready.path) && length.is_ok_and(|length| length == ready.size)
            }
            Some(Outcome::Failed(_) | Outcome::Abandoned) => false,
        };
        is_good.then(|| fetch.clone())
    }

    fn attach(&mut self, name: String, fetch: watch::Receiver<Snapshot>) {
        match self.by_name.get(&name) {
            Some(at) => {
                if self.line.handle_begun(*at) {
                    self.attached.push(*at);
                }
                self.files[*at].fetch = Some(fetch);
            }
            None if self.others.len() < MAX_OTHERS => _ = self.others.insert(name, fetch),
            None => {}
        }
    }

    /// The next file to look after, by whose turn it is with those that neighbours may bring.
    fn next(&mut self, turns: &BTreeMap<usize, Turn>) -> Option<usize> {
        self.attached.pop().or_else(|| self.line.next(|at| turns.get(&at).copied().unwrap_or(Turn::Ours)))
    }

    /// What waits, and neighbours may bring.
    fn waiting(&self) -> Vec<(usize, Sha256)> {
        self.line.waiting().filter_map(|at| Some((at, self.files[at].id?))).collect()
    }

    fn end(&mut self, at: usize) {
        self.line.handle_end(at);
        let file = &mut self.files[at];
        if std::mem::replace(&mut file.ended, true) {
            return;
        }
        self.settled.files_done += 1;
        let Some(Outcome::Ready(ready)) = file.fetch.as_ref().and_then(|fetch| fetch.borrow().outcome.clone()) else {
            // What cannot be had is not waited for.
            self.settled.total -= file.size.unwrap_or(0);
            return;
        };
        self.settled.done += ready.size;
        self.settled.from_peers += ready.from_peers;
        self.settled.total = self.settled.total - file.size.unwrap_or(0) + ready.size;
    }

    fn progress(&self) -> TransactionProgress {
        let mut progress = self.settled;
        for file in self.files.iter().filter(|file| !file.ended) {
            let Some(snapshot) = file.fetch.as_ref().map(watch::Receiver::borrow) else { continue };
            progress.done += snapshot.done;
            // What no database knows has a size once a mirror has told it.
            progress.total += if file.size.is_none() { snapshot.total.unwrap_or(snapshot.done) } else { 0 };
            progress.from_peers += snapshot.from_peers;
        }
        progress
    }
}

/// What is known of a file before it is fetched.
struct Sized {
    ordered: Ordered,
    size: Option<u64>,
    /// Where everybody may hear of it.
    shared: Option<PackageId>,
    /// Bytes a second of its mirror.
    rate: Option<u64>,
}

fn size(services: &Services, ordered: Ordered) -> Sized {
    let target = services.knowledge.target(ordered.wanted.clone());
    let size = target.known.as_ref().map(|known| known.id.size);
    let rate = target.mirrors.first().and_then(|mirror| services.mirror_book.rate(mirror));
    let sharing = services.knowledge.last_sharing();
    let is_shared = |known: &Known| !target.claimed && sharing.reach(&known.id, &known.repository) == Reach::Public;
    let is_lacking = |id: &PackageId| services.catalog.by_sha256(&id.sha256).is_none();
    let shared =
        target.known.as_ref().filter(|known| is_shared(known)).map(|known| known.id.clone()).filter(is_lacking);
    Sized { ordered, size, shared, rate }
}

/// Fetches all files of the order. A file that a client has asked for meanwhile is waited for as well.
async fn fetch_all(services: Arc<Services>, shared: Arc<Shared>) {
    let mut running = FuturesUnordered::new();
    let mut whereabouts = services.whereabouts.changed();
    loop {
        whereabouts.mark_unchanged();
        let waiting = shared.lock().waiting();
        let ids: Vec<Sha256> = waiting.iter().map(|(_, id)| *id).collect();
        let turns = waiting.iter().map(|(at, _)| *at).zip(turns(&services, &ids)).collect();
        while let Some(at) = { shared.lock().next(&turns) } {
            running.push(fetch(&services, &shared, at));
        }
        let is_over = running.is_empty() && shared.lock().line.waiting().next().is_none();
        if is_over {
            break;
        }
        tokio::select! {
            Some(at) = running.next() => shared.lock().end(at),
            () = shared.changed.notified() => {}
            // The sender lives as long as the services.
            Ok(()) = whereabouts.changed() => {}
        }
    }
    shared.finished.send_replace(true);
}

/// Begins or joins the fetch of one file, and waits for its end.
async fn fetch(services: &Arc<Services>, shared: &Shared, at: usize) -> usize {
    let (ordered, attached) = {
        let book = shared.lock();
        (book.files[at].ordered.clone(), book.files[at].fetch.clone())
    };
    let joined = match attached {
        Some(fetch) => Some(fetch),
        None => services.fetches.join(services, ordered.wanted.clone()).await.ok(),
    };
    let Some(mut fetch) = joined else { return at };
    shared.lock().files[at].fetch = Some(fetch.clone());
    let signature = fetch_signature(services, shared, &ordered);
    // A fetch that breaks down has an outcome too.
    let ended = async { fetch.wait_for(|snapshot| snapshot.outcome.is_some()).await.map(drop) };
    let _ = tokio::join!(ended, signature);
    at
}

async fn fetch_signature(services: &Arc<Services>, shared: &Shared, ordered: &Ordered) {
    if !ordered.with_signature || !matches!(ordered.wanted.request.kind, Kind::Package(_)) {
        return;
    }
    let Some(request) = ordered.wanted.request.signature() else { return };
    let name = request.file_name.clone();
    let knowledge = Arc::clone(&services.knowledge);
    let asked = request.clone();
    let is_needed = tokio::task::spawn_blocking(move || knowledge.needs_signature(&asked)).await;
    if !is_needed.expect("reading databases does not panic") {
        return;
    }
    // The client that asked for the file has perhaps asked for it, too.
    let asked = shared.lock().others.get(&name).cloned();
    let joined = match asked {
        Some(signature) => Ok(signature),
        None => services.fetches.join(services, request).await,
    };
    if let Ok(mut signature) = joined {
        shared.lock().attach(name, signature.clone());
        let _ = signature.wait_for(|snapshot| snapshot.outcome.is_some()).await;
    }
}
