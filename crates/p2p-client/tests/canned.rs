//! Asks a canned daemon: a thread that answers one connection with given bytes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use p2p_api::{
    ErrorCode, FailureCode, FetchRecord, FetchRequest, PackageRecord, PrefetchFile, PrefetchRecord, PrefetchRequest,
    Progress, RescanRecord, RescanRequest, TransactionAccepted, TransactionId, TransactionRequest, UploadReason,
    UploadRequest, heartbeat_path,
};
use p2p_client::{Client, ClientError, Fetch, Heard, Record, Records};
use tempfile::TempDir;

const OK: &str = "HTTP/1.0 200 OK\r\np2pd-api: 1\r\n\r\n";
const FIRST: &str =
    "{\"event\":\"progress\",\"done\":0,\"total\":null,\"from_peers\":0,\"source\":null,\"contiguous\":0}\n";
const LAST: &str = "{\"event\":\"failed\",\"code\":\"not-found\",\"message\":\"no\",\"hint\":null}\n";

#[test]
fn records_come_in_order_and_end_with_the_last_one() {
    let daemon = Daemon::answering(format!("{OK}{FIRST}{LAST}"));
    let fetch = daemon.fetch().unwrap();
    assert_eq!(fetch.daemon_user(), rustix::process::getuid().as_raw());
    let records: Vec<FetchRecord> = records(fetch).collect::<Result<_, _>>().unwrap();
    assert_eq!(records[0], FetchRecord::Progress(Progress::default()));
    assert!(matches!(&records[1], FetchRecord::Failed(failed) if failed.code == FailureCode::NotFound));
    assert_eq!(records.len(), 2);
    let asked = daemon.asked();
    assert!(asked.starts_with("POST /v1/fetches HTTP/1.0\r\n"), "{asked}");
    assert!(asked.ends_with("{\"url\":\"http://m/a\",\"with_signature\":true,\"force\":false}"), "{asked}");
}

#[test]
fn to_be_asked_to_learn_a_transaction_ends_no_fetch() {
    let golden = include_str!("../../../tests/golden/api/learn.json");
    let daemon = Daemon::answering(format!("{OK}{FIRST}{golden}{LAST}"));
    let records: Vec<FetchRecord> = records(daemon.fetch().unwrap()).collect::<Result<_, _>>().unwrap();
    assert!(matches!(records[..], [FetchRecord::Progress(_), FetchRecord::Learn, FetchRecord::Failed(_)]));
}

#[test]
fn a_prefetch_goes_on_after_a_file_that_failed_and_ends_with_done() {
    let (progress, failed, done) = (
        include_str!("../../../tests/golden/api/prefetch_progress.json"),
        include_str!("../../../tests/golden/api/prefetch_failed.json"),
        include_str!("../../../tests/golden/api/prefetch_done.json"),
    );
    let daemon = Daemon::answering(format!("{OK}{progress}{failed}{progress}{done}{progress}"));
    let request = PrefetchRequest { files: vec![PrefetchFile { url: "http://m/a".to_owned(), package: None }] };
    let prefetch = Client::new(&daemon.socket).prefetch(&request).unwrap();
    let records: Vec<PrefetchRecord> = records(prefetch).collect::<Result<_, _>>().unwrap();
    let [PrefetchRecord::Progress(_), PrefetchRecord::Failed { .. }, _, PrefetchRecord::Done(_)] = records[..] else {
        panic!("{records:?}")
    };
    assert!(daemon.asked().starts_with("POST /v1/prefetches HTTP/1.0\r\n"));
}

#[test]
fn a_transaction_is_told_and_its_answer_read() {
    let accepted = include_str!("../../../tests/golden/api/transaction_accepted.json");
    let daemon = Daemon::answering(format!("{OK}{accepted}"));
    let accepted = Client::new(&daemon.socket).tell_transaction(&transaction(1)).unwrap();
    assert_eq!(accepted, TransactionAccepted { files: 87 });
    let asked = daemon.asked();
    assert!(asked.starts_with("POST /v1/transactions HTTP/1.0\r\n"), "{asked}");
    assert!(
        asked.ends_with(
            "{\"transaction\":{\"pid\":7,\"started\":8},\"urls\":[\"http://m/a\"],\"with_signatures\":true}"
        )
    );
}

#[test]
fn a_change_of_the_upload_is_asked_for_and_its_answer_read() {
    let golden = include_str!("../../../tests/golden/api/upload.json");
    let daemon = Daemon::answering(format!("{OK}{golden}"));
    let upload = Client::new(&daemon.socket).change_upload(&UploadRequest::Resume { reason: None }).unwrap();
    assert_eq!((upload.limit, upload.reason), (Some(0), UploadReason::Paused));
    let asked = daemon.asked();
    assert!(asked.starts_with("POST /v1/upload HTTP/1.0\r\n"), "{asked}");
    assert!(asked.ends_with("{\"action\":\"resume\",\"reason\":null}"), "{asked}");
    let daemon = Daemon::answering(format!("{OK}{golden}"));
    assert_eq!(Client::new(&daemon.socket).upload().unwrap(), upload);
}

