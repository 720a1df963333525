//! The real libtorrent, driven by `libtorrent_peer.py`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Connecting, Encryption, Host, Package, PeerSources, Process, Transport};

/// Debian's own Python: the module is installed for it alone.
const PYTHON: &str = "/usr/bin/python3";

/// A libtorrent session that seeds or downloads one package.
#[derive(Debug)]
pub struct Libtorrent {
    process: Process,
    listen: SocketAddr,
    directory: TempDir,
}

/// What a session may be told beside its torrent.
#[derive(Debug, Clone, Default)]
pub struct LibtorrentOptions {
    /// How it finds peers, beside the trackers of its torrent.
    pub sources: PeerSources,
    /// Peers that it dials at once.
    pub peers: Vec<SocketAddr>,
    /// How it connects to them.
    pub connecting: Connecting,
    /// Bytes a second; zero is no limit.
    pub upload_limit: u32,
    /// Bytes a second; zero is no limit.
    pub download_limit: u32,
}

impl Libtorrent {
    /// Seeds a package that it gets a copy of.
    #[must_use]
    #[track_caller]
    pub fn seed(host: &Host, package: &Package, trackers: &[String], options: &LibtorrentOptions) -> Self {
        let directory = temporary();
        fs::copy(&package.path, directory.path().join(package.file_name())).expect("the package can be copied");
        let torrent = package.torrent(&torrents(directory.path()), trackers).display().to_string();
        let mut seed = Self::start(host, &torrent, options, directory);
        seed.wait("libtorrent to have verified its copy", Duration::from_mins(1), |state| state["complete"] == true);
        seed
    }

    /// Begins to download a package by its canonical torrent; it seeds afterwards.
    #[must_use]
    #[track_caller]
    pub fn download(host: &Host, package: &Package, trackers: &[String], options: &LibtorrentOptions) -> Self {
        let directory = temporary();
        let torrent = package.torrent(&torrents(directory.path()), trackers).display().to_string();
        Self::start(host, &torrent, options, directory)
    }

    /// Begins to download by a magnet link.
    #[must_use]
    #[track_caller]
    pub fn download_magnet(host: &Host, link: &str, options: &LibtorrentOptions) -> Self {
        Self::start(host, link, options, temporary())
    }

    /// Waits until it has all of the package, byte for byte.
    #[track_caller]
    pub fn wait_complete(&mut self, package: &Package, bound: Duration) {
        self.wait("libtorrent to have the package", bound, |state| state["complete"] == true);
        // Complete is said before the last block is on the disk.
        let path = self.directory.path().join(package.file_name());
        crate::wait_until("libtorrent to have written the package", bound, || package.is_at(&path));
    }

    /// Waits until its last reported state is as wished: `done`, `complete`, `uploaded`, `downloaded`, `peers`, `dht_nodes`.
    #[track_caller]
    pub fn wait(&mut self, what: &str, bound: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
        self.process.wait_for(what, bound, |process| last_state(process).filter(&is_so))
    }

    /// Its last reported state.
    #[must_use]
    pub fn state(&self) -> Value {
        last_state(&self.process).unwrap_or_default()
    }

    /// Where it listens for peers.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    #[track_caller]
    fn start(host: &Host, torrent: &str, options: &LibtorrentOptions, directory: TempDir) -> Self {
        let listen = SocketAddr::new(host.address(), host.free_port());
        let argument = json!({
            "listen": listen.to_string(),
            "torrent": torrent,
            "directory": directory.path(),
            "dht": pairs(&options.sources.dht),
            "lsd": options.sources.lsd,
            "pex": options.sources.pex,
            "peers": pairs(&options.peers),
            "transport": match options.connecting.transport {
                Transport::Any => "any",
                Transport::Tcp => "tcp",
                Transport::Utp => "utp",
            },
            "encryption": match options.connecting.encryption {
                Encryption::Preferred => "enabled",
                Encryption::Avoided => "disabled",
                Encryption::Required => "forced",
            },
            "upload_limit": options.upload_limit,
            "download_limit": options.download_limit,
        });
        let mut command = python(host);
        command.args(["-W", "ignore"]).arg(script("libtorrent_peer.py")).arg(argument.to_string());
        let process = Process::start("libtorrent", command, &directory.path().join("log"));
        Self { process, listen, directory }
    }
}

/// A Python script beside this file.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("support").join(name)
}

/// The command of Debian's Python.
fn python(host: &Host) -> std::process::Command {
    host.command(PYTHON)
}

fn pairs(addresses: &[SocketAddr]) -> Value {
    addresses.iter().map(|address| json!([address.ip(), address.port()])).collect()
}

/// The last line of JSON that one of the scripts has printed.
fn last_state(process: &Process) -> Option<Value> {
    process.log().lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("p2pt-lt-").tempdir().expect("a temporary directory")
}

fn torrents(directory: &Path) -> PathBuf {
    let torrents = directory.join("torrents");
    fs::create_dir(&torrents).expect("a fresh directory can be filled");
    torrents
}
