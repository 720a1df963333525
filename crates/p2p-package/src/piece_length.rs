//! The single rule from a package's size to its piece length.

/// The most pieces that a canonical torrent may have.
///
/// 2,048 piece hashes are 40 KiB: they fit into three metadata blocks (BEP 9) and into a catalog row.
pub const MAX_PIECES: u64 = 2048;

/// The largest package that we share, in bytes: 1 TiB, 2,048 pieces of 512 MiB.
pub const MAX_PACKAGE_BYTES: u64 = MAX_PIECES * 512 * 1024 * 1024;

const SMALLEST: u32 = 256 * 1024;

/// The length of every piece but the last, in bytes; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceLength(u32);

impl PieceLength {
    /// The canonical piece length: the smallest power of two that is at least 256 KiB and gives at most 2,048 pieces.
    ///
    /// None for a package above [`MAX_PACKAGE_BYTES`].
    #[must_use]
    pub fn canonical(size: u64) -> Option<Self> {
        let least = size.div_ceil(MAX_PIECES).max(SMALLEST.into());
        let bytes = u32::try_from(least.next_power_of_two()).ok()?;
        (size <= MAX_PACKAGE_BYTES).then_some(Self(bytes))
    }

    /// A piece length that somebody else chose, from 1 KiB to 16 MiB: a piece is what has to be in memory, and lost, at once.
    #[must_use]
    pub fn foreign(bytes: u64) -> Option<Self> {
        let bytes = u32::try_from(bytes).ok()?;
        (1024..=16 * 1024 * 1024).contains(&bytes).then_some(Self(bytes))
    }

    /// The length in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// How many pieces a file of `size` bytes has.
    #[must_use]
    pub fn pieces(self, size: u64) -> u64 {
        size.div_ceil(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_piece_length_doubles_where_2048_pieces_no_longer_reach() {
        for (size, expected) in [
            (1, 256 * 1024),
            (512 * MIB, 256 * 1024),
            (512 * MIB + 1, 512 * 1024),
            (1024 * MIB, 512 * 1024),
            (1024 * MIB + 1, 1024 * 1024),
            (MAX_PACKAGE_BYTES, 512 * 1024 * 1024),
        ] {
            assert_eq!(PieceLength::canonical(size).map(PieceLength::bytes), Some(expected), "{size}");
        }
        assert_eq!(PieceLength::canonical(MAX_PACKAGE_BYTES + 1), None);
        assert_eq!(PieceLength::canonical(u64::MAX), None);
    }

    #[test]
    fn absurd_foreign_piece_lengths_are_refused() {
        for bytes in [0, 1, 1023, 16 * MIB + 1, u64::MAX] {
            assert_eq!(PieceLength::foreign(bytes), None, "{bytes}");
        }
    }
}
