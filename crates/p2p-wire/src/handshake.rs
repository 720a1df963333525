//! The first 68 bytes of a connection, from either side (BEP 3).

use p2p_package::InfoHash;

use crate::PeerId;

/// The length byte and the name of the protocol, which every handshake starts with.
const PROTOCOL: [u8; 20] = *b"\x13BitTorrent protocol";
/// The byte and bit of `reserved` for the extension protocol (BEP 10).
const EXTENDED: (usize, u8) = (5, 0x10);
/// The byte and bit of `reserved` for the fast extension (BEP 6).
const FAST: (usize, u8) = (7, 0x04);

/// What one side says first: the swarm, who it is, and which extensions it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// One bit for each extension.
    pub reserved: [u8; 8],
    /// The swarm, or the club.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
}

/// The bytes are no handshake: another protocol, or an encrypted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection does not start with a BitTorrent handshake")]
pub struct HandshakeError;

impl Handshake {
    /// The bytes of a handshake, from the length byte to the peer id.
    pub const BYTES: usize = 68;

    /// What we say: that we know the extension protocol and the fast extension.
    ///
    /// Not for a connection that goes on to librqbit, which hangs up at the fast extension's messages: take
    /// [`Self::without_fast`] there.
    #[must_use]
    pub fn ours(info_hash: InfoHash, peer_id: PeerId) -> Self {
        let mut handshake = Self { reserved: [0; 8], info_hash, peer_id };
        handshake.reserved[EXTENDED.0] |= EXTENDED.1;
        handshake.reserved[FAST.0] |= FAST.1;
        handshake
    }

    /// The same without the fast extension's bit.
    #[must_use]
    pub fn without_fast(mut self) -> Self {
        self.reserved[FAST.0] &= !FAST.1;
        self
    }

    /// Whether the speaker knows the extension protocol (BEP 10).
    #[must_use]
    pub fn knows_extensions(&self) -> bool {
        self.reserved[EXTENDED.0] & EXTENDED.1 != 0
    }

    /// Whether the speaker knows the fast extension (BEP 6).
    #[must_use]
    pub fn knows_fast(&self) -> bool {
        self.reserved[FAST.0] & FAST.1 != 0
    }

    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..20].copy_from_slice(&PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved);
        bytes[28..48].copy_from_slice(self.info_hash.as_bytes());
        bytes[48..].copy_from_slice(self.peer_id.as_bytes());
        bytes
    }

    /// Reads a handshake.
    ///
    /// # Errors
    ///
    /// Where the bytes do not name the protocol.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, HandshakeError> {
        let (protocol, rest) = bytes.split_first_chunk::<20>().ok_or(HandshakeError)?;
        if *protocol != PROTOCOL {
            return Err(HandshakeError);
        }
        let (reserved, rest) = rest.split_first_chunk::<8>().ok_or(HandshakeError)?;
        let (info_hash, rest) = rest.split_first_chunk::<20>().ok_or(HandshakeError)?;
        let peer_id = rest.first_chunk::<20>().ok_or(HandshakeError)?;
        Ok(Self {
            reserved: *reserved,
            info_hash: InfoHash::from_bytes(*info_hash),
            peer_id: PeerId::from_bytes(*peer_id),
        })
    }

    /// Whether `bytes`, the first that arrived, can still become a handshake.
    #[must_use]
    pub fn may_start_with(bytes: &[u8]) -> bool {
        bytes.iter().zip(&PROTOCOL).all(|(byte, expected)| byte == expected)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn our_handshake_knows_both_extensions() {
        let ours = Handshake::ours(InfoHash::from_bytes([7; 20]), PeerId::ours([1; 12]));
        assert!(ours.knows_extensions() && ours.knows_fast());
        assert!(ours.without_fast().knows_extensions() && !ours.without_fast().knows_fast());
        assert_eq!(ours.peer_id.to_string(), r"-P20100-\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01");
    }

    #[test]
    fn another_protocol_is_noticed_at_its_first_byte() {
        assert!(!Handshake::may_start_with(b"GET / HTTP/1.1"));
        assert!(Handshake::may_start_with(b""));
        assert!(Handshake::may_start_with(b"\x13BitTorrent protocol\0\0"));
        assert_eq!(Handshake::decode(&[b'x'; 68]), Err(HandshakeError));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(reserved in any::<[u8; 8]>(), hash in any::<[u8; 20]>(), id in any::<[u8; 20]>()) {
            let (info_hash, peer_id) = (InfoHash::from_bytes(hash), PeerId::from_bytes(id));
            let handshake = Handshake { reserved, info_hash, peer_id };
            assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
        }
    }
}
