//! Calling a peer back, only to see whether it can be reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use p2p_package::InfoHash;
use p2p_wire::{Handshake, PeerId};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::gatehouse::Gatehouse;
use crate::handshaking::shake_hands;
use crate::transport::Socket;

/// How long it may take in all: who asked gives up after five seconds.
const PROBE_WITHIN: Duration = Duration::from_secs(4);

/// A probe under way; it leaves the book when dropped.
struct Probing(Arc<Gatehouse>);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.book().handle_probe_end();
        self.0.dials.notify_one();
    }
}

/// Whether `peer_id` answers for `info_hash` at `address`, by TCP.
pub(crate) async fn probe(house: Arc<Gatehouse>, info_hash: InfoHash, address: SocketAddr, peer_id: PeerId) -> bool {
    if house.book().begin_probe(address).is_err() {
        return false;
    }
    let limit = house.limits.handshake_timeout;
    let ours = Handshake::ours(info_hash, another_name(house.peer_id));
    let stop = house.stop.clone();
    let _probing = Probing(house);
    let attempt = timeout(PROBE_WITHIN, async {
        let mut socket = Socket::tcp(TcpStream::connect(address).await.ok()?);
        shake_hands(&mut socket, &ours, limit).await.ok()
    });
    let answer = stop.run_until_cancelled(attempt).await;
    matches!(answer, Some(Ok(Some(theirs))) if theirs.peer_id == peer_id)
}

/// Under our own name the peer would take this for a second connection with us, and might hang up on the first one for it.
fn another_name(ours: PeerId) -> PeerId {
    let mut bytes = *ours.as_bytes();
    bytes[19] ^= 0xff;
    PeerId::from_bytes(bytes)
}
