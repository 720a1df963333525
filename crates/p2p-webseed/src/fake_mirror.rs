//! A mirror with one file and chosen faults, on a free loopback port.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// What the mirror does wrong.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Nothing.
    Good,
    /// It answers with this status line and these headers, and an empty body.
    Answers(String),
    /// It sends the whole file whatever is asked.
    IgnoresRanges,
    /// It says that it sent this range.
    SaysRange(&'static str),
    /// It closes the connection after so many bytes of each body.
    Truncates(usize),
    /// It sends so many bytes of each body, and then nothing more.
    Stalls(usize),
    /// The byte at this offset of the file is wrong.
    Corrupts(usize),
    /// It sends a web page.
    Page,
    /// It waits so long after each 16 KiB.
    Slow(std::time::Duration),
}

/// A running mirror; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct FakeMirror {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    _task: AbortOnDropHandle<()>,
}

impl FakeMirror {
    pub(crate) async fn start(file: Vec<u8>, behaviour: Behaviour) -> Self {
        // Every address of 127.0.0.0/8 leads here, so that tests can call some of them the Internet.
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let (requests, behaviour) = (Arc::default(), Arc::new(Mutex::new(behaviour)));
        let serving = serve(listener, file.into(), Arc::clone(&requests), Arc::clone(&behaviour));
        Self { port, requests, behaviour, _task: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    /// The file's URL at a host name or address that leads to this machine.
    pub(crate) fn url_at(&self, host: &str) -> Url {
        format!("http://{host}:{}/core/a-1-1-any.pkg.tar.zst", self.port).parse().expect("a URL")
    }

    pub(crate) fn url(&self) -> Url {
        self.url_at("127.0.0.1")
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panicked with it").clone()
    }

    pub(crate) fn becomes(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("no test panicked with it") = behaviour;
    }
}

async fn serve(
    listener: TcpListener,
    file: Arc<[u8]>,
    requests: Arc<Mutex<Vec<String>>>,
    behaviour: Arc<Mutex<Behaviour>>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("an accepting socket");
        connections.spawn(converse(stream, Arc::clone(&file), Arc::clone(&requests), Arc::clone(&behaviour)));
    }
}

async fn converse(
    mut stream: TcpStream,
    file: Arc<[u8]>,
    requests: Arc<Mutex<Vec<String>>>,
    behaviour: Arc<Mutex<Behaviour>>,
) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).expect("an ASCII head").to_ascii_lowercase();
        requests.lock().expect("no test panicked with it").push(head.clone());
        let behaviour = behaviour.lock().expect("no test panicked with it").clone();
        answer(&mut stream, &file, &head, behaviour).await?;
    }
}

/// Answers one request; none where the connection ends.
async fn answer(stream: &mut TcpStream, file: &[u8], head: &str, behaviour: Behaviour) -> Option<()> {
    let asked = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let range = asked.filter(|_| !matches!(behaviour, Behaviour::IgnoresRanges)).map(|range| {
        let (first, last) = range.split_once('-').expect("a range");
        let end = last.parse().map_or(file.len(), |last: usize| last + 1);
        first.parse().expect("an offset")..end.min(file.len())
    });
    let mut body = file[range.clone().unwrap_or(0..file.len())].to_vec();
    let begin = range.as_ref().map_or(0, |range| range.start);
    let mut status = range.map_or("200 OK\r\n".to_owned(), |range| {
        format!("206 Partial\r\ncontent-range: bytes {}-{}/{}\r\n", range.start, range.end - 1, file.len())
    });
    let mut sent = body.len();
    match behaviour {
        Behaviour::Answers(ref other) => (status, sent, body) = (other.clone(), 0, Vec::new()),
        Behaviour::SaysRange(range) => status = format!("206 Partial\r\ncontent-range: {range}\r\n"),
        Behaviour::Truncates(bytes) | Behaviour::Stalls(bytes) => sent = sent.min(bytes),
        Behaviour::Corrupts(offset) if (begin..begin + body.len()).contains(&offset) => body[offset - begin] ^= 1,
        Behaviour::Good | Behaviour::IgnoresRanges | Behaviour::Corrupts(_) | Behaviour::Slow(_) => {}
        Behaviour::Page => status = "200 OK\r\ncontent-type: text/html\r\n".to_owned(),
    }
    let head = format!(
        "HTTP/1.1 {status}content-length: {}\r\nlast-modified: Thu, 01 Jan 1970 00:01:40 GMT\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    for part in body[..sent].chunks(16 * 1024) {
        stream.write_all(part).await.ok()?;
        if let Behaviour::Slow(pause) = behaviour {
            tokio::time::sleep(pause).await;
        }
    }
    if sent < body.len() {
        if matches!(behaviour, Behaviour::Stalls(_)) {
            std::future::pending::<()>().await;
        }
        return None;
    }
    Some(())
}
