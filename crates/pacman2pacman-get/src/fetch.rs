//! Asks the daemon, and follows what it says.

use std::path::PathBuf;
use std::time::Instant;

use p2p_api::{Failed, FailureCode, FetchRecord, FetchRequest};
use p2p_client::{Client, ClientError, Heard, socket_path};

use crate::copy::CopyFault;
use crate::interruption::{Interruption, Stop};
use crate::job::{Job, Kind};
use crate::learn;
use crate::parent::Parent;
use crate::screen::Screen;
use crate::source::{SourceFault, Trust};
use crate::stage::TargetFault;
use crate::transfer::Transfer;

/// Why the daemon's way did not lead to the file.
#[derive(Debug)]
pub(crate) enum FetchFault {
    /// To be stopped is no failure.
    Stopped(Stop),
    /// The target can't be written: nobody else could either.
    Target(TargetFault),
    /// No mirror has the file: nothing would come of asking one again.
    NotFound(Failed),
    /// The daemon has reached no source. It may be wrong, but that is not worth a long wait.
    Unreachable(String),
    /// Anything else; the mirror may well help.
    Unhelpful(String),
}

impl From<Stop> for FetchFault {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<TargetFault> for FetchFault {
    fn from(fault: TargetFault) -> Self {
        Self::Target(fault)
    }
}

impl From<ClientError> for FetchFault {
    fn from(error: ClientError) -> Self {
        Self::Unhelpful(error.to_string())
    }
}

impl From<SourceFault> for FetchFault {
    fn from(fault: SourceFault) -> Self {
        Self::Unhelpful(fault.to_string())
    }
}

impl From<CopyFault> for FetchFault {
    fn from(fault: CopyFault) -> Self {
        match fault {
            CopyFault::Source(fault) => fault.into(),
            CopyFault::Target(fault) => Self::Target(fault),
            CopyFault::Stopped(stop) => Self::Stopped(stop),
        }
    }
}

impl From<Failed> for FetchFault {
    fn from(failed: Failed) -> Self {
        let reason = format!("p2pd failed: {}", failed.message);
        match failed.code {
            FailureCode::NotFound => Self::NotFound(failed),
            FailureCode::Unreachable | FailureCode::StillUnreachable => Self::Unreachable(reason),
            FailureCode::Mismatch | FailureCode::DiskFull | FailureCode::Stopping | FailureCode::Internal => {
                Self::Unhelpful(reason)
            }
        }
    }
}

/// Has the daemon fetch the file, and puts it where pacman wants it.
pub(crate) fn fetch(socket: Option<PathBuf>, job: &Job, interruption: &Interruption) -> Result<(), FetchFault> {
    let request = request(job);
    let client = Client::new(socket_path(socket));
    let fetch = client.fetch(&request)?;
    let mut to_learn = request.transaction;
    let mut transfer = Transfer::new(job, Trust::new(fetch.daemon_user(), job), interruption);
    let mut screen = Screen::new(job.file_name(), Instant::now());
    for heard in fetch {
        interruption.check()?;
        match heard? {
            Heard::Nothing => screen.redraw(Instant::now()),
            Heard::Record(FetchRecord::Learn) => {
                if let Some(transaction) = to_learn.take() {
                    learn::begin(transaction, client.socket());
                }
            }
            Heard::Record(FetchRecord::Progress(progress)) => {
                screen.show(&progress, Instant::now());
                transfer.advance(&progress)?;
            }
            Heard::Record(FetchRecord::Ready(ready)) => {
                transfer.finish(&ready)?;
                screen.finish(&ready, Instant::now());
                return Ok(());
            }
            Heard::Record(FetchRecord::Failed(failed)) => return Err(failed.into()),
        }
    }
    Err(ClientError::Broken("it ended without an answer").into())
}

/// A package and its signature belong to a transaction, a database may be wanted even where it is unchanged.
fn request(job: &Job) -> FetchRequest {
    let parent = Parent::look;
    let (transaction, force) = match job.kind {
        Kind::Package | Kind::PackageSignature => (parent().and_then(|parent| parent.transaction()), false),
        Kind::Database | Kind::DatabaseSignature => (None, parent().is_some_and(|parent| parent.refreshes_twice())),
        Kind::Other => (None, false),
    };
    FetchRequest { url: job.url.clone(), with_signature: job.with_signature, force, transaction }
}
