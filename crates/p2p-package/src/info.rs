//! The `info` dictionary of a single-file torrent: what a swarm agrees on.

use std::sync::Arc;

use crate::bencode::{Dictionary, Value};
use crate::{FileName, FileNameError, InfoHash, PackageId, PieceHash, PieceLength, Writer};

/// Which bytes belong to which piece of one package file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    file_name: FileName,
    length: u64,
    piece_length: PieceLength,
    pieces: Arc<[PieceHash]>,
    encoded: Arc<[u8]>,
    info_hash: InfoHash,
}

/// Why a dictionary is not the `info` of one package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// A key is missing, or its value has the wrong type.
    #[error("the info dictionary has no usable {0:?}")]
    Key(&'static str),
    /// `name` is no package's file name.
    #[error("the torrent's name is not a package's")]
    Name(#[source] FileNameError),
    /// `length` is zero, negative or larger than any package that we share.
    #[error("the torrent's length of {0} bytes is out of range")]
    Length(i64),
    /// `piece length` is zero, tiny or absurd.
    #[error("the piece length of {0} bytes is out of range")]
    PieceLength(i64),
    /// The number of piece hashes does not follow from the lengths.
    #[error("{found} bytes of piece hashes for {expected} pieces")]
    PieceCount {
        /// Pieces that the lengths ask for.
        expected: u64,
        /// Bytes in `pieces`; 20 make a hash.
        found: usize,
    },
    /// Several files, a v2 file tree, or a private torrent.
    #[error("the info dictionary has the key {0:?}, which a package's torrent never has")]
    Foreign(&'static str),
    /// The torrent is a valid one of another file.
    #[error("the torrent is of {found_name} with {found_length} bytes")]
    OtherPackage {
        /// Its `name`.
        found_name: FileName,
        /// Its `length` in bytes.
        found_length: u64,
    },
}

impl Info {
    /// The canonical `info` of a package file, from its piece hashes in order.
    ///
    /// # Panics
    ///
    /// Where `pieces` are not as many as [`PieceLength::canonical`] asks for, or `length` is zero or beyond
    /// [`MAX_PACKAGE_BYTES`](crate::MAX_PACKAGE_BYTES): then the caller hashed something else.
    #[must_use]
    pub fn canonical(file_name: FileName, length: u64, pieces: Vec<PieceHash>) -> Self {
        let piece_length = PieceLength::canonical(length).expect("a package's size has a piece length");
        assert_eq!(piece_length.pieces(length), pieces.len() as u64, "one hash a piece");
        assert!(length > 0, "an empty file is no package");
        let encoded = encode(&file_name, length, piece_length, &pieces);
        let info_hash = InfoHash::of(&encoded);
        Self { file_name, length, piece_length, pieces: pieces.into(), encoded: encoded.into(), info_hash }
    }

    /// Reads the encoded `info` dictionary that a peer or a neighbour sent.
    ///
    /// # Errors
    ///
    /// What makes it unfit to stand for one package.
    pub fn read(encoded: &[u8]) -> Result<Self, InfoError> {
        let value = Value::read(encoded).map_err(|_| InfoError::Key("dictionary"))?;
        Self::from_dictionary(value.as_dictionary().ok_or(InfoError::Key("dictionary"))?)
    }

    pub(crate) fn from_dictionary(dictionary: &Dictionary<'_>) -> Result<Self, InfoError> {
        for key in ["files", "file tree", "private"] {
            if dictionary.get(key).is_some_and(|value| *value != Value::Integer(0)) {
                return Err(InfoError::Foreign(key));
            }
        }
        let text = |key| dictionary.get(key).and_then(Value::as_text).ok_or(InfoError::Key(key));
        let integer = |key| dictionary.get(key).and_then(Value::as_integer).ok_or(InfoError::Key(key));
        let file_name = text("name")?.parse().map_err(InfoError::Name)?;
        let length = checked_length(integer("length")?)?;
        let piece_length = checked_piece_length(integer("piece length")?, length)?;
        let hashes = dictionary.get("pieces").and_then(Value::as_bytes).ok_or(InfoError::Key("pieces"))?;
        let pieces = checked_pieces(hashes, piece_length.pieces(length))?;
        let encoded = dictionary.text();
        let info_hash = InfoHash::of(encoded);
        Ok(Self { file_name, length, piece_length, pieces, encoded: encoded.into(), info_hash })
    }

    /// Whether this is the torrent of the package that `id` names, as far as anyone can tell before hashing the file.
    ///
    /// # Errors
    ///
    /// [`InfoError::OtherPackage`] where name or length differ.
    pub fn expect(self, id: &PackageId) -> Result<Self, InfoError> {
        if self.file_name == id.file_name && self.length == id.size {
            return Ok(self);
        }
        Err(InfoError::OtherPackage { found_name: self.file_name, found_length: self.length })
    }

    /// The file's name.
    #[must_use]
    pub fn file_name(&self) -> &FileName {
        &self.file_name
    }

    /// The file's length in bytes, at least one.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The length of every piece but the last.
    #[must_use]
    pub fn piece_length(&self) -> PieceLength {
        self.piece_length
    }

    /// One SHA-1 a piece.
    #[must_use]
    pub fn pieces(&self) -> &Arc<[PieceHash]> {
        &self.pieces
    }

    /// The bytes of the dictionary as they were read, or as we write them.
    #[must_use]
    pub fn encoded(&self) -> &Arc<[u8]> {
        &self.encoded
    }

    /// The SHA-1 of [`Self::encoded`].
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// Where piece `index` lies in the file: offset and length in bytes.
    #[must_use]
    pub fn piece_range(&self, index: u32) -> std::ops::Range<u64> {
        let length = u64::from(self.piece_length.bytes());
        let start = (u64::from(index) * length).min(self.length);
        start..(start + length).min(self.length)
    }
}

fn checked_length(length: i64) -> Result<u64, InfoError> {
    let bytes = u64::try_from(length).ok().filter(|bytes| (1..=crate::MAX_PACKAGE_BYTES).contains(bytes));
    bytes.ok_or(InfoError::Length(length))
}

/// A stranger's choice, or ours: the largest packages have larger pieces than we take from strangers.
fn checked_piece_length(bytes: i64, length: u64) -> Result<PieceLength, InfoError> {
    let number = u64::try_from(bytes).ok();
    let canonical = PieceLength::canonical(length).filter(|canonical| Some(u64::from(canonical.bytes())) == number);
    number.and_then(PieceLength::foreign).or(canonical).ok_or(InfoError::PieceLength(bytes))
}

fn checked_pieces(hashes: &[u8], expected: u64) -> Result<Arc<[PieceHash]>, InfoError> {
    if u64::try_from(hashes.len()).ok() != expected.checked_mul(20) {
        return Err(InfoError::PieceCount { expected, found: hashes.len() });
    }
    let hashes = hashes.chunks_exact(20).map(|hash| PieceHash::try_from(hash).expect("a chunk of 20 bytes"));
    Ok(hashes.collect())
}

fn encode(file_name: &FileName, length: u64, piece_length: PieceLength, pieces: &[PieceHash]) -> Vec<u8> {
    let hashes: Vec<u8> = pieces.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let mut writer = Writer::default();
    writer.dictionary(|info| {
        info.bytes("length").integer(length);
        info.bytes("name").bytes(file_name.as_str());
        info.bytes("piece length").integer(piece_length.bytes());
        info.bytes("pieces").bytes(hashes);
    });
    writer.finish()
}
