//! The real opentracker, HTTP and UDP on one port.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::{Host, Package, Process, run, wait_until};

/// A running tracker for the packages it was started with: Debian builds it with a list of allowed torrents.
#[derive(Debug)]
pub struct OpenTracker {
    process: Process,
    host: Host,
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
        process.wait_for("an open port", Duration::from_secs(10), |_| {
            let connect = host.spawn(move || TcpStream::connect(address).is_ok());
            connect.join().expect("connecting does not panic").then_some(())
        });
        Self { process, host: host.clone(), address, _directory: directory }
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

    /// Waits until so many peers have announced themselves for a package. Most clients ask only once in many minutes, so
    /// the one who is to be found must have been there before.
    #[track_caller]
    pub fn wait_for_peers(&self, package: &Package, peers: u64, bound: Duration) {
        let escaped = package
            .info
            .info_hash()
            .as_bytes()
            .iter()
            .fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02x}"));
        let url = format!("http://{}/scrape?info_hash={escaped}", self.address);
        wait_until(&format!("{peers} peers at the tracker"), bound, || {
            let mut command = self.host.command("curl");
            command.args(["-sS", "--max-time", "5", &url]);
            let answer = run(command, Duration::from_secs(10)).stdout;
            let count =
                |key: &str| answer.split_once(key).and_then(|(_, rest)| rest.split_once('e')?.0.parse::<u64>().ok());
            count("8:completei").unwrap_or(0) + count("10:incompletei").unwrap_or(0) >= peers
        });
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
