//! What a detached signature says of itself: a claim, until somebody has verified it.

/// The beginning of a version 4 or 6 signature that was made over a file's bytes as they are (RFC 9580, 5.2.1).
const BINARY_DOCUMENT: u8 = 0;
/// The packet (RFC 9580, 5).
const SIGNATURE_PACKET: u8 = 2;
/// Subpackets (RFC 9580, 5.2.3.7).
const CREATED: u8 = 2;
const ISSUER_KEY_ID: u8 = 16;
const ISSUER_FINGERPRINT: u8 = 33;

/// The last eight bytes of a version 4 key's fingerprint, or the first of a later one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub [u8; 8]);

/// A `.sig` file as `gpg --detach-sign` writes it, read without verifying anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetachedSignature {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The key that made it, perhaps a subkey; none where it does not say.
    pub issuer: Option<KeyId>,
}

/// Bytes are no detached signature that says when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no detached signature of a file")]
pub struct SignatureFault;

impl DetachedSignature {
    /// Reads the one packet of a `.sig` file, of version 4 or 6.
    ///
    /// # Errors
    ///
    /// Anything else: armoured text, several packets, a signature that has no date.
    pub fn read(bytes: &[u8]) -> Result<Self, SignatureFault> {
        let mut rest = Reader(packet(bytes).ok_or(SignatureFault)?);
        rest.signature().ok_or(SignatureFault)
    }
}

/// The content of the packet that makes up all of `bytes` (RFC 9580, 4.2).
fn packet(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = Reader(bytes);
    let tag = rest.byte()?;
    let length = match tag {
        0x00..0x80 => return None,
        0x80..0xc0 => {
            if tag >> 2 & 0x0f != SIGNATURE_PACKET {
                return None;
            }
            match tag & 3 {
                0 => rest.number(1)?,
                1 => rest.number(2)?,
                2 => rest.number(4)?,
                _ => return None,
            }
        }
        0xc0.. => {
            if tag & 0x3f != SIGNATURE_PACKET {
                return None;
            }
            rest.length(224)?
        }
    };
    (rest.0.len() == length).then_some(rest.0)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// A length of one, two or five bytes. A first byte of `long` to 254 would begin a partial one, which signatures are not
    /// (RFC 9580, 4.2.1), and is one of two bytes in a subpacket (5.2.3.7).
    fn length(&mut self, long: u8) -> Option<usize> {
        match self.byte()? {
            255 => self.number(4),
            first if first >= long => None,
            first if first >= 192 => Some(((usize::from(first) - 192) << 8) + usize::from(self.byte()?) + 192),
            first => Some(first.into()),
        }
    }

    fn signature(&mut self) -> Option<DetachedSignature> {
        let count_bytes = match self.byte()? {
            4 => 2,
            6 => 4,
            _ => return None,
        };
        if self.byte()? != BINARY_DOCUMENT {
            return None;
        }
        // The algorithms of key and hash.
        self.take(2)?;
        let hashed = self.number(count_bytes)?;
        let hashed = self.take(hashed)?;
        let other = self.number(count_bytes)?;
        let other = self.take(other)?;
        // Anybody could change what is not hashed: no date is taken from there.
        let created = subpackets(hashed).find(|(kind, _)| *kind == CREATED)?.1;
        let created = u32::from_be_bytes(created.try_into().ok()?).into();
        let issuer = subpackets(hashed).chain(subpackets(other)).find_map(|(kind, content)| issuer(kind, content));
        Some(DetachedSignature { created, issuer })
    }
}

/// Kind and content of each, up to what is malformed.
fn subpackets(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = Reader(bytes);
    std::iter::from_fn(move || {
        let length = rest.length(255)?;
        let (kind, content) = rest.take(length)?.split_first()?;
        // The highest bit says that it must be understood.
        Some((kind & 0x7f, content))
    })
}

fn issuer(kind: u8, content: &[u8]) -> Option<KeyId> {
    match (kind, content.split_first()) {
        (ISSUER_KEY_ID, _) => Some(KeyId(content.try_into().ok()?)),
        (ISSUER_FINGERPRINT, Some((4, fingerprint))) => Some(KeyId(*fingerprint.last_chunk()?)),
        (ISSUER_FINGERPRINT, Some((_, fingerprint))) => Some(KeyId(*fingerprint.first_chunk()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by gpg 2.2 with an Ed25519 key.
    const SIGNATURE: &str = "887504001608001d162104dc35d3696de7430ab6f90d47e7c2c55199a9eb5605026b03c26c000a0910e7c2c5\
                             5199a9eb5677db00fd12929457ae603742f6d0d1cdb68833d1a6eb9ff0ace65c7e0fefbf326f5b869e0100d4\
                             5ded757e449cbb40f81c262abac4f112d98ee4e247d77c32bef2cd77f6af0e";
    const CREATED_AT: u64 = 1_795_408_492;
    const ISSUER: KeyId = KeyId([0xe7, 0xc2, 0xc5, 0x51, 0x99, 0xa9, 0xeb, 0x56]);

    fn bytes() -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&SIGNATURE[at..at + 2], 16).expect("hexadecimal digits");
        (0..SIGNATURE.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn what_gpg_wrote_says_when_and_by_whom() {
        let expected = DetachedSignature { created: CREATED_AT, issuer: Some(ISSUER) };
        assert_eq!(DetachedSignature::read(&bytes()), Ok(expected));
    }

    #[test]
    fn a_packet_of_the_new_format_says_the_same() {
        let old = bytes();
        let mut new = vec![0xc0 | SIGNATURE_PACKET, u8::try_from(old.len() - 2).expect("a short signature")];
        new.extend_from_slice(&old[2..]);
        assert_eq!(DetachedSignature::read(&new), DetachedSignature::read(&old));
    }

    #[test]
    fn every_shorter_or_longer_one_is_none() {
        let whole = bytes();
        for length in 0..whole.len() {
            assert_eq!(DetachedSignature::read(&whole[..length]), Err(SignatureFault), "{length}");
        }
        let twice = [whole.clone(), whole].concat();
        assert_eq!(DetachedSignature::read(&twice), Err(SignatureFault));
        assert_eq!(DetachedSignature::read(b"-----BEGIN PGP SIGNATURE-----\n"), Err(SignatureFault));
    }

    #[test]
    fn no_byte_that_is_changed_makes_it_panic() {
        for at in 0..bytes().len() {
            for to in [0, 1, 0x7f, 0x80, 0xc0, 0xff] {
                let mut changed = bytes();
                changed[at] = to;
                if let Ok(read) = DetachedSignature::read(&changed) {
                    assert!(u32::try_from(read.created).is_ok(), "{at} {to}");
                }
            }
        }
    }
}
