//! The real aria2c.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::{Encryption, Host, Package, PeerSources, Process};

/// An aria2c that seeds or downloads one package. It cannot be told the address of a peer.
#[derive(Debug)]
pub struct Aria2 {
    process: Process,
    listen: SocketAddr,
    directory: TempDir,
}

impl Aria2 {
    /// Seeds a package that it gets a copy of.
    #[must_use]
    #[track_caller]
    pub fn seed(host: &Host, package: &Package, trackers: &[String], sources: &PeerSources) -> Self {
        let directory = temporary();
        fs::copy(&package.path, directory.path().join(package.file_name())).expect("the package can be copied");
        let torrent = torrent(directory.path(), package, trackers);
        let mut aria2 = Self::start(host, &torrent, sources, Encryption::Preferred, directory);
        aria2.process.wait_for("aria2c to have verified its copy", Duration::from_mins(1), |process| {
            process.log().contains("Verification finished successfully").then_some(())
        });
        aria2
    }

    /// Begins to download a package by its canonical torrent; it seeds afterwards.
    #[must_use]
    #[track_caller]
    pub fn download(host: &Host, package: &Package, trackers: &[String], sources: &PeerSources) -> Self {
        let directory = temporary();
        let torrent = torrent(directory.path(), package, trackers);
        Self::start(host, &torrent, sources, Encryption::Preferred, directory)
    }

    /// Begins to download by a magnet link.
    ///
    /// # Panics
    ///
    /// Where it shall avoid encryption: it has no such setting.
    #[must_use]
    #[track_caller]
    pub fn download_magnet(host: &Host, link: &str, sources: &PeerSources, encryption: Encryption) -> Self {
        assert_ne!(encryption, Encryption::Avoided, "aria2 always tries encryption first");
        Self::start(host, link, sources, encryption, temporary())
    }

    /// Waits until it has all of the package, byte for byte.
    #[track_caller]
    pub fn wait_complete(&mut self, package: &Package, bound: Duration) {
        let path = self.path(package);
        self.process.wait_for("aria2c to have the package", bound, |_| package.is_at(&path).then_some(()));
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

    /// Where the package lies, or will.
    #[must_use]
    pub fn path(&self, package: &Package) -> PathBuf {
        self.directory.path().join(package.file_name())
    }

    #[track_caller]
    fn start(host: &Host, torrent: &str, sources: &PeerSources, encryption: Encryption, directory: TempDir) -> Self {
        let listen = SocketAddr::new(host.address(), host.free_port());
        let mut command = host.command("aria2c");
        command.arg("--dir").arg(directory.path());
        command.args(["--no-conf", "--seed-ratio=0.0", "--check-integrity=true", "--bt-hash-check-seed=true"]);
        command.args(["--file-allocation=none", "--summary-interval=0", "--log-level=info", "--log=-"]);
        command.arg(format!("--listen-port={}", listen.port()));
        command.arg(format!("--bt-require-crypto={}", encryption == Encryption::Required));
        command.arg(format!("--enable-peer-exchange={}", sources.pex));
        command.arg(format!("--bt-enable-lpd={}", sources.lsd));
        add_dht(&mut command, host, sources, &directory);
        command.arg(torrent);
        let process = Process::start("aria2c", command, &directory.path().join("log"));
        Self { process, listen, directory }
    }
}

fn add_dht(command: &mut Command, host: &Host, sources: &PeerSources, directory: &TempDir) {
    command.arg(format!("--enable-dht={}", !sources.dht.is_empty())).arg("--enable-dht6=false");
    command.arg("--dht-file-path").arg(directory.path().join("dht.dat"));
    if let Some(node) = sources.dht.first() {
        command.arg(format!("--dht-entry-point={node}"));
        command.arg(format!("--dht-listen-port={}", host.free_port()));
    }
}

fn torrent(directory: &Path, package: &Package, trackers: &[String]) -> String {
    let torrents = directory.join("torrents");
    fs::create_dir(&torrents).expect("a fresh directory can be filled");
    package.torrent(&torrents, trackers).display().to_string()
}

fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("p2pt-aria2-").tempdir().expect("a temporary directory")
}
