//! A publisher's two keys: the one that signs, and the one that everybody may know.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use p2p_package::Sha256;

/// A public key (ed25519); 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherKey([u8; 32]);

/// The text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a publisher's key has 64 hexadecimal digits")]
pub struct PublisherKeyError;

/// A secret key (ed25519), never shown.
pub struct PublisherSecret(Ed25519KeyPair);

impl PublisherKey {
    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As it goes over the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublisherKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for PublisherKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublisherKey({self})")
    }
}

impl FromStr for PublisherKey {
    type Err = PublisherKeyError;

    fn from_str(text: &str) -> Result<Self, PublisherKeyError> {
        // The same digits as a SHA-256's.
        let bytes: Sha256 = text.parse().map_err(|_| PublisherKeyError)?;
        Ok(Self(*bytes.as_bytes()))
    }
}

impl PublisherSecret {
    /// The key that follows from these random bytes (RFC 8032: the private key).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed"))
    }

    /// The key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublisherKey {
        let bytes = self.0.public_key().as_ref();
        PublisherKey(bytes.try_into().expect("an ed25519 key has 32 bytes"))
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.sign(text).as_ref().try_into().expect("an ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for PublisherSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublisherSecret(of {})", self.public())
    }
}
