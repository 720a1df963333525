//! The daemon, as its clients see it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use p2p_api::{
    DEFAULT_SOCKET, DIAGNOSIS, Diagnosis, EXPLANATIONS, Explanation, FETCHES, FIRST_RECORD_WITHIN, FORGET,
    FetchRequest, ForgetRecord, MAX_SILENCE, NEIGHBOURS, NamesRequest, Neighbour, PACKAGES, PREFETCHES, PUBLICATIONS,
    PackageRecord, PrefetchRequest, Publication, PublicationAccepted, Published, RESCAN, RescanRecord, RescanRequest,
    SOCKET_VARIABLE, STATUS, Status, TRANSACTIONS, TransactionAccepted, TransactionRequest, UPLOAD, Upload,
    UploadRequest, VERIFY, VerifyRecord,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::connection::{Connection, is_bound};
use crate::head::{request, upload_head};
use crate::heartbeat::Heartbeat;
use crate::records::{Fetch, Prefetch, Record, Records};

/// A person waits for a status, nobody's upgrade does; and nobody at all for a transaction to be told.
const WHOLE_ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The daemon asks its neighbours meanwhile.
const DIAGNOSIS_WITHIN: Duration = Duration::from_secs(8);
/// A database and an index, 64 MiB each at most, are written to the daemon's disk.
const UPLOADED_WITHIN: Duration = Duration::from_mins(1);

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
        self.look(STATUS)
    }

    /// What others than the local networks may be given.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s.
    pub fn upload(&self) -> Result<Upload, ClientError> {
        self.look(UPLOAD)
    }

    /// Pauses, resumes or limits the upload; tells what holds then.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s, or the daemon declines; at once when its heartbeat is old.
    pub fn change_upload(&self, change: &UploadRequest) -> Result<Upload, ClientError> {
        let deadline = Instant::now() + WHOLE_ANSWER_WITHIN;
        let (mut connection, _) = self.post(UPLOAD, change, deadline)?;
        let body = connection.read_to_end(deadline)?;
        serde_json::from_slice(&body).map_err(|_| ClientError::Broken("its answer can't be read"))
    }

    /// The daemons that the daemon is connected with.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s, or the daemon declines.
    pub fn neighbours(&self) -> Result<Vec<Neighbour>, ClientError> {
        self.look(NEIGHBOURS)
    }

    /// What is known of the packages that a name may mean: a file's, a package's, or a URL.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s, or the daemon declines.
    pub fn explanations(&self, name: &str) -> Result<Vec<Explanation>, ClientError> {
        let name = percent_encode(name.as_bytes(), NON_ALPHANUMERIC);
        self.look(&format!("{EXPLANATIONS}?package={name}"))
    }

    /// How the daemon fares, as it sees it.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 8 s.
    pub fn diagnosis(&self) -> Result<Diagnosis, ClientError> {
        self.look_within(DIAGNOSIS, DIAGNOSIS_WITHIN)
    }

    /// Has a file fetched.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer within 300 ms, or declines; at once when its heartbeat is old.
    pub fn fetch(&self, fetch: &FetchRequest) -> Result<Fetch, ClientError> {
        self.records(FETCHES, fetch, FIRST_RECORD_WITHIN)
    }

    /// Has files fetched ahead.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer within 5 s, or declines; at once when its heartbeat is old.
    pub fn prefetch(&self, prefetch: &PrefetchRequest) -> Result<Prefetch, ClientError> {
        self.records(PREFETCHES, prefetch, MAX_SILENCE)
    }

    /// Tells what else a pacman run will ask for.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s, or the daemon declines; at once when its heartbeat is old.
    pub fn tell_transaction(&self, transaction: &TransactionRequest) -> Result<TransactionAccepted, ClientError> {
        let deadline = Instant::now() + WHOLE_ANSWER_WITHIN;
        let (mut connection, _) = self.post(TRANSACTIONS, transaction, deadline)?;
        let body = connection.read_to_end(deadline)?;
        serde_json::from_slice(&body).map_err(|_| ClientError::Broken("its answer can't be read"))
    }

    /// What is in the catalog.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer within 5 s; at once when its heartbeat is old.
    pub fn packages(&self) -> Result<Records<PackageRecord>, ClientError> {
        let deadline = Instant::now() + MAX_SILENCE;
        let (connection, heartbeat) = self.ask(&request("GET", PACKAGES, None), deadline)?;
        Records::new(connection, heartbeat, deadline)
    }

    /// Has packages read again.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer within 5 s, or declines; at once when its heartbeat is old.
    pub fn verify(&self, names: &NamesRequest) -> Result<Records<VerifyRecord>, ClientError> {
        self.records(VERIFY, names, MAX_SILENCE)
    }

    /// Has packages not served any more.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer within 5 s, or declines; at once when its heartbeat is old.
    pub fn forget(&self, names: &NamesRequest) -> Result<Records<ForgetRecord>, ClientError> {
        self.records(FORGET, names, MAX_SILENCE)
    }

    /// Has the directories looked at now.
    ///
    /// # Errors
    ///
    /// When the daemon does not begin to answer, or declines; at once when its heartbeat is old. Who does not want to wait for
    /// the scan waits for 300 ms at most, others for 5 s.
    pub fn rescan(&self, rescan: &RescanRequest) -> Result<Records<RescanRecord>, ClientError> {
        self.records(RESCAN, rescan, if rescan.wait { MAX_SILENCE } else { FIRST_RECORD_WITHIN })
    }

    /// What publishers say of our repositories.
    ///
    /// # Errors
    ///
    /// When there is no whole answer within 5 s, or the daemon declines.
    pub fn publications(&self) -> Result<Vec<Published>, ClientError> {
        self.look(PUBLICATIONS)
    }

    /// Has the daemon tell of a publication, and give both of its files.
    ///
    /// # Errors
    ///
    /// When the daemon has not taken everything within a minute, or declines; at once when its heartbeat is old.
    pub fn publish(
        &self,
        publication: &Publication,
        database: &[u8],
        index: &[u8],
    ) -> Result<PublicationAccepted, ClientError> {
        let mut line = serde_json::to_vec(publication).expect("a request has string keys only");
        line.push(b'\n');
        let head = upload_head(PUBLICATIONS, line.len() + database.len() + index.len());
        let deadline = Instant::now() + UPLOADED_WITHIN;
        if Heartbeat::of(&self.socket).is_stale() {
            return Err(if is_bound(&self.socket) { ClientError::Hung } else { ClientError::NotRunning });
        }
        let mut connection = Connection::open(&self.socket, deadline)?;
        for part in [&head, &line, database, index] {
            connection.send(part, deadline)?;
        }
        connection.read_head(deadline)?;
        let body = connection.read_to_end(deadline)?;
        serde_json::from_slice(&body).map_err(|_| ClientError::Broken("its answer can't be read"))
    }

    fn look<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.look_within(path, WHOLE_ANSWER_WITHIN)
    }

    fn look_within<T: DeserializeOwned>(&self, path: &str, within: Duration) -> Result<T, ClientError> {
        let deadline = Instant::now() + within;
        let mut connection = Connection::open(&self.socket, deadline)?;
        connection.send(&request("GET", path, None), deadline)?;
        connection.read_head(deadline)?;
        let body = connection.read_to_end(deadline)?;
        serde_json::from_slice(&body).map_err(|_| ClientError::Broken("its status can't be read"))
    }

    fn records<R: Record>(
        &self,
        path: &str,
        body: &impl Serialize,
        first: Duration,
    ) -> Result<Records<R>, ClientError> {
        let deadline = Instant::now() + first;
        let (connection, heartbeat) = self.post(path, body, deadline)?;
        Records::new(connection, heartbeat, deadline)
    }

    /// Sends a request, and reads the answer up to its body.
    fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        deadline: Instant,
    ) -> Result<(Connection, Heartbeat), ClientError> {
        let body = serde_json::to_vec(body).expect("a request has string keys only");
        self.ask(&request("POST", path, Some(&body)), deadline)
    }

    /// Sends a request that may take long, and reads the answer up to its body.
    fn ask(&self, request: &[u8], deadline: Instant) -> Result<(Connection, Heartbeat), ClientError> {
        let heartbeat = Heartbeat::of(&self.socket);
        if heartbeat.is_stale() {
            return Err(if is_bound(&self.socket) { ClientError::Hung } else { ClientError::NotRunning });
        }
        let mut connection = Connection::open(&self.socket, deadline)?;
        connection.send(request, deadline)?;
        connection.read_head(deadline)?;
        Ok((connection, heartbeat))
    }
}
