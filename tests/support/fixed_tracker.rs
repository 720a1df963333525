//! A tracker that names the same peers to everyone.

use std::net::{IpAddr, SocketAddr};

use fs_err as fs;
use tempfile::TempDir;

use crate::{Host, Mirror};

/// An HTTP tracker that forgets who has asked: for clients that cannot be told the address of a peer.
#[derive(Debug)]
pub struct FixedTracker {
    mirror: Mirror,
    _directory: TempDir,
}

impl FixedTracker {
    /// Starts it on a free port of `host`, to name these peers.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, peers: &[SocketAddr]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("announce"), answer(peers)).expect("the answer can be written");
        Self { mirror: Mirror::serve_on(host, directory.path()), _directory: directory }
    }

    /// Its announce URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.mirror.url("/announce")
    }
}

/// BEP 3, BEP 7 and BEP 23: six or eighteen bytes a peer.
fn answer(peers: &[SocketAddr]) -> Vec<u8> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer.ip() {
            IpAddr::V4(ip) => v4.extend(ip.octets().into_iter().chain(peer.port().to_be_bytes())),
            IpAddr::V6(ip) => v6.extend(ip.octets().into_iter().chain(peer.port().to_be_bytes())),
        }
    }
    let mut answer = b"d8:intervali1800e".to_vec();
    for (key, peers) in [("5:peers", v4), ("6:peers6", v6)] {
        answer.extend(format!("{key}{}:", peers.len()).bytes());
        answer.extend(peers);
    }
    answer.push(b'e');
    answer
}
