//! One pass over a package's bytes: the piece hashes of its canonical torrent, and its SHA-256.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::{FileName, Info, PieceHash, PieceLength, Sha256, Sha256Hasher};

/// What one pass over a package file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// The SHA-256 of the whole file.
    pub sha256: Sha256,
    /// The canonical torrent's `info`.
    pub info: Info,
}

/// Hashes a package of known size as its bytes arrive.
#[derive(Debug)]
pub struct Hasher {
    sha256: Sha256Hasher,
    pieces: PieceHasher,
}

impl Hasher {
    /// A hasher for a package of `size` bytes; none for an empty file or one too large to share.
    #[must_use]
    pub fn new(size: u64) -> Option<Self> {
        Some(Self { sha256: Sha256Hasher::default(), pieces: PieceHasher::new(size)? })
    }

    /// Takes the next bytes in; those beyond `size` make [`Self::finish`] fail.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.pieces.update(bytes);
    }

    /// The bytes taken in so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.pieces.taken
    }

    /// The hashes; none where the bytes were not exactly as many as announced.
    #[must_use]
    pub fn finish(self, file_name: FileName) -> Option<Hashed> {
        Some(Hashed { sha256: self.sha256.finish(), info: self.pieces.finish(file_name)? })
    }
}

/// The half of a [`Hasher`] that is about pieces, for those who hash them at another time.
pub struct PieceHasher {
    size: u64,
    taken: u64,
    piece_length: PieceLength,
    piece: Context,
    piece_taken: u32,
    pieces: Vec<PieceHash>,
}

impl fmt::Debug for PieceHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PieceHasher({} of {} bytes)", self.taken, self.size)
    }
}

impl PieceHasher {
    /// A hasher for a package of `size` bytes; none for an empty file or one too large to share.
    #[must_use]
    pub fn new(size: u64) -> Option<Self> {
        let piece_length = PieceLength::canonical(size).filter(|_| size > 0)?;
        let piece = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        Some(Self { size, taken: 0, piece_length, piece, piece_taken: 0, pieces: Vec::new() })
    }

    /// Takes the next bytes in; those beyond `size` make [`Self::finish`] fail.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        if self.taken > self.size {
            return;
        }
        while !bytes.is_empty() {
            let room = (self.piece_length.bytes() - self.piece_taken) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.piece.update(now);
            self.piece_taken += u32::try_from(now.len()).expect("at most a piece");
            if now.len() == room {
                self.end_piece();
            }
            bytes = later;
        }
    }

    /// The canonical torrent's `info`; none where the bytes were not exactly as many as announced.
    #[must_use]
    pub fn finish(mut self, file_name: FileName) -> Option<Info> {
        if self.taken != self.size {
            return None;
        }
        if self.piece_taken > 0 {
            self.end_piece();
        }
        Some(Info::canonical(file_name, self.size, self.pieces))
    }

    fn end_piece(&mut self) {
        let piece = std::mem::replace(&mut self.piece, Context::new(&SHA1_FOR_LEGACY_USE_ONLY));
        let hash = piece.finish();
        self.pieces.push(PieceHash::try_from(hash.as_ref()).expect("a SHA-1 has 20 bytes"));
        self.piece_taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn hash_in_chunks(bytes: &[u8], chunk: usize) -> Option<Hashed> {
        let mut hasher = Hasher::new(bytes.len() as u64)?;
        bytes.chunks(chunk).for_each(|chunk| hasher.update(chunk));
        hasher.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package name"))
    }

    #[test]
    fn how_the_bytes_arrive_does_not_matter() {
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let whole = hash_in_chunks(&bytes, bytes.len()).expect("a package");
        assert_eq!(whole.info.pieces().len(), 3);
        assert_eq!(whole.sha256, Sha256::of(&bytes));
        assert_eq!(whole.info.pieces()[1], PieceHash::of(&bytes[262_144..524_288]));
        for chunk in [1_000, 262_144, 262_145] {
            assert_eq!(hash_in_chunks(&bytes, chunk).as_ref(), Some(&whole), "{chunk}");
        }
    }

    #[test]
    fn more_or_fewer_bytes_than_announced_give_nothing() {
        let name: FileName = "a-1-1-any.pkg.tar.zst".parse().expect("a package name");
        for bytes in [&b"ab"[..], b"abcd"] {
            let mut hasher = Hasher::new(3).expect("a small package");
            hasher.update(bytes);
            assert_eq!(hasher.finish(name.clone()), None);
        }
        assert!(Hasher::new(0).is_none());
    }

    proptest! {
        #[test]
        fn the_same_bytes_give_the_same_torrent(bytes in any::<Vec<u8>>(), chunk in 1_usize..64) {
            assert_eq!(hash_in_chunks(&bytes, chunk), hash_in_chunks(&bytes, usize::MAX));
        }
    }
}
