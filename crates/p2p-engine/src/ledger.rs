//! Which pieces of one file are verified.

use p2p_package::Info;

/// The verified pieces of a file, and what they add up to.
#[derive(Debug)]
pub(crate) struct Ledger {
    length: u64,
    piece_length: u64,
    verified: Vec<bool>,
    verified_bytes: u64,
    first_missing: usize,
}

impl Ledger {
    /// A ledger with nothing verified yet.
    pub(crate) fn new(info: &Info) -> Self {
        Self {
            length: info.length(),
            piece_length: info.piece_length().bytes().into(),
            verified: vec![false; info.pieces().len()],
            verified_bytes: 0,
            first_missing: 0,
        }
    }

    /// Notes that `piece` is verified; saying so twice, or of a piece that does not exist, changes nothing.
    pub(crate) fn mark(&mut self, piece: usize) {
        let Some(verified @ false) = self.verified.get_mut(piece) else {
            return;
        };
        *verified = true;
        let start = piece as u64 * self.piece_length;
        self.verified_bytes += self.piece_length.min(self.length - start);
        let rest = &self.verified[self.first_missing..];
        self.first_missing += rest.iter().take_while(|verified| **verified).count();
    }

    /// The bytes in verified pieces.
    pub(crate) fn verified_bytes(&self) -> u64 {
        self.verified_bytes
    }

    /// The bytes before the first missing piece.
    pub(crate) fn contiguous_bytes(&self) -> u64 {
        (self.first_missing as u64 * self.piece_length).min(self.length)
    }

    /// Whether no piece is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.first_missing == self.verified.len()
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::{Hasher, Info};

    use super::*;

    fn info(length: usize) -> Info {
        let mut hasher = Hasher::new(length as u64).expect("a package's size");
        hasher.update(&vec![0; length]);
        hasher.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package name")).expect("all bytes").info
    }

    #[test]
    fn bytes_add_up_in_any_order() {
        const PIECE: u64 = 256 * 1024;
        let mut ledger = Ledger::new(&info(600_000));
        ledger.mark(2);
        assert_eq!((ledger.verified_bytes(), ledger.contiguous_bytes()), (600_000 - 2 * PIECE, 0));
        ledger.mark(0);
        ledger.mark(0);
        assert_eq!((ledger.verified_bytes(), ledger.contiguous_bytes()), (600_000 - PIECE, PIECE));
        assert!(!ledger.is_complete());
        ledger.mark(3);
        ledger.mark(1);
        assert_eq!((ledger.verified_bytes(), ledger.contiguous_bytes()), (600_000, 600_000));
        assert!(ledger.is_complete());
    }
}
