//! Why the daemon was of no help.

use std::io;

use p2p_api::{API_VERSION, ApiError};
use thiserror::Error;

/// Why the daemon was of no help. None of these is a reason for an upgrade to fail.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no socket, or nobody listens on it.
    #[error("p2pd is not running")]
    NotRunning,
    /// It is there and says nothing in time.
    #[error("p2pd does not answer")]
    Hung,
    /// This user may not even connect, or may not have files fetched.
    #[error("p2pd does not serve this user")]
    Denied,
    /// It speaks another version of the API; None: it does not say which.
    #[error("p2pd speaks another version of the API (not {API_VERSION}): restart it after an upgrade")]
    VersionMismatch {
        /// What it said.
        theirs: Option<String>,
    },
    /// It declined, and said why.
    #[error("p2pd declined: {}", .0.message)]
    Api(ApiError),
    /// It broke off, or said what it must not say.
    #[error("p2pd broke off: {0}")]
    Broken(&'static str),
    /// The socket failed in a way of its own.
    #[error("p2pd can't be reached")]
    Socket(#[source] io::Error),
}
