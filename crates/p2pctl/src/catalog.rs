//! What the commands about the catalog's packages have in common.

use std::io;

use p2p_api::NamesError;
use p2p_client::ClientError;

use crate::report::{plain, say};

/// Why a command about packages did nothing, or was broken off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    /// Wrong usage.
    #[error("which packages are meant can't be told")]
    Names(#[source] NamesError),
    /// The daemon was of no help.
    #[error(transparent)]
    Client(ClientError),
    /// Standard output did not take it.
    #[error("the result can't be printed")]
    Print(#[source] io::Error),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// Something is not as it should be, which has been said.
    Incomplete,
}

/// Where the daemon ended its answer too early.
pub(crate) const fn broken_off() -> CatalogError {
    CatalogError::Client(ClientError::Broken("it did not say how it ended"))
}

/// Says that a name stands for nothing.
pub(crate) fn complain_of(unknown: &str) {
    say(&format!("p2pctl: no package in the catalog is called {:?}", plain(unknown)));
}
