//! The real transmission-daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use p2p_package::Writer;
use serde_json::json;
use tempfile::TempDir;

use crate::{Connecting, Encryption, Host, Package, PeerSources, Process, Ran, Transport, run};

/// Its id in a DHT: the nodes with the smallest ids are the closest.
const BEFORE_ALL_NODES: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A running transmission-daemon without any torrent at first.
#[derive(Debug)]
pub struct Transmission {
    process: Process,
    host: Host,
    rpc: u16,
    listen: SocketAddr,
    directory: TempDir,
}

impl Transmission {
    /// Starts it with just these ways to find peers, and the trackers that its torrents name.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, sources: &PeerSources) -> Self {
        Self::connecting(host, sources, Connecting { transport: Transport::Tcp, ..Connecting::default() })
    }

    /// The same, told how to connect.
    #[must_use]
    #[track_caller]
    pub fn connecting(host: &Host, sources: &PeerSources, connecting: Connecting) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-tr-").tempdir().expect("a temporary directory");
        let listen = SocketAddr::new(host.address(), host.free_port());
        let rpc = host.free_port();
        let mut settings = settings(listen, rpc, sources, directory.path());
        settings["utp-enabled"] = (connecting.transport != Transport::Tcp).into();
        settings["encryption"] = match connecting.encryption {
            Encryption::Avoided => 0.into(),
            Encryption::Preferred => 1.into(),
            Encryption::Required => 2.into(),
        };
        bind(&mut settings, listen.ip());
        let write = |name: &str, text: String| fs::write(directory.path().join(name), text).expect("it can be written");
        write("settings.json", settings.to_string());
        let nodes = sources.dht.iter().map(|node| format!("{} {}\n", node.ip(), node.port()));
        write("dht.bootstrap", nodes.collect());
        if !sources.dht.is_empty() {
            fs::write(directory.path().join("dht.dat"), remembered(&sources.dht)).expect("it can be written");
        }
        let mut command = host.command("transmission-daemon");
        command.args(["--foreground", "--config-dir"]).arg(directory.path());
        let process = Process::start("transmission-daemon", command, &directory.path().join("log"));
        let mut transmission = Self { process, host: host.clone(), rpc, listen, directory };
        let command = || transmission.remote_command(&["--session-info"]);
        let ready = || run(command(), Duration::from_secs(10)).status.success().then_some(());
        crate::wait_for("transmission's remote control", Duration::from_secs(20), ready);
        assert!(transmission.process.is_running(), "{}", transmission.process.log());
        transmission
    }

    /// Seeds a package that it gets a copy of.
    #[track_caller]
    pub fn seed(&self, package: &Package, trackers: &[String]) {
        let downloads = self.downloads();
        fs::create_dir_all(&downloads).expect("the directory can be made");
        fs::copy(&package.path, downloads.join(package.file_name())).expect("the package can be copied");
        self.add(&package.torrent(self.directory.path(), trackers).display().to_string());
        let hash = package.info.info_hash().to_string();
        crate::wait_until("transmission to have verified its copy", Duration::from_mins(1), || self.is_complete(&hash));
    }

    /// Begins to download a package by its canonical torrent.
    #[track_caller]
    pub fn download(&self, package: &Package, trackers: &[String]) {
        self.add(&package.torrent(self.directory.path(), trackers).display().to_string());
    }

    /// Adds a torrent: a file's path, or a magnet link.
    #[track_caller]
    pub fn add(&self, torrent: &str) {
        run(self.remote_command(&["--add", torrent]), Duration::from_secs(20)).succeeded();
    }

    /// Waits until it has all of a package, byte for byte.
    #[track_caller]
    pub fn wait_complete(&self, package: &Package, bound: Duration) {
        let hash = package.info.info_hash().to_string();
        let what = format!("transmission to have {}", package.file_name());
        crate::wait_until(&what, bound, || self.is_complete(&hash));
        assert!(package.is_at(&self.downloads().join(package.file_name())), "transmission has other bytes");
    }

    /// Where it listens for peers.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where finished downloads lie.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.directory.path().join("downloads")
    }

    /// Runs `transmission-remote`.
    #[track_caller]
    pub fn remote(&self, arguments: &[&str]) -> Ran {
        run(self.remote_command(arguments), Duration::from_secs(20))
    }

    /// `HOST:PORT` of its remote control.
    #[must_use]
    pub fn remote_address(&self) -> String {
        format!("127.0.0.1:{}", self.rpc)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn remote_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command("transmission-remote");
        command.arg(self.remote_address()).args(arguments);
        command
    }

    fn is_complete(&self, hash: &str) -> bool {
        let ran = self.remote(&["--torrent", hash, "--info"]);
        ran.stdout.lines().any(|line| line.trim() == "Percent Done: 100%")
    }
}

/// Binds it to one address, trackers included.
fn bind(settings: &mut serde_json::Value, address: IpAddr) {
    let (v4, v6) = match address {
        IpAddr::V4(v4) => (v4, Ipv6Addr::LOCALHOST),
        IpAddr::V6(v6) => (Ipv4Addr::UNSPECIFIED, v6),
    };
    settings["bind-address-ipv4"] = v4.to_string().into();
    settings["bind-address-ipv6"] = v6.to_string().into();
}

/// Its `dht.dat`, as of a run before: its id, and the nodes that it knew. It calls the first eight of them within seconds, and the
/// others, as those of `dht.bootstrap`, a quarter of a minute apart. It uses a DHT from the ninth node on, and lets that one in only
/// when the eight that it has have answered: here those are the ones closest to itself, which it hears of first in any case.
fn remembered(nodes: &[SocketAddr]) -> Vec<u8> {
    let mut compact = Vec::new();
    for node in nodes {
        let SocketAddr::V4(node) = node else { panic!("our DHT has IPv4 nodes, and not {node}") };
        compact.extend_from_slice(&node.ip().octets());
        compact.extend_from_slice(&node.port().to_be_bytes());
    }
    let mut writer = Writer::default();
    writer.dictionary(|root| {
        root.bytes("id").bytes(BEFORE_ALL_NODES);
        root.bytes("nodes").bytes(compact);
    });
    writer.finish()
}

fn settings(listen: SocketAddr, rpc: u16, sources: &PeerSources, directory: &Path) -> serde_json::Value {
    json!({
        "peer-port": listen.port(),
        "peer-port-random-on-start": false,
        "port-forwarding-enabled": false,
        "dht-enabled": !sources.dht.is_empty(),
        "lpd-enabled": sources.lsd,
        "pex-enabled": sources.pex,
        "rpc-enabled": true,
        "rpc-bind-address": "127.0.0.1",
        "rpc-port": rpc,
        "rpc-whitelist-enabled": false,
        "rpc-host-whitelist-enabled": false,
        "rpc-authentication-required": false,
        "download-dir": directory.join("downloads").display().to_string(),
        "incomplete-dir-enabled": false,
        "rename-partial-files": true,
        "ratio-limit-enabled": false,
        "start-added-torrents": true,
        "cache-size-mb": 4,
        "message-level": 3,
    })
}
