//! Packages of the catalog are read again, because somebody wants to know whether they are still good.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use p2p_api::{FaultKind, PackageFault, Report, VerifyDone, VerifyProgress, VerifyRecord};
use p2p_package::InfoHash;
use p2p_seeder::{Row, RowFault};
use tokio::sync::{mpsc, watch};

use crate::fetch::Store;
use crate::services::Services;
use crate::tasks;

/// As the cache scan: what the machine is for goes first.
const NICE: i32 = 15;
/// How much is read between two looks at whether to go on, about.
const STEP_BYTES: u64 = 1024 * 1024;

/// Lets one run at a time.
#[derive(Debug, Default)]
pub(crate) struct Verifications(Mutex<Weak<Turn>>);

/// Held by the one who verifies.
#[derive(Debug)]
struct Turn;

/// A verification under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Verification {
    pub(crate) progress: watch::Receiver<VerifyProgress>,
    /// Faults, and at last what has come of it; without that it was broken off.
    pub(crate) records: mpsc::UnboundedReceiver<VerifyRecord>,
}

/// Why nothing is verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerificationFault {
    #[error("packages are being verified already")]
    Busy,
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

impl Verifications {
    /// Begins to read these packages, one after the other, at low priority.
    pub(crate) fn begin(&self, services: &Arc<Services>, rows: &[Arc<Row>]) -> Result<Verification, VerificationFault> {
        let turn = self.take_turn().ok_or(VerificationFault::Busy)?;
        let total = rows.iter().map(|row| row.id.size).sum();
        let (progress, watched) =
            watch::channel(VerifyProgress { packages: rows.len() as u64, total, ..VerifyProgress::default() });
        // At most one record for each package.
        let (sender, records) = mpsc::unbounded_channel();
        let hashes: Vec<InfoHash> = rows.iter().map(|row| row.info_hash()).collect();
        let verifier =
            Verifier { services: Arc::clone(services), progress, records: sender, done: VerifyDone::default() };
        let run = move || {
            verifier.run(&hashes);
            drop(turn);
        };
        std::thread::Builder::new().name("verify".to_owned()).spawn(run).map_err(VerificationFault::Thread)?;
        Ok(Verification { progress: watched, records })
    }

    fn take_turn(&self) -> Option<Arc<Turn>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.strong_count() > 0 {
            return None;
        }
        let turn = Arc::new(Turn);
        *current = Arc::downgrade(&turn);
        Some(turn)
    }
}

/// What the thread owns.
struct Verifier {
    services: Arc<Services>,
    progress: watch::Sender<VerifyProgress>,
    records: mpsc::UnboundedSender<VerifyRecord>,
    done: VerifyDone,
}

impl Verifier {
    fn run(mut self, hashes: &[InfoHash]) {
        // On Linux, without an id, this means the calling thread.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "packages are verified at normal priority");
        }
        for info_hash in hashes {
            // What has left the catalog meanwhile is nobody's concern.
            let row = self.services.catalog.get(info_hash);
            if !self.may_go_on() || !row.is_none_or(|row| self.look_at(&row)) {
                break;
            }
            self.progress.send_modify(|progress| progress.packages_done += 1);
        }
        if self.done.wrong + self.done.gone + self.done.unreadable > 0 {
            tasks::review_sharing(&self.services);
            // There may be another copy.
            self.services.scan.nudge();
        }
        if self.may_go_on() {
            let _ = self.records.send(VerifyRecord::Done(self.done));
        }
    }

    /// Reads one package; false where nobody wants to know any more.
    fn look_at(&mut self, row: &Arc<Row>) -> bool {
        let begun_at = self.progress.borrow().done;
        self.progress.send_modify(|progress| progress.file_name = row.id.file_name.to_string());
        let mut read = 0;
        let verification = row.verify(|| {
            read = row.id.size.min(read + STEP_BYTES);
            self.progress.send_modify(|progress| progress.done = begun_at + read);
            self.may_go_on()
        });
        match verification {
            p2p_seeder::Verification::Stopped => return false,
            p2p_seeder::Verification::Good => self.done.good_bytes += row.id.size,
            p2p_seeder::Verification::Bad(fault) => self.drop_row(row, &fault),
        }
        self.done.packages += 1;
        self.progress.send_modify(|progress| progress.done = begun_at + row.id.size);
        true
    }

    /// It is not served from this moment. A wrong file of the store is of no use to anybody.
    fn drop_row(&mut self, row: &Arc<Row>, fault: &RowFault) {
        let message = Report(fault).to_string();
        tracing::warn!(package = %row.id.file_name, error = message, "package is not what it was, no longer served");
        self.services.catalog.withdraw(row);
        let place = self.services.place(&row.path);
        let (kind, count) = match fault {
            RowFault::Wrong => (FaultKind::Wrong, &mut self.done.wrong),
            RowFault::Gone => (FaultKind::Gone, &mut self.done.gone),
            RowFault::Unreadable(_) => (FaultKind::Unreadable, &mut self.done.unreadable),
        };
        *count += 1;
        if kind == FaultKind::Wrong && place == p2p_api::Place::Store && !self.services.is_in_use(&row.path) {
            Store::discard(&row.path);
        }
        let _ = self.records.send(VerifyRecord::Fault(PackageFault {
            file_name: row.id.file_name.to_string(),
            path: row.path.to_string_lossy().into_owned(),
            place,
            fault: kind,
            message,
        }));
    }

    fn may_go_on(&self) -> bool {
        !self.records.is_closed() && !self.services.stopping.is_cancelled()
    }
}
