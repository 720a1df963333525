//! What the other side has, as far as it matters to a seed: whether it still needs anything.

use super::{Interest, PeerFault};
use crate::PieceSet;

/// The pieces that the other side has.
#[derive(Debug)]
pub(super) struct RemotePieces {
    pieces: u32,
    /// Most connections name none.
    had: Option<PieceSet>,
    interest: Interest,
}

impl RemotePieces {
    pub(super) fn new(pieces: u32) -> Self {
        Self { pieces, had: None, interest: Interest::No }
    }

    pub(super) fn have(&mut self, piece: u32) -> Result<(), PeerFault> {
        let had = self.had.get_or_insert_with(|| PieceSet::none(self.pieces));
        if had.insert(piece) { Ok(()) } else { Err(PeerFault::Pieces) }
    }

    pub(super) fn have_bitfield(&mut self, bits: &[u8]) -> Result<(), PeerFault> {
        self.had = Some(PieceSet::read(self.pieces, bits).ok_or(PeerFault::Pieces)?);
        Ok(())
    }

    pub(super) fn have_all(&mut self) {
        self.had = Some(PieceSet::all(self.pieces));
    }

    pub(super) fn is_complete(&self) -> bool {
        self.had.as_ref().is_some_and(PieceSet::is_full)
    }

    /// How many pieces there are.
    pub(super) fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Notes whether it wants something; true where that is new.
    pub(super) fn set_interest(&mut self, interest: Interest) -> bool {
        std::mem::replace(&mut self.interest, interest) != interest
    }

    pub(super) fn interest(&self) -> Interest {
        self.interest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_makes_a_seed_and_repetition_does_not() {
        let mut remote = RemotePieces::new(10);
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
