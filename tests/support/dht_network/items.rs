//! What nodes keep for others: mutable items (BEP 44). Nothing about them is verified: that is the clients' to do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use p2p_package::{Dictionary, InfoHash, Value, Writer};

use super::Id;

/// The items that all nodes have, by their targets.
#[derive(Debug, Default)]
pub(super) struct Items(Mutex<BTreeMap<Id, Item>>);

/// The items of some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DhtSnapshot(BTreeMap<Id, Item>);

/// An item as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    key: Vec<u8>,
    seq: i64,
    signature: Vec<u8>,
    value: Vec<u8>,
}

impl Items {
    /// Keeps the newer one, as BEP 44 says.
    pub(super) fn put(&self, arguments: &Dictionary<'_>) -> Option<()> {
        let bytes = |key| arguments.get(key).and_then(Value::as_bytes).map(<[u8]>::to_vec);
        let item = Item {
            key: bytes("k")?,
            seq: arguments.get("seq")?.as_integer()?,
            signature: bytes("sig")?,
            value: bytes("v")?,
        };
        let target = InfoHash::of(&[&item.key[..], &bytes("salt").unwrap_or_default()].concat());
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if items.get(target.as_bytes()).is_none_or(|last| last.seq <= item.seq) {
            items.insert(*target.as_bytes(), item);
        }
        Some(())
    }

    pub(super) fn get(&self, target: &Id) -> Option<Item> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned()
    }

    pub(super) fn snapshot(&self) -> DhtSnapshot {
        DhtSnapshot(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(super) fn replay(&self, earlier: &DhtSnapshot) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&earlier.0);
    }
}

impl Item {
    /// The keys before `nodes` in an answer.
    pub(super) fn write_key(&self, reply: &mut Writer) {
        reply.bytes("k").bytes(&self.key);
    }

    /// Those between `nodes` and `token`.
    pub(super) fn write_signature(&self, reply: &mut Writer) {
        reply.bytes("seq").integer(self.seq);
        reply.bytes("sig").bytes(&self.signature);
    }

    /// Those after `token`.
    pub(super) fn write_value(&self, reply: &mut Writer) {
        reply.bytes("v").bytes(&self.value);
    }
}
