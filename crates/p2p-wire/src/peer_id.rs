//! The name of one running client (BEP 3, BEP 20).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What every peer id of ours starts with: the client's letters and the version 0.1.0.0, in Azureus' style (BEP 20).
const PREFIX: [u8; 8] = *b"-P20100-";

/// The 20 bytes by which a client tells itself from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 20]);

impl PeerId {
    /// A peer id of this client; `random` tells this daemon from others.
    #[must_use]
    pub fn ours(random: [u8; 12]) -> Self {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&PREFIX);
        bytes[8..].copy_from_slice(&random);
        Self(bytes)
    }

    /// A peer id of this client that nobody in this process has had before: for one of those who call the engine from within, which
    /// talks to each peer id only once. The `letters` are for who reads logs.
    #[must_use]
    pub fn within(letters: [u8; 4]) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let count = CALLS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut name = [0; 12];
        name[..4].copy_from_slice(&letters);
        name[4..].copy_from_slice(&count);
        Self::ours(name)
    }

    /// The peer id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PeerId({self})")
    }
}
