//! What clients are told where a fetch ends without the package.

use p2p_api::{Failed, FailureCode};

use crate::fetch::assembly::DiskFault;
use crate::fetch::plan::Despair;
use crate::fetch::snapshot::Outcome;

/// The record for a fetch that found nothing left to try.
pub(super) fn despair(despair: Despair, name: &str) -> Outcome {
    let (code, message) = match despair {
        Despair::NotFound => (FailureCode::NotFound, format!("no mirror has {name}")),
        Despair::Unreachable => (FailureCode::Unreachable, format!("neither a mirror nor a peer delivers {name}")),
        Despair::Mismatch => {
            (FailureCode::Mismatch, format!("nobody sends {name} with the SHA-256 of the sync database"))
        }
    };
    let hint = match despair {
        Despair::NotFound => "the sync database may be older than the mirrors: run pacman -Sy",
        Despair::Unreachable => "check the network, and the Server lines of pacman's configuration",
        Despair::Mismatch => "the sync database or the mirrors may be out of date: run pacman -Syy",
    };
    Outcome::Failed(Failed { code, message, hint: Some(hint.to_owned()) })
}

pub(in crate::fetch) fn disk_failure(fault: &DiskFault) -> Outcome {
    let message = p2p_api::Report(fault).to_string();
    tracing::error!(error = message, "the store cannot be written");
    let (code, hint) = match fault {
        DiskFault::Full(_) => (FailureCode::DiskFull, Some("free space below daemon.state_dir".to_owned())),
        DiskFault::Other(..) => (FailureCode::Internal, None),
    };
    Outcome::Failed(Failed { code, message, hint })
}

pub(in crate::fetch) fn stopping() -> Outcome {
    let message = "p2pd is stopping".to_owned();
    Outcome::Failed(Failed { code: FailureCode::Stopping, message, hint: None })
}

pub(super) fn internal(message: &str) -> Outcome {
    Outcome::Failed(Failed { code: FailureCode::Internal, message: message.to_owned(), hint: None })
}
