//! Files that no sync database vouches for: passed on from the first mirror that has them, and shared with nobody.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use p2p_api::{Failed, FailureCode, Ready};
use p2p_pacman::Kind;
use p2p_webseed::MirrorFault;
use tokio::sync::watch;
use url::Url;

use super::assembly::{Assembly, AssemblyState, DiskFault};
use super::package::{disk_failure, seconds_since_1970, stopping};
use super::snapshot::{Outcome, Snapshot};
use super::stream::{Opened, Stream};
use crate::services::Services;

/// The largest file that is passed on, in bytes: what pacman's own downloader takes for a package without a known size.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// The largest signature, in bytes (pacman's `dload.c`).
const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;
/// The largest database, in bytes (pacman's `dload.c`).
const MAX_DATABASE_BYTES: u64 = 128 * 1024 * 1024;
/// Mirrors that are asked for a database's signature before it counts as missing: most repositories have none.
const MIRRORS_FOR_DATABASE_SIGNATURE: usize = 2;
/// No further mirror is asked after this time.
const PATIENCE: Duration = Duration::from_secs(15);

/// A file on its way.
#[derive(Debug)]
pub(crate) struct PlainFetch {
    pub(crate) services: Arc<Services>,
    pub(crate) kind: Kind,
    pub(crate) file_name: String,
    pub(crate) mirrors: Vec<Url>,
    pub(crate) publish: Arc<watch::Sender<Snapshot>>,
}

impl PlainFetch {
    /// Runs to the end, or until nobody waits any more.
    pub(crate) async fn run(self) -> Outcome {
        let services = Arc::clone(&self.services);
        let publish = Arc::clone(&self.publish);
        tokio::select! {
            outcome = self.take_from_any() => outcome,
            () = services.stopping.cancelled() => stopping(),
            () = publish.closed() => Outcome::Abandoned,
        }
    }

    async fn take_from_any(self) -> Outcome {
        let (most, limit) = match &self.kind {
            Kind::DatabaseSignature => (MIRRORS_FOR_DATABASE_SIGNATURE, MAX_SIGNATURE_BYTES),
            Kind::Signature(_) => (self.mirrors.len(), MAX_SIGNATURE_BYTES),
            Kind::Database | Kind::Files => (self.mirrors.len(), MAX_DATABASE_BYTES),
            Kind::Package(_) | Kind::Other => (self.mirrors.len(), MAX_BYTES),
        };
        let started = Instant::now();
        let mut all_lack = true;
        for url in self.mirrors.iter().take(most) {
            if started.elapsed() > PATIENCE {
                break;
            }
            match self.take(url, limit).await {
                Ok(outcome) => {
                    self.services.mirror_book.note_success(url);
                    return outcome;
                }
                Err(fault) => {
                    self.services.mirror_book.note_fault(url, &fault, Instant::now());
                    all_lack &= matches!(fault, MirrorFault::Lacks(_));
                    let error = crate::report::Report(&fault).to_string();
                    tracing::debug!(file = self.file_name, mirror = %url, error, "a mirror fails");
                }
            }
        }
        let (code, message) = if all_lack {
            (FailureCode::NotFound, format!("no mirror has {}", self.file_name))
        } else {
            (FailureCode::Unreachable, format!("no mirror delivers {}", self.file_name))
        };
        Outcome::Failed(Failed { code, message, hint: None })
    }

    async fn take(&self, url: &Url, limit: u64) -> Result<Outcome, MirrorFault> {
        let path = self.services.passing.path();
        let assembly = match Assembly::open(&path, 0, None) {
            Ok(assembly) => assembly,
            Err(fault) => return Ok(disk_failure(&fault)),
        };
        let opened = OnceLock::new();
        let stream = Stream { url: url.clone(), from: 0, size: None, limit };
        let appender = assembly.appender();
        let run = stream.run(&self.services.mirrors, &appender, |answer| {
            self.tell(&assembly, 0, answer.total);
            let _ = opened.set(answer);
        });
        tokio::select! {
            result = run => result?,
            fault = self.watch(assembly.state()) => return Ok(disk_failure(&fault)),
        }
        Ok(self.finish(&assembly, opened.get().copied()).await)
    }

    /// Tells how far the file is, until the disk refuses.
    async fn watch(&self, mut state: watch::Receiver<AssemblyState>) -> Arc<DiskFault> {
        loop {
            let AssemblyState { contiguous, fault } = state.borrow_and_update().clone();
            if let Some(fault) = fault {
                return fault;
            }
            self.publish.send_modify(|snapshot| (snapshot.done, snapshot.contiguous) = (contiguous, contiguous));
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn tell(&self, assembly: &Assembly, contiguous: u64, total: Option<u64>) {
        let source = Some(Arc::clone(assembly.path()));
        let (done, from_peers) = (contiguous, 0);
        self.publish.send_replace(Snapshot { done, total, from_peers, source, contiguous, ..Snapshot::default() });
    }

    async fn finish(&self, assembly: &Assembly, opened: Option<Opened>) -> Outcome {
        let size = assembly.synced().await;
        if let Some(fault) = assembly.state().borrow().fault.clone() {
            return disk_failure(&fault);
        }
        self.tell(assembly, size, Some(size));
        self.services.counters.add(0, size);
        let modified = opened.and_then(|opened| opened.modified).and_then(seconds_since_1970);
        Outcome::Ready(Ready {
            path: assembly.path().to_path_buf(),
            size,
            modified,
            verified: false,
            from_peers: 0,
            from_mirrors: size,
            signature: None,
            transaction: None,
        })
    }
}
