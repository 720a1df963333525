//! What a package is, and the one torrent that stands for it.
//!
//! The promise of this crate: the same package file gives the same torrent, byte for byte, on every machine. So two
//! strangers who hold the same file are in the same swarm without having met, and without any server's `.torrent`.
//!
//! Nothing here opens a file, a socket or a clock. `spec/p2p-torrent.7.md` states the rules as a manual page.

mod bencode;
mod digest;
mod file_name;
mod hasher;
mod identity;
mod index;
mod info;
mod metainfo;
mod piece_length;

pub use bencode::{BencodeError, Dictionary, Value, Writer};
pub use digest::{DigestError, InfoHash, PieceHash, Sha256, Sha256Hasher};
pub use file_name::{FileName, FileNameError};
pub use hasher::{Hashed, Hasher, PieceHasher};
pub use identity::PackageId;
pub use index::{Index, IndexEntry, IndexError, MAX_INDEX_BYTES, MAX_INDEX_ENTRY_BYTES, MAX_INDEX_PACKAGES};
pub use info::{Info, InfoError};
pub use metainfo::{MAX_METAINFO_BYTES, Metainfo, MetainfoError};
pub use piece_length::{MAX_PACKAGE_BYTES, MAX_PIECES, PieceLength};
