//! Whole pacman runs: what one of them will ask for is fetched before it does.
//!
//! pacman runs its `XferCommand` for one file after the other. The first client of a run is told to
//! [learn](p2p_api::FetchRecord::Learn) the rest; from then on the files are fetched in parallel, in pacman's order, and the
//! calls that follow find them here. The list is a hint: a file that is not in it is fetched when it is asked for.

mod ahead;
mod line;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use p2p_api::{MAX_TRANSACTION_FILES, TransactionId, TransactionProgress, TransactionRequest};
use p2p_pacman::Request;
use tokio::sync::watch;

use crate::fetch::{Snapshot, TooBusy, Wanted};
use crate::services::Services;
pub(crate) use ahead::{Ahead, Ordered};

/// Pacman runs at one time; several roots may be upgraded at once.
const MAX_TRANSACTIONS: usize = 16;
/// A run that nobody came back from for so long is over, even where its process cannot be watched.
const IDLE: Duration = Duration::from_secs(30);

/// The pacman runs in progress.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    runs: Mutex<BTreeMap<TransactionId, Arc<Transaction>>>,
}

/// One pacman run.
#[derive(Debug)]
pub(crate) struct Transaction {
    ahead: Ahead,
    /// Clients that are here, and whether the list was asked for.
    visits: watch::Sender<Visits>,
    /// Files of the list that pacman has been given.
    handed_over: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Visits {
    clients: usize,
    told_to_learn: bool,
    listed: bool,
}

/// A client of a run, while it is here.
#[derive(Debug)]
pub(crate) struct Visit {
    transaction: Arc<Transaction>,
}

/// Why a list is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListFault {
    /// Pacman has gone, or nobody has come from it.
    #[error("no such pacman run is in progress")]
    Unknown,
    /// There was one already.
    #[error("the files of this pacman run are known already")]
    Listed,
}

impl Transactions {
    /// A client of the run has come; none where there are too many runs. The flag tells it to learn the others.
    pub(crate) fn enter(&self, services: &Arc<Services>, id: TransactionId) -> Option<(Visit, bool)> {
        let mut runs = self.lock();
        if !runs.contains_key(&id) {
            if runs.len() >= MAX_TRANSACTIONS {
                return None;
            }
            let transaction = Arc::new(Transaction {
                ahead: Ahead::new(services),
                visits: watch::Sender::default(),
                handed_over: Mutex::default(),
            });
            runs.insert(id, Arc::clone(&transaction));
            tokio::spawn(attend(Arc::clone(services), id, transaction));
        }
        let transaction = Arc::clone(runs.get(&id)?);
        let mut learn = services.settings().fetch.prefetch;
        transaction.visits.send_modify(|visits| {
            visits.clients += 1;
            learn &= !std::mem::replace(&mut visits.told_to_learn, true);
        });
        Some((Visit { transaction }, learn))
    }

    /// Takes the list of a run's files; says how many of them will be fetched.
    pub(crate) async fn list(&self, services: &Arc<Services>, list: TransactionRequest) -> Result<u64, ListFault> {
        let transaction = self.lock().get(&list.transaction).cloned().ok_or(ListFault::Unknown)?;
        let is_first = transaction.visits.send_if_modified(|visits| !std::mem::replace(&mut visits.listed, true));
        if !is_first {
            return Err(ListFault::Listed);
        }
        let files = list.urls.iter().take(MAX_TRANSACTION_FILES).filter_map(|url| Request::from_url(url).ok());
        let files = files.map(|request| Ordered { wanted: request.into(), with_signature: list.with_signatures });
        let count = transaction.ahead.order(services, files.collect()).await;
        tracing::info!(files = count, pid = list.transaction.pid, "a transaction is fetched ahead");
        Ok(count)
    }

    /// Whether somebody may still ask for this file, which was fetched ahead.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let runs: Vec<_> = self.lock().values().cloned().collect();
        runs.iter().any(|transaction| transaction.ahead.holds(path))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TransactionId, Arc<Transaction>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Joins the fetch of a file, or takes what was fetched ahead.
    pub(crate) async fn join(
        &self,
        services: &Arc<Services>,
        wanted: Wanted,
    ) -> Result<watch::Receiver<Snapshot>, TooBusy> {
        self.transaction.ahead.join(services, wanted).await
    }

    /// How far all files are; none while they are not known, or where it is only one.
    pub(crate) fn progress(&self) -> Option<TransactionProgress> {
        let files_done = self.transaction.handed_over().len() as u64;
        let progress = TransactionProgress { files_done, ..self.transaction.ahead.progress() };
        Some(progress).filter(|progress| progress.files > 1)
    }

    /// The client is given this file; how far all are with it.
    pub(crate) fn hand_over(&self, file_name: &str) -> Option<TransactionProgress> {
        if self.transaction.ahead.contains(file_name) {
            self.transaction.handed_over().insert(file_name.to_owned());
        }
        self.progress()
    }
}

impl Transaction {
    fn handed_over(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.transaction.visits.send_modify(|visits| visits.clients -= 1);
    }
}

/// Stays until the run is over; then what nobody waits for is given up.
async fn attend(services: Arc<Services>, id: TransactionId, transaction: Arc<Transaction>) {
    // pacman checks and unpacks what it has copied: the copies can be hashed when it is done.
    let _hold = services.scan.hold();
    tokio::select! {
        () = services.stopping.cancelled() => {}
        () = process::ended(id) => {}
        () = idle(transaction.visits.subscribe()) => {}
    }
    services.transactions.lock().remove(&id);
    let progress = transaction.ahead.progress();
    transaction.ahead.stop();
    tracing::debug!(pid = id.pid, files = progress.files, bytes = progress.done, "a transaction has ended");
}

/// Returns when no client was here for a while.
async fn idle(mut visits: watch::Receiver<Visits>) {
    loop {
        if visits.wait_for(|visits| visits.clients == 0).await.is_err() {
            return;
        }
        let return_of_one = visits.wait_for(|visits| visits.clients > 0);
        if tokio::time::timeout(IDLE, return_of_one).await.is_err() {
            return;
        }
    }
}
