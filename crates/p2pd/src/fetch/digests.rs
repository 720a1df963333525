//! The hashes of one growing file, and of one that is complete.

use std::os::unix::fs::FileExt;
use std::path::Path;

use fs_err::File;
use p2p_package::{FileName, Info, PieceHasher, Sha256, Sha256Hasher};

/// How much is read at once.
const READ_BYTES: usize = 1024 * 1024;

/// The SHA-256 of a file as it grows.
#[derive(Debug)]
pub(super) struct Digest {
    size: u64,
    taken: u64,
    sha256: Sha256Hasher,
}

impl Digest {
    /// For a package of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        Self { size, taken: 0, sha256: Sha256Hasher::default() }
    }

    /// Takes the next bytes in.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        self.sha256.update(bytes);
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

    /// The hash; none where there were not as many bytes as announced.
    pub(super) fn finish(self) -> Option<Sha256> {
        (self.taken == self.size).then(|| self.sha256.finish())
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
    fn hashed_apart_they_are_what_they_are_hashed_together() {
        let bytes = vec![7; 3 * READ_BYTES + 1];
        let name: FileName = "a-1-1-any.pkg.tar.zst".parse().expect("a package's name");
        for size in [3, bytes.len()] {
            let bytes = &bytes[..size];
            let mut expected = Hasher::new(size as u64).expect("a package");
            expected.update(bytes);
            let expected = expected.finish(name.clone()).expect("all bytes");
            let mut digest = Digest::new(size as u64);
            digest.update(bytes);
            assert_eq!(digest.finish(), Some(expected.sha256));
            let file = tempfile::NamedTempFile::new().expect("a temporary file");
            fs_err::write(file.path(), bytes).expect("room for some megabytes");
            let info = hash_pieces(file.path(), size as u64, name.clone()).expect("a readable file");
            assert_eq!(info, Some(expected.info));
            assert_eq!(hash_pieces(file.path(), size as u64 + 1, name.clone()).expect("a readable file"), None);
        }
    }

    #[test]
    fn too_few_bytes_give_nothing() {
        let mut digest = Digest::new(3);
        digest.update(b"ab");
        assert_eq!(digest.finish(), None);
    }
}
