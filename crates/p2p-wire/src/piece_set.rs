//! Some pieces of a torrent.

use bytes::Bytes;

/// Some pieces of a torrent: one bit each, the highest of the first byte for piece 0, as BEP 3 writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceSet {
    pieces: u32,
    count: u32,
    bits: Vec<u8>,
}

impl PieceSet {
    /// None of so many pieces.
    #[must_use]
    pub fn none(pieces: u32) -> Self {
        Self { pieces, count: 0, bits: vec![0; bitfield_bytes(pieces)] }
    }

    /// All of so many pieces.
    #[must_use]
    pub fn all(pieces: u32) -> Self {
        let mut bits = vec![0xff; bitfield_bytes(pieces)];
        let spare = bits.len() * 8 - pieces as usize;
        if let Some(last) = bits.last_mut() {
            *last <<= spare;
        }
        Self { pieces, count: pieces, bits }
    }

    /// What a `bitfield` says of so many pieces; none where it has another length, or bits beyond the last piece (BEP 3).
    #[must_use]
    pub fn read(pieces: u32, bits: &[u8]) -> Option<Self> {
        let all = Self::all(pieces);
        let is_possible =
            bits.len() == all.bits.len() && bits.iter().zip(&all.bits).all(|(bits, all)| bits & !all == 0);
        let count = bits.iter().map(|byte| byte.count_ones()).sum();
        is_possible.then(|| Self { pieces, count, bits: bits.to_vec() })
    }

    /// Adds a piece; false where the torrent does not have it.
    pub fn insert(&mut self, piece: u32) -> bool {
        if piece >= self.pieces {
            return false;
        }
        let (byte, bit) = position(piece);
        self.count += u32::from(self.bits[byte] & bit == 0);
        self.bits[byte] |= bit;
        true
    }

    /// Whether it has the piece.
    #[must_use]
    pub fn contains(&self, piece: u32) -> bool {
        let (byte, bit) = position(piece);
        piece < self.pieces && self.bits[byte] & bit != 0
    }

    /// Whether it has every piece.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == self.pieces
    }

    /// The payload of a `bitfield`.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bits)
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
    fn a_piece_is_counted_once_and_one_that_is_not_there_never() {
        let mut set = PieceSet::none(10);
        for piece in [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8] {
            assert!(set.insert(piece) && set.contains(piece) && !set.is_full());
        }
        assert!(!set.contains(9) && !set.insert(10) && !set.contains(10));
        assert!(set.insert(9) && set.is_full());
        assert_eq!(set, PieceSet::all(10));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        assert_eq!(PieceSet::all(10).encoded(), [0xff, 0xc0][..]);
        assert_eq!(PieceSet::none(10).encoded(), [0, 0][..]);
        for wrong in [&[0xff][..], &[0xff, 0xe0], &[0, 0, 0]] {
            assert_eq!(PieceSet::read(10, wrong), None);
        }
        let read = PieceSet::read(10, &[0xff, 0x80]).expect("a bit a piece");
        assert!(read.contains(8) && !read.contains(9) && !read.is_full());
        assert_eq!(read.encoded(), [0xff, 0x80][..]);
    }
}
