//! A private DHT: several nodes of libtorrent on one host, that know each other.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::libtorrent::{last_state, python, script};
use crate::{Host, Package, Process};

/// Enough for transmission, which takes a DHT of eight nodes or fewer for a broken one.
const NODES: u64 = 12;

/// The running nodes.
#[derive(Debug)]
pub struct DhtNetwork {
    process: Process,
    nodes: Vec<SocketAddr>,
    _directory: TempDir,
}

impl DhtNetwork {
    /// Starts the nodes, waits until they know each other, and watches for announces of one package.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, package: &Package) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ports: Vec<u16> = (0..NODES).map(|_| host.free_port()).collect();
        let info_hash = package.info.info_hash().to_string();
        let argument = json!({ "address": host.address(), "ports": ports, "info_hash": info_hash });
        let mut command = python(host);
        command.args(["-W", "ignore"]).arg(script("dht_network.py")).arg(argument.to_string());
        let mut process = Process::start("dht", command, &directory.path().join("log"));
        process.wait_for("a DHT whose nodes know each other", Duration::from_mins(1), |process| {
            let state = last_state(process)?;
            let all_know = |known: &Vec<Value>| known.iter().all(|known| known.as_u64() >= Some(NODES / 2));
            state["known"].as_array().is_some_and(all_know).then_some(())
        });
        let nodes = ports.into_iter().map(|port| SocketAddr::new(host.address(), port)).collect();
        Self { process, nodes, _directory: directory }
    }

    /// The nodes: every one may be told to a client as the first that it knows.
    #[must_use]
    pub fn nodes(&self) -> &[SocketAddr] {
        &self.nodes
    }

    /// Waits until so many peers have announced themselves for the package.
    #[track_caller]
    pub fn wait_for_peers(&mut self, peers: usize, bound: Duration) {
        self.process.wait_for(&format!("{peers} peers in the DHT"), bound, |process| {
            let state = last_state(process)?;
            state["peers"].as_array().is_some_and(|found| found.len() >= peers).then_some(())
        });
    }

    /// Their process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
