//! A running p2pd of the build under test.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Binaries, Client, DaemonOptions, Process, Ran, run};

/// How long a daemon may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one answer on the socket may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Our own decisions; the libraries' only where something is wrong.
const LOG_FILTER: &str = "warn,p2pd=debug,p2p_discovery=debug,p2p_engine=debug,p2p_gate=debug,p2p_seeder=debug,\
                          p2p_webseed=debug";

/// A daemon with its own configuration, socket and state in a temporary directory.
#[derive(Debug)]
pub struct Daemon {
    // Dropped, and so ended, before its directory.
    process: Process,
    options: DaemonOptions,
    binaries: Binaries,
    directory: TempDir,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq)]
pub struct Status(serde_json::Value);

impl Daemon {
    /// Starts one and waits until it answers.
    #[must_use]
    #[track_caller]
    pub fn start(binaries: &Binaries, options: DaemonOptions) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-p2pd-").tempdir().expect("a temporary directory");
        fs::write(directory.path().join("p2pd.toml"), options.toml(directory.path())).expect("it can be written");
        let process = spawn(binaries, &options, directory.path());
        let mut daemon = Self { process, options, binaries: binaries.clone(), directory };
        daemon.wait_until_ready();
        daemon
    }

    /// Starts it again after its end, with the same configuration and state.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(!self.process.is_running(), "only an ended daemon can be started again");
        self.process = spawn(&self.binaries, &self.options, self.directory.path());
        self.wait_until_ready();
    }

    /// Has it read another configuration (SIGHUP), which takes effect soon.
    #[track_caller]
    pub fn reconfigure(&mut self, adjust: impl FnOnce(&mut DaemonOptions)) {
        adjust(&mut self.options);
        fs::write(self.directory.path().join("p2pd.toml"), self.options.toml(self.directory.path()))
            .expect("it is ours");
        self.process.signal(Signal::HUP);
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("p2pd.sock")
    }

    /// Its state directory.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.options.state_dir.clone().unwrap_or_else(|| self.directory.path().join("state"))
    }

    /// Where it really listens for peers.
    #[must_use]
    #[track_caller]
    pub fn listen(&self) -> SocketAddr {
        self.status().text("listen").parse().expect("`listen` is an address")
    }

    /// Its status now.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> Status {
        self.try_status().unwrap_or_else(|| panic!("no status from p2pd:\n{}", self.log()))
    }

    /// Waits until its status is as wished.
    #[track_caller]
    pub fn wait_for_status(&mut self, what: &str, bound: Duration, is_so: impl Fn(&Status) -> bool) -> Status {
        let socket = self.socket();
        self.process.wait_for(what, bound, |_| status(&socket).filter(&is_so))
    }

    /// The client that pacman would run, talking to this daemon.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.binaries, &self.options.host, &self.socket())
    }

    /// The `XferCommand` that uses this daemon.
    #[must_use]
    pub fn xfer_command(&self) -> String {
        format!("{} --socket {} %u %o", self.binaries.get().display(), self.socket().display())
    }

    /// Runs `p2pctl` with these arguments.
    #[track_caller]
    pub fn p2pctl(&self, arguments: &[&str]) -> Ran {
        let mut command = self.options.host.command(self.binaries.p2pctl());
        command.arg("--socket").arg(self.socket()).args(arguments);
        run(command, Duration::from_secs(30))
    }

    /// Its process: to stop, pause or kill it, or to see what it cost.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn try_status(&self) -> Option<Status> {
        status(&self.socket())
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let socket = self.socket();
        self.process.wait_for("an answer on its socket", READY_WITHIN, |_| status(&socket));
    }
}

fn spawn(binaries: &Binaries, options: &DaemonOptions, directory: &Path) -> Process {
    let mut command = options.host.command(binaries.p2pd());
    command.arg("--config").arg(directory.join("p2pd.toml")).env("NO_COLOR", "1");
    if options.verbose && std::env::var_os("P2PD_LOG").is_none() {
        command.env("P2PD_LOG", LOG_FILTER);
    }
    Process::start("p2pd", command, &directory.join("log"))
}

/// Asks as docs/api.md says, without any code of the client.
fn status(socket: &Path) -> Option<Status> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.write_all(b"GET /v1/status HTTP/1.0\r\nHost: p2pd\r\np2pd-api: 1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_success = head.split_whitespace().nth(1) == Some("200");
    is_success.then(|| serde_json::from_str(body).ok().map(Status))?
}

impl Status {
    /// A number, `packages_seeded` say.
    #[must_use]
    #[track_caller]
    pub fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("the status has no number {key:?}: {}", self.0))
    }

    /// A text, `listen` say.
    #[must_use]
    #[track_caller]
    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("the status has no text {key:?}: {}", self.0))
    }

    /// All of it.
    #[must_use]
    pub fn json(&self) -> &serde_json::Value {
        &self.0
    }

    /// Bytes that came from peers.
    #[must_use]
    #[track_caller]
    pub fn from_peers(&self) -> u64 {
        self.number("downloaded_from_peers_bytes")
    }

    /// Bytes that came from mirrors.
    #[must_use]
    #[track_caller]
    pub fn from_mirrors(&self) -> u64 {
        self.number("downloaded_from_mirrors_bytes")
    }
}
