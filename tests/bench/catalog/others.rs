//! Other clients that hold the same packages.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use p2p_tests::{Host, Process, look_for, run};
use serde_json::json;
use tempfile::TempDir;

use super::hoard::Hoard;

/// How long a client may take to load its torrents; what it has by then must do.
const LOADED_WITHIN: Duration = Duration::from_mins(3);
/// How often it is asked how far it is: answering takes time from its loading.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A client to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    Transmission,
    Libtorrent,
}

/// A client that seeds.
pub(super) struct Loaded {
    other: Other,
    process: Process,
    count: usize,
    elapsed: Duration,
    _directory: TempDir,
}

impl Other {
    /// Starts it with the torrents of all packages, in the cache where they lie, with DHT and local discovery.
    pub(super) fn load(self, host: &Host, hoard: &Hoard) -> Loaded {
        let directory = tempfile::Builder::new().prefix("p2pt-other-").tempdir().expect("a temporary directory");
        let torrents = directory.path().join("torrents");
        fs_err::create_dir(&torrents).expect("a fresh directory can be filled");
        for package in hoard.packages() {
            drop(package.torrent(&torrents, &[]));
        }
        let (started, all) = (Instant::now(), hoard.packages().len());
        let rpc = host.free_port();
        let mut process = self.start(host, directory.path(), &hoard.cache(), rpc);
        let mut count = 0;
        look_for(LOOK_EVERY, LOADED_WITHIN, || {
            count = self.seeding(host, rpc, &process);
            (count >= all || !process.is_running()).then_some(())
        });
        assert!(process.is_running(), "{}", process.log());
        Loaded { other: self, process, count, elapsed: started.elapsed(), _directory: directory }
    }

    fn start(self, host: &Host, directory: &Path, cache: &Path, rpc: u16) -> Process {
        let command = match self {
            Self::Transmission => transmission(host, directory, cache, rpc),
            Self::Libtorrent => libtorrent(host, directory, cache),
        };
        Process::start(self.name(), command, &directory.join("log"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Transmission => "transmission",
            Self::Libtorrent => "libtorrent",
        }
    }

    /// How many torrents it seeds by now.
    fn seeding(self, host: &Host, rpc: u16, process: &Process) -> usize {
        match self {
            Self::Transmission => {
                let mut command = host.command("transmission-remote");
                command.args([&rpc.to_string(), "--list"]);
                let list = run(command, LOADED_WITHIN).stdout;
                list.lines().filter(|line| line.contains("100%") && !line.contains("Verif")).count()
            }
            Self::Libtorrent => process.log().lines().last().and_then(|line| line.parse().ok()).unwrap_or(0),
        }
    }
}

impl Loaded {
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn name(&self) -> &'static str {
        self.other.name()
    }

    /// Torrents that it seeds.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What loading them took.
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

/// It loads what lies in its directory, and hashes all of it, ten packages a second.
fn transmission(host: &Host, directory: &Path, cache: &Path, rpc: u16) -> Command {
    let settings = json!({
        "peer-port": host.free_port(),
        "port-forwarding-enabled": false,
        "dht-enabled": true,
        "lpd-enabled": true,
        "utp-enabled": true,
        "rpc-bind-address": "127.0.0.1",
        "rpc-port": rpc,
        "download-dir": cache,
        "ratio-limit-enabled": false,
        "start-added-torrents": true,
    });
    fs_err::write(directory.join("settings.json"), settings.to_string()).expect("room for a small file");
    let mut command = host.command("transmission-daemon");
    command.args(["--foreground", "--config-dir"]).arg(directory);
    command
}

/// It is told that all files are complete, and hashes nothing.
fn libtorrent(host: &Host, directory: &Path, cache: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/libtorrent-seeds.py");
    // Debian's own Python: the module is installed for it alone.
    let mut command = host.command("/usr/bin/python3");
    command.args(["-W", "ignore"]).arg(script).arg(directory.join("torrents")).arg(cache);
    command.arg(format!("{}:{}", host.address(), host.free_port()));
    command
}