#[test]
fn packages_are_asked_for_and_their_list_ends_with_its_last_record() {
    let package = include_str!("../../../tests/golden/api/packages_package.json").replace('\n', "");
    let done = include_str!("../../../tests/golden/api/packages_done.json");
    let daemon = Daemon::answering(format!("{OK}{package}\n{package}\n{done}{package}\n"));
    let packages = Client::new(&daemon.socket).packages().unwrap();
    let records: Vec<PackageRecord> = records(packages).collect::<Result<_, _>>().unwrap();
    assert!(matches!(records[..], [PackageRecord::Package(_), PackageRecord::Package(_), PackageRecord::Done(_)]));
    assert!(daemon.asked().starts_with("GET /v1/packages HTTP/1.0\r\n"));
}

#[test]
fn a_rescan_that_nobody_waits_for_is_one_record() {
    let asked = include_str!("../../../tests/golden/api/rescan_asked.json");
    let daemon = Daemon::answering(format!("{OK}{asked}"));
    let rescan = Client::new(&daemon.socket).rescan(&RescanRequest { all: false, wait: false }).unwrap();
    let records: Vec<RescanRecord> = records(rescan).collect::<Result<_, _>>().unwrap();
    assert_eq!(records, [RescanRecord::Asked]);
    assert!(daemon.asked().ends_with("{\"all\":false,\"wait\":false}"));
    let began = Instant::now();
    let mute = Daemon::mute();
    let rescan = Client::new(&mute.socket).rescan(&RescanRequest { all: false, wait: false });
    assert!(matches!(rescan, Err(ClientError::Hung)) && began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_daemon_that_does_not_take_a_long_list_hangs_after_five_seconds() {
    let daemon = Daemon::mute();
    let began = Instant::now();
    assert!(matches!(Client::new(&daemon.socket).tell_transaction(&transaction(100_000)), Err(ClientError::Hung)));
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn a_stream_that_ends_without_a_last_record_is_broken() {
    let daemon = Daemon::answering(format!("{OK}{FIRST}"));
    let mut records = records(daemon.fetch().unwrap());
    assert!(records.next().unwrap().is_ok());
    assert!(matches!(records.next().unwrap(), Err(ClientError::Broken(_))));
    assert!(records.next().is_none());
}

#[test]
fn a_line_without_end_and_a_line_that_is_no_record_are_broken() {
    for body in ["x".repeat(200 * 1024), "{}\n".to_owned()] {
        let daemon = Daemon::answering(format!("{OK}{body}"));
        let heard = records(daemon.fetch().unwrap()).next().unwrap();
        assert!(matches!(heard, Err(ClientError::Broken(_))), "{heard:?}");
    }
}

#[test]
fn a_head_without_end_is_broken() {
    let daemon = Daemon::answering(format!("HTTP/1.0 200 OK\r\na: {}", "x".repeat(300 * 1024)));
    assert!(matches!(daemon.fetch(), Err(ClientError::Broken(_))));
}

#[test]
fn a_daemon_that_says_nothing_hangs_after_300_milliseconds() {
    let daemon = Daemon::mute();
    let began = Instant::now();
    assert!(matches!(daemon.fetch(), Err(ClientError::Hung)));
    assert!((Duration::from_millis(290)..Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn a_full_backlog_is_a_hung_daemon_and_not_a_wait_for_ever() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("p2pd.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut errors = 0;
    let mut held = Vec::new();
    // std listens with a backlog of at most 4096, net.core.somaxconn caps it.
    while errors == 0 && held.len() < 5000 {
        match connect_at_once(&socket) {
            Some(stream) => held.push(stream),
            None => errors += 1,
        }
    }
    assert_eq!(errors, 1);
    let began = Instant::now();
    assert!(matches!(Client::new(&socket).fetch(&request()), Err(ClientError::Hung)));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn an_old_heartbeat_means_hung_at_once_while_the_socket_lives() {
    let daemon = Daemon::mute();
    let heartbeat = std::fs::OpenOptions::new().create_new(true).write(true).open(heartbeat_path(&daemon.socket));
    heartbeat.unwrap().set_modified(SystemTime::now() - Duration::from_secs(4)).unwrap();
    let began = Instant::now();
    assert!(matches!(daemon.fetch(), Err(ClientError::Hung)));
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
}

#[test]
fn an_old_heartbeat_means_not_running_when_the_process_is_gone() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("p2pd.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let heartbeat = std::fs::OpenOptions::new().create_new(true).write(true).open(heartbeat_path(&socket));
    heartbeat.unwrap().set_modified(SystemTime::now() - Duration::from_secs(4)).unwrap();
    assert!(matches!(Client::new(&socket).fetch(&request()), Err(ClientError::NotRunning)));
}

#[test]
fn a_heartbeat_that_stops_half_way_ends_the_fetch_before_five_seconds() {
    let daemon = Daemon::pausing_after(format!("{OK}{FIRST}"));
    let mut fetch = records(daemon.fetch().unwrap());
    assert!(fetch.next().unwrap().is_ok());
    let heartbeat = std::fs::OpenOptions::new().create_new(true).write(true).open(heartbeat_path(&daemon.socket));
    heartbeat.unwrap().set_modified(SystemTime::now() - Duration::from_secs(4)).unwrap();
    let began = Instant::now();
    assert!(matches!(fetch.next().unwrap(), Err(ClientError::Hung)));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn five_seconds_of_silence_are_a_hung_daemon() {
    let daemon = Daemon::pausing_after(format!("{OK}{FIRST}"));
    let mut fetch = records(daemon.fetch().unwrap());
    assert!(fetch.next().unwrap().is_ok());
    let began = Instant::now();
    assert!(matches!(fetch.next().unwrap(), Err(ClientError::Hung)));
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn no_socket_and_a_dead_one_are_not_running() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("p2pd.sock");
    assert!(matches!(Client::new(&socket).status(), Err(ClientError::NotRunning)));
    drop(UnixListener::bind(&socket).unwrap());
    assert!(matches!(Client::new(&socket).status(), Err(ClientError::NotRunning)));
    assert!(matches!(Client::new(&socket).fetch(&request()), Err(ClientError::NotRunning)));
}

#[test]
fn refusals_are_told_apart() {
    let refuse = |status: &str, code: &str| {
        let body = format!("{{\"code\":\"{code}\",\"message\":\"m\",\"hint\":null}}");
        let daemon = Daemon::answering(format!("HTTP/1.0 {status}\r\np2pd-api: 1\r\n\r\n{body}"));
        daemon.fetch().unwrap_err()
    };
    assert!(matches!(refuse("403 Forbidden", "forbidden"), ClientError::Denied));
    assert!(matches!(refuse("400 Bad Request", "version-mismatch"), ClientError::VersionMismatch { .. }));
    assert!(
        matches!(refuse("429 Too Many Requests", "too-busy"), ClientError::Api(error) if error.code == ErrorCode::TooBusy)
    );
    assert!(matches!(refuse("503 Unavailable", "?"), ClientError::Api(error) if error.code == ErrorCode::Unavailable));
}

#[test]
fn another_version_of_the_api_is_named() {
    let daemon = Daemon::answering(OK.replace("p2pd-api: 1", "p2pd-api: 2"));
    assert!(matches!(
        daemon.fetch(),
        Err(ClientError::VersionMismatch { theirs: Some(theirs) }) if theirs == "2"
    ));
}

#[test]
fn a_status_is_read_to_its_end() {
    let golden = include_str!("../../../tests/golden/api/status.json");
    let daemon = Daemon::answering(format!("{OK}{golden}"));
    let status = Client::new(&daemon.socket).status().unwrap();
    assert_eq!(status, serde_json::from_str(golden).unwrap());
}

fn request() -> FetchRequest {
    FetchRequest { url: "http://m/a".to_owned(), with_signature: true, ..FetchRequest::default() }
}

fn transaction(files: usize) -> TransactionRequest {
    let urls = vec!["http://m/a".to_owned(); files];
    TransactionRequest { transaction: TransactionId { pid: 7, started: 8 }, urls, with_signatures: true }
}

/// The records alone, without the turns in which nothing came.
fn records<R: Record>(answer: Records<R>) -> impl Iterator<Item = Result<R, ClientError>> {
    answer.filter_map(|heard| match heard {
        Ok(Heard::Record(record)) => Some(Ok(record)),
        Ok(Heard::Nothing) => None,
        Err(error) => Some(Err(error)),
    })
}

fn connect_at_once(socket: &Path) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).ok()?;
    connect(&stream, &SocketAddrUnix::new(socket).ok()?).ok()?;
    Some(stream)
}

/// Answers one connection; says what it was asked.
struct Daemon {
    _directory: TempDir,
    socket: PathBuf,
    asked: Receiver<String>,
    release: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn answering(answer: String) -> Self {
        Self::start(move |stream, _| {
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// Answers, and then keeps the connection open and says nothing more.
    fn pausing_after(answer: String) -> Self {
        Self::start(move |stream, release| {
            let _ = stream.write_all(answer.as_bytes());
            let _ = release.recv();
        })
    }

    fn mute() -> Self {
        Self::pausing_after(String::new())
    }

    fn start(answer: impl FnOnce(&mut UnixStream, &Receiver<()>) + Send + 'static) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let socket = directory.path().join("p2pd.sock");
        let listener = UnixListener::bind(&socket).expect("the directory is fresh");
        let (say, asked) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let _ = say.send(String::from_utf8_lossy(&request[..count]).into_owned());
            answer(&mut stream, &released);
        });
        Self { _directory: directory, socket, asked, release: Some(release), thread: Some(thread) }
    }

    fn fetch(&self) -> Result<Fetch, ClientError> {
        Client::new(&self.socket).fetch(&request())
    }

    fn asked(&self) -> String {
        self.asked.recv_timeout(Duration::from_secs(5)).expect("somebody asked")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.release.take();
        // Whoever never asked lets the thread go on.
        let _ = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the canned daemon does not panic");
        }
    }
}
