//! Pointers of publishers as mutable items (BEP 44): found, and put where others find them.

use futures_util::StreamExt;
use mainline::MutableItem;
use mainline::async_dht::AsyncDht;
use p2p_package::InfoHash;
use p2p_wire::{Pointer, PublisherKey};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{ANNOUNCE_TIMEOUT, Dht, LOOKUP_TIMEOUT};

/// Packets that one look-up stands for, because `mainline` does not tell what it sends.
const LOOKUP_PACKETS: u32 = 200;

impl Dht {
    /// The newest pointer of this key for this club that any node has.
    pub(crate) async fn get_pointer(&self, key: PublisherKey, club: InfoHash) -> Option<Pointer> {
        let node = self.node_for_look_up()?;
        // It may panic.
        let mut call = JoinSet::new();
        call.spawn(async move { newest(&node, key, club).await });
        let found = call.join_next().await?.ok().flatten();
        tracing::debug!(%key, %club, seq = ?found.as_ref().map(|pointer| pointer.seq), "dht pointer looked up");
        found
    }

    /// Gives the pointer to the nodes that others will ask for it; how many have taken it.
    pub(crate) async fn put_pointer(&self, pointer: &Pointer, club: InfoHash) -> u32 {
        let Some(node) = self.node_for_look_up() else { return 0 };
        let Pointer { key, seq, signature, value } = pointer;
        let item = MutableItem::new_signed_unchecked(*key, *signature, value, *seq, Some(club.as_bytes()));
        let mut call = JoinSet::new();
        let timeout = LOOKUP_TIMEOUT + ANNOUNCE_TIMEOUT;
        call.spawn(async move { tokio::time::timeout(timeout, node.put_mutable(item, None)).await });
        let stored = match call.join_next().await {
            Some(Ok(Ok(Ok(outcome)))) => outcome.stored_at,
            Some(Ok(Ok(Err(error)))) => {
                tracing::debug!(%club, %error, "dht pointer is not taken");
                0
            }
            Some(Ok(Err(_)) | Err(_)) | None => 0,
        };
        tracing::debug!(%club, seq, stored, "dht pointer put");
        stored
    }

    /// The node, charged with what it will send.
    fn node_for_look_up(&self) -> Option<AsyncDht> {
        let mut state = self.state();
        let node = state.node.clone()?;
        state.upkeep.add(LOOKUP_PACKETS);
        Some(node)
    }
}

/// Reads to the end, within [`LOOKUP_TIMEOUT`]: an old item may come first.
async fn newest(node: &AsyncDht, key: PublisherKey, club: InfoHash) -> Option<Pointer> {
    let end = Instant::now() + LOOKUP_TIMEOUT;
    let mut items = node.get_mutable(key.as_bytes(), Some(club.as_bytes()), None);
    let mut newest: Option<Pointer> = None;
    while let Ok(Some(item)) = timeout_at(end, items.next()).await {
        let is_newer = newest.as_ref().is_none_or(|newest| newest.seq < item.seq());
        let pointer = Pointer {
            key: *item.key(),
            seq: item.seq(),
            signature: *item.signature(),
            value: item.value().to_vec().into(),
        };
        if is_newer && pointer.key == *key.as_bytes() && pointer.verify(&club).is_ok() {
            newest = Some(pointer);
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use mainline::Testnet;
    use p2p_package::Sha256;
    use p2p_wire::{PublishedFile, PublisherSecret, Statement, club_id};

    use super::*;

    /// What follows from one node of a network.
    fn dht(network: &Testnet, node: usize) -> Dht {
        let dht = Dht::default();
        dht.state().node = Some(network.nodes[node].clone().as_async());
        dht
    }

    fn pointer(secret: &PublisherSecret, club: InfoHash, seq: i64) -> Pointer {
        let file = PublishedFile { sha256: Sha256::of(&seq.to_be_bytes()), length: 7 };
        Pointer::sign(secret, &club, seq, &Statement { database: file, index: file })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pointer_is_put_found_replaced_by_a_newer_one_and_never_taken_for_another_clubs() {
        let network = Testnet::builder(10).build().expect("nodes on loopback");
        let (core, extra) = (club_id("core", "x86_64"), club_id("extra", "x86_64"));
        let secret = PublisherSecret::from_seed(&[1; 32]);
        let (publisher, follower) = (dht(&network, 0), dht(&network, 9));
        assert_eq!(follower.get_pointer(secret.public(), core).await, None);
        let old = pointer(&secret, core, 100);
        assert!(publisher.put_pointer(&old, core).await > 0);
        assert_eq!(follower.get_pointer(secret.public(), core).await, Some(old));
        let new = pointer(&secret, core, 101);
        assert!(publisher.put_pointer(&new, core).await > 0);
        assert_eq!(follower.get_pointer(secret.public(), core).await, Some(new.clone()));
        assert_eq!(follower.get_pointer(secret.public(), extra).await, None);
        assert_eq!(publisher.put_pointer(&new, extra).await, 0, "signed for another repository: nodes do not take it");
    }

    #[tokio::test]
    async fn without_a_node_nothing_is_found_and_nobody_is_told() {
        let secret = PublisherSecret::from_seed(&[1; 32]);
        let club = club_id("core", "x86_64");
        assert_eq!(Dht::default().get_pointer(secret.public(), club).await, None);
        assert_eq!(Dht::default().put_pointer(&pointer(&secret, club, 1), club).await, 0);
    }
}
