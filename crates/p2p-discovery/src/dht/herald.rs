//! Announces what we hold in the DHT, and looks for clubs, with few packets; the socket behind a [`Walk`].

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use p2p_package::InfoHash;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::krpc::{self, Node, NodeId};
use super::walk::{Errand, Walk, WalkResult, distance, is_same_node};

/// Nodes with which a walk begins, of each kind.
const FIRST: usize = 8;
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 2048;
/// A socket that fails for good must not keep a processor busy.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// The longest walk: all its packets one after the other, and none answered.
const WALK_TIMEOUT: Duration = Duration::from_secs(30);

/// Who announces, and the nodes it has met: spread over the whole space of ids, so that one is near to any hash.
#[derive(Debug)]
pub(super) struct Herald {
    own: NodeId,
    /// One for each beginning of 10 bits: 1,024 at most. The latest that answered.
    met: Mutex<BTreeMap<u16, Node>>,
}

impl Default for Herald {
    fn default() -> Self {
        Self { own: rand::random(), met: Mutex::default() }
    }
}

impl Herald {
    /// Runs the errand from any port of `ip`; each peer is handed to `found` as it comes. `others` are nodes to begin with
    /// while few have been met.
    ///
    /// # Errors
    ///
    /// There is no network.
    pub(super) async fn go(
        &self,
        errand: Errand,
        ip: Ipv4Addr,
        others: &[SocketAddrV4],
        found: impl FnMut(SocketAddr),
    ) -> io::Result<WalkResult> {
        let info_hash = errand.info_hash;
        let nearest = self.nearest(info_hash);
        let others = if nearest.len() < FIRST { others } else { &[] };
        let mut walk = Walk::new(errand, &nearest, &others[..others.len().min(FIRST)]);
        let socket = UdpSocket::bind((ip, 0)).await?;
        if tokio::time::timeout(WALK_TIMEOUT, self.walk(&socket, &mut walk, found)).await.is_err() {
            tracing::debug!(%info_hash, "dht walk took too long");
        }
        let result = walk.end();
        self.remember(&result);
        Ok(result)
    }

    async fn walk(&self, socket: &UdpSocket, walk: &mut Walk, mut found: impl FnMut(SocketAddr)) {
        // Only who was asked can know it.
        let salt: u32 = rand::random();
        let mut buffer = [0; MAX_ANSWER_BYTES];
        loop {
            while let Some((to, transaction, query)) = walk.poll_query(Instant::now().into_std()) {
                // One that cannot be sent is one that is not answered.
                let _ = socket.send_to(&query.encode(&self.own, transaction ^ salt), to).await;
            }
            let Some(timeout) = walk.poll_timeout() else {
                return;
            };
            match tokio::time::timeout_at(timeout.into(), socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, SocketAddr::V4(from)))) => {
                    if let Some((transaction, answer)) = krpc::read(&buffer[..length]) {
                        walk.handle_answer(from, transaction ^ salt, answer);
                        walk.take_found().into_iter().for_each(&mut found);
                    }
                }
                Ok(Ok((_, SocketAddr::V6(_)))) | Err(_) => {}
                // A closed port somewhere; the others may still answer.
                Ok(Err(_)) => tokio::time::sleep(ERROR_PAUSE).await,
            }
        }
    }

    fn nearest(&self, info_hash: InfoHash) -> Vec<Node> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nodes: Vec<_> = met.values().copied().collect();
        nodes.sort_by_cached_key(|node| distance(&node.id, info_hash.as_bytes()));
        nodes.truncate(FIRST);
        nodes
    }

    fn remember(&self, result: &WalkResult) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of = |node: &Node| result.alive.iter().any(|alive| is_same_node(alive.address, node.address));
        met.retain(|_, node| !result.silent.contains(&node.address) && !is_of(node));
        met.extend(result.alive.iter().map(|node| (beginning(&node.id), *node)));
    }
}

fn beginning(id: &NodeId) -> u16 {
    u16::from_be_bytes([id[0], id[1]]) >> 6
}
