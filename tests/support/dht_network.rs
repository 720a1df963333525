//! A private DHT: several nodes of libtorrent on one host, that know each other.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::libtorrent::{python, script};
use crate::{Host, Process};

/// Enough for transmission, which takes a DHT of eight nodes or fewer for a broken one.
const NODES: usize = 12;

/// The running nodes.
#[derive(Debug)]
pub struct DhtNetwork {
    process: Process,
    nodes: Vec<SocketAddr>,
    _directory: TempDir,
}

impl DhtNetwork {
    /// Starts the nodes, and waits until they know each other.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ports: Vec<u16> = (0..NODES).map(|_| host.free_port()).collect();
        let mut command = python(host);
        command
            .args(["-W", "ignore"])
            .arg(script("dht_network.py"))
            .arg(json!({ "address": host.address(), "ports": ports }).to_string());
        let mut process = Process::start("dht", command, &directory.path().join("log"));
        process.wait_for("a DHT whose nodes know each other", Duration::from_mins(1), |process| {
            let log = process.log();
            let known: Vec<usize> = log.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
            known.iter().all(|&known| known >= NODES / 2).then_some(())
        });
        let nodes = ports.into_iter().map(|port| SocketAddr::new(host.address(), port)).collect();
        Self { process, nodes, _directory: directory }
    }

    /// The nodes: every one may be told to a client as the first that it knows.
    #[must_use]
    pub fn nodes(&self) -> &[SocketAddr] {
        &self.nodes
    }

    /// Their process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
