//! What a publisher says of a repository, as the DHT keeps it: a mutable item of BEP 44.

mod key;
mod statement;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bytes::Bytes;
use p2p_package::InfoHash;

pub use key::{PublisherKey, PublisherKeyError, PublisherSecret};
pub use statement::{PublishedFile, Statement};

use crate::MAX_POINTER_BYTES;

/// A signed statement. As it comes from others it is a claim: nothing of it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The publisher's public key (ed25519).
    pub key: [u8; 32],
    /// The larger one of two replaces the other; never negative on the wire.
    pub seq: i64,
    /// Over salt, sequence number and value, as BEP 44 says.
    pub signature: [u8; 64],
    /// The bencoded value; at most [`MAX_POINTER_BYTES`].
    pub value: Bytes,
}

/// Why a pointer says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerFault {
    /// Not from the owner of the key, or for another repository.
    #[error("the signature is not by its key, or is for another repository")]
    Signature,
    /// Signed, but not a [`Statement`].
    #[error("the value is no statement on a repository")]
    Value,
}

impl Pointer {
    /// Signs what a publisher says at `seq`, which is the time in seconds since 1970.
    #[must_use]
    pub fn sign(secret: &PublisherSecret, club: &InfoHash, seq: i64, statement: &Statement) -> Self {
        let value = statement.encode();
        let signature = secret.sign(&signed_text(club.as_bytes(), seq, &value));
        Self { key: *secret.public().as_bytes(), seq, signature, value: value.into() }
    }

    /// What the owner of the key says of this club's repository.
    ///
    /// # Errors
    ///
    /// Where it was not the owner of the key who said it, or it means nothing.
    pub fn verify(&self, club: &InfoHash) -> Result<Statement, PointerFault> {
        if self.value.len() > MAX_POINTER_BYTES || self.seq < 0 {
            return Err(PointerFault::Value);
        }
        let text = signed_text(club.as_bytes(), self.seq, &self.value);
        let key = UnparsedPublicKey::new(&ED25519, self.key);
        key.verify(&text, &self.signature).map_err(|_| PointerFault::Signature)?;
        Statement::read(&self.value).ok_or(PointerFault::Value)
    }
}

/// What is signed (BEP 44): the item's `v` is a byte string that holds the value.
fn signed_text(salt: &[u8], seq: i64, value: &[u8]) -> Vec<u8> {
    let mut text = format!("4:salt{}:", salt.len()).into_bytes();
    text.extend_from_slice(salt);
    text.extend_from_slice(format!("3:seqi{seq}e1:v{}:", value.len()).as_bytes());
    text.extend_from_slice(value);
    text
}

#[cfg(test)]
mod tests;
