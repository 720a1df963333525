//! What publishers say of repositories, and how one says it through the daemon.

use serde::{Deserialize, Serialize};

/// The first line of the body of `POST /v1/publications`; the bytes of the database and those of the index follow it.
///
/// It is the pointer that `docs/protocol.md` describes; its value tells the lengths of both files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Whose database and index it is.
    pub repository: String,
    /// As pacman calls it.
    pub architecture: String,
    /// The publisher's public key, in 64 hexadecimal digits.
    pub key: String,
    /// When it was signed, in seconds since 1970.
    pub seq: i64,
    /// The signature, in 128 hexadecimal digits.
    pub signature: String,
    /// The signed value, in hexadecimal digits.
    pub value: String,
}

/// The answer to it: the daemon has both files, and tells whoever asks from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationAccepted {
    /// Neighbours that are here and may ask.
    pub neighbours: u64,
    /// Whether the pointer is being put into the DHT, too.
    pub dht: bool,
}

/// One element of the answer to `GET /v1/publications`: a publisher that is followed, or one that publishes here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The repository.
    pub repository: String,
    /// The publisher's public key, in 64 hexadecimal digits.
    pub key: String,
    /// Whether the configuration names this publisher.
    pub followed: bool,
    /// Whether it publishes through this daemon.
    pub own: bool,
    /// When it published last, in seconds since 1970; None where nothing has been heard of it.
    pub published: Option<i64>,
    /// The SHA-256 of the database that it named then.
    pub database: Option<String>,
    /// The packages of its index, as far as that is here; it may be an older one.
    pub packages: Option<u64>,
}
