//! The hashes of one growing file.

use std::os::unix::fs::FileExt;
use std::path::Path;

use fs_err::File;
use p2p_package::{FileName, Info, PieceHasher, Sha256, Sha256Hasher};

/// From this size on, in bytes, the pieces are hashed after the hand-over, when nobody waits any more: on a machine with few
/// cores their SHA-1 would cost the client a third of the throughput.
const PIECES_LATER_FROM: u64 = 64 * 1024 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 1024 * 1024;

/// A SHA-256 and, of all but large packages, the piece hashes in the same pass.
#[derive(Debug)]
pub(super) struct Digests {
    size: u64,
    taken: u64,
    sha256: Sha256Hasher,
    pieces: Option<PieceHasher>,
}

/// What the bytes were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digested {
    pub(super) sha256: Sha256,
    /// The canonical torrent's `info`; none where the package is large: see [`hash_pieces`].
    pub(super) info: Option<Info>,
}

impl Digests {
    /// For a package of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let pieces = PieceHasher::new(size).filter(|_| size < PIECES_LATER_FROM);
        Self { size, taken: 0, sha256: Sha256Hasher::default(), pieces }
    }

    /// Takes the next bytes in.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(pieces) = &mut self.pieces {
            pieces.update(bytes);
        }
    }

    /// Takes in what lies in `file` up to `end`. Blocks.
    pub(super) fn catch_up(&mut self, file: &File, end: u64) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        while self.taken < end {
            let left = usize::try_from(end - self.taken).unwrap_or(READ_BYTES);
            buffer.resize(left.min(READ_BYTES), 0);
            file.file().read_exact_at(&mut buffer, self.taken)?;
            self.update(&buffer);
        }
        Ok(())
    }

    /// The hashes; none where there were not as many bytes as announced.
    pub(super) fn finish(self, name: FileName) -> Option<Digested> {
        let info = self.pieces.and_then(|pieces| pieces.finish(name));
        (self.taken == self.size).then(|| Digested { sha256: self.sha256.finish(), info })
    }
}

/// The canonical torrent's `info` of the complete file at `path`; none where it has another size than `size`. Blocks.
pub(super) fn hash_pieces(path: &Path, size: u64, name: FileName) -> std::io::Result<Option<Info>> {
    let file = File::open(path)?;
    let Some(mut pieces) = PieceHasher::new(size) else { return Ok(None) };
    let mut buffer = vec![0; READ_BYTES];
    let mut position = 0;
    loop {
        let length = file.file().read_at(&mut buffer, position)?;
        if length == 0 {
            return Ok(pieces.finish(name));
        }
        pieces.update(&buffer[..length]);
        position += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::Hasher;

    use super::*;

    #[test]
    fn the_pieces_of_a_large_package_are_hashed_later_with_the_same_result() {
        let bytes = vec![7; usize::try_from(PIECES_LATER_FROM).expect("64 MiB")];
        let name: FileName = "a-1-1-any.pkg.tar.zst".parse().expect("a package's name");
        for size in [3, bytes.len()] {
            let bytes = &bytes[..size];
            let mut expected = Hasher::new(size as u64).expect("a package");
            expected.update(bytes);
            let expected = expected.finish(name.clone()).expect("all bytes");
            let mut digests = Digests::new(size as u64);
            digests.update(bytes);
            let digested = digests.finish(name.clone()).expect("all bytes");
            assert_eq!(digested.sha256, expected.sha256);
            let file = tempfile::NamedTempFile::new().expect("a temporary file");
            fs_err::write(file.path(), bytes).expect("room for 64 MiB");
            let later = hash_pieces(file.path(), size as u64, name.clone()).expect("a readable file");
            assert_eq!(digested.info.or(later), Some(expected.info));
        }
    }

    #[test]
    fn too_few_bytes_give_nothing() {
        let mut digests = Digests::new(3);
        digests.update(b"ab");
        assert_eq!(digests.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package's name")), None);
    }
}
