//! Digests with a name each, so that no signature carries a bare array.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// The text was not the expected number of hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest needs {expected} hexadecimal digits")]
pub struct DigestError {
    expected: usize,
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// The digest whose bytes are already known.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The raw bytes, most significant first.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                let mut bytes = [0; $length];
                decode_hex(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = DigestError;

            fn try_from(bytes: &[u8]) -> Result<Self, DigestError> {
                bytes.try_into().map(Self).map_err(|_| DigestError { expected: 2 * $length })
            }
        }
    };
}

digest_type!(
    /// SHA-256 of a whole package file: what a sync database vouches for.
    Sha256,
    32
);
digest_type!(
    /// SHA-1 of an encoded `info` dictionary: the name of a swarm (BEP 3).
    InfoHash,
    20
);
digest_type!(
    /// SHA-1 of one piece (BEP 3).
    PieceHash,
    20
);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Sha256Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl InfoHash {
    /// The digest of an encoded `info` dictionary.
    #[must_use]
    pub fn of(info: &[u8]) -> Self {
        Self(sha1(info))
    }
}

impl PieceHash {
    /// The digest of one piece.
    #[must_use]
    pub fn of(piece: &[u8]) -> Self {
        Self(sha1(piece))
    }
}

/// SHA-256 of bytes that arrive bit by bit.
pub struct Sha256Hasher(Context);

impl Default for Sha256Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl fmt::Debug for Sha256Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sha256Hasher")
    }
}

impl Sha256Hasher {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Sha256(bytes)
    }
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    out.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    out
}

fn decode_hex(text: &str, out: &mut [u8]) -> Result<(), DigestError> {
    let error = DigestError { expected: 2 * out.len() };
    if text.len() != 2 * out.len() {
        return Err(error);
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Err(error);
        };
        *byte = u8::try_from(high * 16 + low).expect("two hexadecimal digits make a byte");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_round_trips() {
        let digest = Sha256::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn wrong_lengths_and_digits_are_refused() {
        for text in ["", "00", &"g".repeat(40), &"é".repeat(20), &"0".repeat(41)] {
            assert!(text.parse::<InfoHash>().is_err(), "{text:?}");
        }
    }
}
