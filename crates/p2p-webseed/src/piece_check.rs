//! Whether the bytes of a stream are those that a torrent promises.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use p2p_package::Info;

/// Hashes a stream's pieces as they pass. A piece of which the beginning has not passed is not judged.
pub(crate) struct PieceCheck {
    info: Info,
    position: u64,
    piece: Option<Context>,
}

impl fmt::Debug for PieceCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PieceCheck(at {})", self.position)
    }
}

impl PieceCheck {
    /// A check of a stream that begins at `offset`.
    pub(crate) fn new(info: Info, offset: u64) -> Self {
        let at_start = offset.is_multiple_of(info.piece_length().bytes().into());
        Self { info, position: offset, piece: at_start.then(sha1) }
    }

    /// Takes the next bytes in.
    ///
    /// # Errors
    ///
    /// The first piece that ends in `bytes` and is not what the torrent promises.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) -> Result<(), u32> {
        let piece_length = u64::from(self.info.piece_length().bytes());
        while !bytes.is_empty() && self.position < self.info.length() {
            let index = u32::try_from(self.position / piece_length).expect("a torrent has fewer than 2^32 pieces");
            let end = self.info.piece_range(index).end;
            let room = usize::try_from(end - self.position).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(piece) = &mut self.piece {
                piece.update(now);
            }
            self.position += now.len() as u64;
            if self.position == end {
                self.end_piece(index)?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn end_piece(&mut self, index: u32) -> Result<(), u32> {
        let Some(piece) = self.piece.replace(sha1()) else {
            return Ok(());
        };
        let promised = self.info.pieces()[index as usize];
        if piece.finish().as_ref() == promised.as_bytes() { Ok(()) } else { Err(index) }
    }
}

fn sha1() -> Context {
    Context::new(&SHA1_FOR_LEGACY_USE_ONLY)
}

#[cfg(test)]
mod tests {
    use p2p_package::Hasher;

    use super::*;

    const PIECE: usize = 256 * 1024;

    fn package() -> (Vec<u8>, Info) {
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let mut hasher = Hasher::new(600_000).expect("a package's size");
        hasher.update(&bytes);
        let hashed = hasher.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package name")).expect("all bytes");
        (bytes, hashed.info)
    }

    fn check(info: &Info, bytes: &[u8], from: usize, chunk: usize) -> Result<(), u32> {
        let mut check = PieceCheck::new(info.clone(), from as u64);
        bytes[from..].chunks(chunk).try_for_each(|chunk| check.update(chunk))
    }

    #[test]
    fn right_bytes_pass_and_one_wrong_byte_names_its_piece() {
        let (mut bytes, info) = package();
        for from in [0, PIECE, 5] {
            assert_eq!(check(&info, &bytes, from, 10_007), Ok(()), "{from}");
        }
        bytes[599_999] ^= 1;
        assert_eq!(check(&info, &bytes, 0, usize::MAX), Err(2));
        bytes[PIECE - 1] ^= 1;
        assert_eq!(check(&info, &bytes, 0, 10_007), Err(0));
        assert_eq!(check(&info, &bytes, 5, 10_007), Err(2), "half a piece can't be judged");
    }
}
