//! A canned daemon: it converses with one client after another as a test tells it to.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use p2p_api::{
    FETCHES, Failed, FailureCode, FetchRecord, FetchRequest, Progress, Ready, TRANSACTIONS, TransactionAccepted,
    TransactionRequest,
};

use crate::scene::wait_until;

pub(crate) struct Daemon {
    socket: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path, converse: impl Fn(&mut Conversation) + Send + 'static) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(mut conversation) = Conversation::begin(stream.unwrap(), &listener) {
                    converse(&mut conversation);
                }
            }
        });
        Self { socket: socket.to_owned(), over, thread: Some(thread) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the canned daemon panicked");
    }
}

/// One client's request, and the way back to it. A client that has gone is no fault.
pub(crate) struct Conversation {
    pub(crate) request: FetchRequest,
    stream: UnixStream,
    others: UnixListener,
}

impl Conversation {
    fn begin(mut stream: UnixStream, listener: &UnixListener) -> Option<Self> {
        let request = serde_json::from_str(&body(&mut stream, FETCHES)?).unwrap();
        Some(Self { request, stream, others: listener.try_clone().unwrap() })
    }

    /// Waits until somebody tells a transaction, and accepts it.
    pub(crate) fn hear_transaction(&self) -> TransactionRequest {
        self.others.set_nonblocking(true).unwrap();
        let mut stream = None;
        wait_until("somebody tells a transaction", || {
            stream = self.others.accept().ok();
            stream.is_some()
        });
        self.others.set_nonblocking(false).unwrap();
        let mut stream = stream.unwrap().0;
        let told: TransactionRequest = serde_json::from_str(&body(&mut stream, TRANSACTIONS).unwrap()).unwrap();
        let accepted = serde_json::to_string(&TransactionAccepted { files: told.urls.len() as u64 }).unwrap();
        let _ = write!(stream, "HTTP/1.0 200 OK\r\np2pd-api: 1\r\n\r\n{accepted}");
        told
    }

    pub(crate) fn answer(&mut self, status: &str, body: &str) {
        let _ = write!(self.stream, "HTTP/1.0 {status}\r\np2pd-api: 1\r\n\r\n{body}");
    }

    pub(crate) fn ok(&mut self) {
        self.answer("200 OK", "");
    }

    pub(crate) fn say(&mut self, record: &FetchRecord) {
        let _ = writeln!(self.stream, "{}", serde_json::to_string(record).unwrap());
    }

    /// Waits until the client has hung up.
    pub(crate) fn wait_for_the_end(&mut self) {
        let _ = self.stream.read(&mut [0; 1]);
    }

    /// The last part of the URL.
    pub(crate) fn file_name(&self) -> &str {
        self.request.url.rsplit('/').next().unwrap()
    }
}

/// The body of a request for `path`; None where the client asks for something else, or has gone.
fn body(stream: &mut UnixStream, path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            if !head.starts_with(&format!("POST {path} ")) {
                return None;
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return Some(body.to_owned());
            }
        }
        match stream.read(&mut chunk).unwrap() {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

pub(crate) fn growing(source: &Path, contiguous: u64, total: u64) -> FetchRecord {
    let source = Some(source.to_owned());
    FetchRecord::Progress(Progress {
        done: contiguous,
        total: Some(total),
        from_peers: contiguous / 2,
        source,
        contiguous,
        transaction: None,
    })
}

pub(crate) fn ready(path: &Path) -> Ready {
    let size = fs_err::metadata(path).unwrap().len();
    Ready {
        path: path.to_owned(),
        size,
        modified: Some(1_700_000_000),
        verified: true,
        from_peers: 0,
        from_mirrors: size,
        signature: None,
        transaction: None,
    }
}

pub(crate) fn failed(code: FailureCode) -> FetchRecord {
    FetchRecord::Failed(Failed { code, message: "it was not to be".to_owned(), hint: None })
}
