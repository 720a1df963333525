//! What neighbours ask each other about packages: the extension `p2p_packages`, version 1 (`docs/protocol.md`).
//!
//! Everything that is read here is a claim of a stranger: who wants bytes compares their SHA-256 with the sync database's.

mod encode;
mod read;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use p2p_package::{BencodeError, InfoHash, Sha256};

use crate::Pointer;

/// The extension that asks neighbours for packages, as an extended handshake names it (BEP 10).
pub const P2P_PACKAGES: &str = "p2p_packages";

/// One message of the extension [`P2P_PACKAGES`].
///
/// Each question has a number `n`, which its asker chose and which is unique among what it waits for; the answer repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackagesMessage {
    /// Which of these do you have?
    Have {
        /// The question's number.
        n: u32,
        /// 1 to [`MAX_QUESTION_IDS`](crate::MAX_QUESTION_IDS) packages.
        ids: Vec<Sha256>,
        /// What is to come with the answer.
        wishes: Wishes,
    },
    /// The answer to [`Self::Have`].
    Has {
        /// The question's number.
        n: u32,
        /// For each id of the question what the speaker has of it. As read, filled with [`Answer::Absent`] to a multiple of 8:
        /// who knows the question cuts it to its length, and what then would be lost must be absent.
        answers: Vec<Answer>,
    },
    /// Send me these bytes.
    Get {
        /// The question's number.
        n: u32,
        /// Of what.
        what: What,
        /// Which of its bytes; 1 to [`MAX_GET_BYTES`](crate::MAX_GET_BYTES) of them.
        range: Range<u64>,
    },
    /// The next bytes of the answer to [`Self::Get`]: they come in order until all have, or a [`Self::No`].
    Data {
        /// The question's number.
        n: u32,
        /// Where in the file they begin.
        offset: u64,
        /// 1 to [`DATA_BLOCK_BYTES`](crate::DATA_BLOCK_BYTES) of them.
        bytes: Bytes,
    },
    /// The speaker does not answer, or not to the end.
    No {
        /// The question's number.
        n: u32,
        /// The reason.
        why: Refusal,
    },
    /// The speaker has these now. It is told to those who asked for them lately and heard that it had not.
    Arrived {
        /// 1 to [`MAX_QUESTION_IDS`](crate::MAX_QUESTION_IDS) packages.
        ids: Vec<Sha256>,
    },
    /// What is the newest database of this club's repository that you have, and what do publishers say of it?
    Recent {
        /// The question's number.
        n: u32,
        /// The club.
        club: InfoHash,
    },
    /// The answer to [`Self::Recent`].
    Newest {
        /// The question's number.
        n: u32,
        /// At most [`MAX_NEWEST`](crate::MAX_NEWEST) databases.
        databases: Vec<DatabaseClaim>,
        /// At most [`MAX_NEWEST`](crate::MAX_NEWEST) pointers.
        pointers: Vec<Pointer>,
    },
    /// Dial me back at the address that you see, at this port, and tell me whether that worked.
    Call {
        /// The question's number.
        n: u32,
        /// Not 0.
        port: u16,
    },
    /// The answer to [`Self::Call`].
    Called {
        /// The question's number.
        n: u32,
        /// Whether the speaker reached the asker there.
        reached: bool,
    },
}

/// What the speaker says of one package that it was asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has all of it.
    Here(Holding),
    /// It does not have it yet, but is downloading it from a mirror, and shall tell when it has [arrived](PackagesMessage::Arrived).
    Coming,
    /// It does not have it, or not for the asker.
    #[default]
    Absent,
}

/// A sync database that the speaker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseClaim {
    /// Of the file.
    pub id: Sha256,
    /// In bytes; 1 to [`MAX_DATABASE_BYTES`](crate::MAX_DATABASE_BYTES).
    pub length: u64,
    /// The detached signature, as in a `.db.sig` file; at most [`MAX_SIGNATURE_BYTES`](crate::MAX_SIGNATURE_BYTES). Empty where
    /// the speaker has none.
    pub signature: Bytes,
}

/// What is to come with the answer about a package that is there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// The canonical torrent's `info` dictionary.
    pub info: bool,
    /// The detached signature.
    pub signature: bool,
}

/// A package that the speaker has. What is `None` was not wished for, is not there, or had no room in the message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The canonical torrent's encoded `info` dictionary; at most [`MAX_INFO_BYTES`](crate::MAX_INFO_BYTES).
    pub info: Option<Bytes>,
    /// The detached signature, as in a `.sig` file; at most [`MAX_SIGNATURE_BYTES`](crate::MAX_SIGNATURE_BYTES).
    pub signature: Option<Bytes>,
}

/// What somebody wants bytes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct What {
    /// The package, or the file's own SHA-256.
    pub id: Sha256,
    /// What of it.
    pub kind: Kind,
}

/// What there is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The package file.
    Package,
    /// The canonical torrent's encoded `info` dictionary.
    Info,
    /// The package's detached signature.
    Signature,
    /// A sync database, as [`PackagesMessage::Newest`] named it.
    Database,
    /// A publisher's index, as a [`Pointer`] named it.
    Index,
}

/// Why a question is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The speaker does not have it, or not for the asker; after some bytes: it has no more of them. So is a reason read that a
    /// later version may add.
    NotHere,
    /// Not now.
    TooBusy,
    /// The asker exceeds what it may ask.
    TooMuch,
}

/// A message is not what `docs/protocol.md` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackagesFault {
    /// Longer than [`MAX_PACKAGES_MESSAGE_BYTES`](crate::MAX_PACKAGES_MESSAGE_BYTES).
    #[error("a message of {0} bytes is too long for neighbours")]
    TooLong(usize),
    /// Not bencoded.
    #[error("a neighbour's message is not bencoded")]
    Bencode(#[source] BencodeError),
    /// No dictionary, or one without a key that its type must have, or with a value there that is out of bounds.
    #[error("a neighbour's message has no usable {0:?}")]
    Key(&'static str),
}
