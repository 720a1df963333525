//! Why not all is there.

use std::io;

use p2p_client::ClientError;
use p2p_pacman::ConfError;

use super::interruption::Interrupted;
use super::pacman::PacmanFault;
use super::targets::TargetsError;

/// Why not all that was wanted is there now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrefetchError {
    /// Wrong usage.
    #[error("what to fetch can't be told")]
    Targets(#[source] TargetsError),
    /// No handler can be installed.
    #[error("signals can't be noticed")]
    Signals(#[source] io::Error),
    /// Pacman's configuration.
    #[error("pacman's configuration can't be read")]
    Config(#[source] ConfError),
    /// The temporary directory.
    #[error("pacman's databases can't be copied")]
    Copies(#[source] io::Error),
    /// Pacman was of no help.
    #[error(transparent)]
    Pacman(PacmanFault),
    /// Nor was the daemon.
    #[error(transparent)]
    Client(ClientError),
    /// The reasons were printed as they came up.
    #[error("{missing} of {all} could not be fetched")]
    Incomplete {
        /// Files that are not there.
        missing: u64,
        /// All that were wanted.
        all: u64,
    },
    /// Standard output did not take it.
    #[error("the result can't be printed")]
    Print(#[source] io::Error),
    /// Somebody wants an end.
    #[error(transparent)]
    Interrupted(Interrupted),
}

impl PrefetchError {
    /// An interrupted pacman is an interruption, not a fault of pacman.
    pub(super) fn from_pacman(fault: PacmanFault) -> Self {
        match fault.interrupted() {
            Some(interrupted) => Self::Interrupted(interrupted),
            None => Self::Pacman(fault),
        }
    }
}
