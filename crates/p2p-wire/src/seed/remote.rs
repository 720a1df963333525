//! What the other side has, as far as it matters to a seed: whether it still needs anything.

use bytes::Bytes;

use super::{Interest, PeerFault};

/// The pieces that the other side has.
#[derive(Debug)]
pub(super) struct RemotePieces {
    pieces: u32,
    had: u32,
    /// One bit a piece; empty until the first piece is named.
    bits: Vec<u8>,
    interest: Interest,
}

impl RemotePieces {
    pub(super) fn new(pieces: u32) -> Self {
        Self { pieces, had: 0, bits: Vec::new(), interest: Interest::No }
    }

    pub(super) fn have(&mut self, piece: u32) -> Result<(), PeerFault> {
        if piece >= self.pieces {
            return Err(PeerFault::Pieces);
        }
        if self.bits.is_empty() {
            self.bits = vec![0; bitfield_bytes(self.pieces)];
        }
        let (byte, bit) = position(piece);
        if self.bits[byte] & bit == 0 {
            self.bits[byte] |= bit;
            self.had += 1;
        }
        Ok(())
    }

    pub(super) fn have_bitfield(&mut self, bits: &[u8]) -> Result<(), PeerFault> {
        let had = bits.iter().map(|byte| byte.count_ones()).sum();
        let full = self.full_bitfield();
        // Bits beyond the last piece must be zero (BEP 3).
        if bits.len() != full.len() || bits.iter().zip(&full).any(|(bits, full)| bits & !full != 0) {
            return Err(PeerFault::Pieces);
        }
        self.bits = bits.to_vec();
        self.had = had;
        Ok(())
    }

    pub(super) fn have_all(&mut self) {
        self.had = self.pieces;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.had == self.pieces
    }

    /// Notes whether it wants something; true where that is new.
    pub(super) fn set_interest(&mut self, interest: Interest) -> bool {
        std::mem::replace(&mut self.interest, interest) != interest
    }

    pub(super) fn interest(&self) -> Interest {
        self.interest
    }

    /// The bitfield of a peer that has every piece.
    pub(super) fn full_bitfield(&self) -> Bytes {
        let mut bits = vec![0xff; bitfield_bytes(self.pieces)];
        let spare = bits.len() * 8 - self.pieces as usize;
        if let Some(last) = bits.last_mut() {
            *last <<= spare;
        }
        bits.into()
    }
}

fn bitfield_bytes(pieces: u32) -> usize {
    pieces.div_ceil(8) as usize
}

fn position(piece: u32) -> (usize, u8) {
    (piece as usize / 8, 0x80 >> (piece % 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_makes_a_seed_and_repetition_does_not() {
        let mut remote = RemotePieces::new(10);
        assert_eq!(remote.full_bitfield(), [0xff, 0xc0][..]);
        for piece in [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8] {
            assert_eq!(remote.have(piece), Ok(()));
            assert!(!remote.is_complete());
        }
        assert_eq!(remote.have(9), Ok(()));
        assert!(remote.is_complete());
        assert_eq!(remote.have(10), Err(PeerFault::Pieces));
    }

    #[test]
    fn a_bitfield_has_one_bit_a_piece() {
        let mut remote = RemotePieces::new(10);
        for wrong in [&[0xff][..], &[0xff, 0xe0], &[0, 0, 0]] {
            assert_eq!(remote.have_bitfield(wrong), Err(PeerFault::Pieces));
        }
        assert_eq!(remote.have_bitfield(&[0xff, 0x80]), Ok(()));
        assert!(!remote.is_complete());
        assert_eq!(remote.have(9), Ok(()));
        assert!(remote.is_complete());
    }
}
