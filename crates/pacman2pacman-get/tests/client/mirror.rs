//! A mirror: serves a directory over HTTP, with ranges and If-Modified-Since, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The Last-Modified time of everything: 1700000000.
const LAST_MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
pub(crate) const MODIFIED: i64 = 1_700_000_000;

pub(crate) struct Mirror {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    directory: PathBuf,
    log: Mutex<Vec<String>>,
    over: AtomicBool,
    ignores_ranges: AtomicBool,
    stalls: AtomicBool,
}

impl Mirror {
    pub(crate) fn start(directory: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { directory, ..Shared::default() });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.over.load(Ordering::Relaxed) {
                        return;
                    }
                    shared.serve(stream.unwrap());
                }
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// The requests so far: path, then range or condition.
    pub(crate) fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    pub(crate) fn ignore_ranges(&self) {
        self.shared.ignores_ranges.store(true, Ordering::Relaxed);
    }

    /// Sends half of each file, and then nothing until the client hangs up.
    pub(crate) fn stall(&self) {
        self.shared.stalls.store(true, Ordering::Relaxed);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the mirror panicked");
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else { return };
        let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            headers.iter().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let (range, condition) = (header("range"), header("if-modified-since"));
        let detail = range.clone().or_else(|| condition.clone()).unwrap_or_default();
        self.log.lock().unwrap().push(format!("{path} {detail}").trim_end().to_owned());
        let from = range.filter(|_| !self.ignores_ranges.load(Ordering::Relaxed)).and_then(|range| first_byte(&range));
        let _ = self.answer(&mut stream, &self.directory.join(path), from, condition.as_deref());
    }

    fn answer(
        &self,
        stream: &mut TcpStream,
        path: &Path,
        from: Option<usize>,
        condition: Option<&str>,
    ) -> std::io::Result<()> {
        let Ok(bytes) = fs_err::read(path) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
        };
        if condition == Some(LAST_MODIFIED) {
            return write!(stream, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
        }
        let length = bytes.len();
        let (status, body, extra) = match from {
            Some(from) if from >= length => ("416 Range Not Satisfiable", &b""[..], String::new()),
            Some(from) => (
                "206 Partial Content",
                &bytes[from..],
                format!("Content-Range: bytes {from}-{}/{length}\r\n", length - 1),
            ),
            None => ("200 OK", &bytes[..], String::new()),
        };
        let count = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {count}\r\nLast-Modified: {LAST_MODIFIED}\r\n{extra}Connection: close\r\n\r\n"
        )?;
        if self.stalls.load(Ordering::Relaxed) {
            stream.write_all(&body[..count / 2])?;
            stream.flush()?;
            let mut rest = Vec::new();
            return std::io::Read::read_to_end(stream, &mut rest).map(drop);
        }
        stream.write_all(body)
    }
}

fn first_byte(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}
