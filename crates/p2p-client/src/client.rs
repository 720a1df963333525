//! The daemon, as its clients see it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use p2p_api::{DEFAULT_SOCKET, FETCHES, FIRST_RECORD_WITHIN, FetchRequest, SOCKET_VARIABLE, STATUS, Status};

use crate::ClientError;
use crate::connection::{Connection, is_bound};
use crate::fetch::Fetch;
use crate::head::request;
use crate::heartbeat::Heartbeat;

/// A person waits for a status, nobody's upgrade does.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// The socket to use: the one that the user named, else the one in `P2PD_SOCKET`, else the default.
#[must_use]
pub fn socket_path(named: Option<PathBuf>) -> PathBuf {
    let from_environment = || std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(from_environment).unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// Asks the daemon at one socket.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Connects to nothing yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket that it asks at.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the daemon is doing.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s.
    pub fn status(&self) -> Result<Status, ClientError> {
        let deadline = Instant::now() + STATUS_WITHIN;
        let mut connection = Connection::open(&self.socket, deadline)?;
        connection.send(&request("GET", STATUS, None))?;
        connection.read_head(deadline)?;
        let body = connection.read_to_end(deadline)?;
        serde_json::from_slice(&body).map_err(|_| ClientError::Broken("its status can't be read"))
    }

    /// Has a file fetched.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer within 300 ms, or declines; at once when its heartbeat is old.
    pub fn fetch(&self, fetch: &FetchRequest) -> Result<Fetch, ClientError> {
        let deadline = Instant::now() + FIRST_RECORD_WITHIN;
        let heartbeat = Heartbeat::of(&self.socket);
        if heartbeat.is_stale() {
            return Err(if is_bound(&self.socket) { ClientError::Hung } else { ClientError::NotRunning });
        }
        let mut connection = Connection::open(&self.socket, deadline)?;
        let body = serde_json::to_vec(fetch).expect("a request has string keys only");
        connection.send(&request("POST", FETCHES, Some(&body)))?;
        connection.read_head(deadline)?;
        let daemon_user = connection.daemon_user()?;
        Ok(Fetch::new(connection, daemon_user, heartbeat, deadline))
    }
}
