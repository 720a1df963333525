//! The real opentracker, HTTP and UDP on one port.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::{Host, Package, Process};

/// A running tracker for the packages it was started with: Debian builds it with a list of allowed torrents.
#[derive(Debug)]
pub struct OpenTracker {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl OpenTracker {
    /// Starts it on a free port of `host`.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, packages: &[&Package]) -> Self {
        let hashes: Vec<String> = packages.iter().map(|package| package.info.info_hash().to_string()).collect();
        Self::start_for(host, &hashes)
    }

    /// Starts it for any info hashes (hexadecimal), club ids too.
    #[must_use]
    #[track_caller]
    pub fn start_for(host: &Host, info_hashes: &[String]) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a temporary directory");
        // It reads the list only after it has become another user.
        fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let list = info_hashes.iter().fold(String::new(), |list, hash| list + hash + "\n");
        fs::write(directory.path().join("allowed"), list).expect("the list can be written");
        let address = SocketAddr::new(host.address(), host.free_port());
        let mut command = host.command("opentracker");
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        command.args(["-i", &ip, "-p", &port, "-P", &port, "-w", "allowed"]).arg("-d").arg(directory.path());
        let mut process = Process::start("opentracker", command, &directory.path().join("log"));
        let host = host.clone();
        process.wait_for("an open port", Duration::from_secs(10), move |_| {
            let connect = host.spawn(move || TcpStream::connect(address).is_ok());
            connect.join().expect("connecting does not panic").then_some(())
        });
        Self { process, address, _directory: directory }
    }

    /// Its announce URL over HTTP.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// Its announce URL over UDP (BEP 15).
    #[must_use]
    pub fn udp_url(&self) -> String {
        format!("udp://{}/announce", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
