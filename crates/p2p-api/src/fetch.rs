//! One file that a client waits for: the request and the records of its answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::transaction::{TransactionId, TransactionProgress};

/// The body of `POST /v1/fetches`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// The URL as pacman named it: unencoded `:` and `+`, credentials, query and fragment included.
    pub url: String,
    /// Also look for `<url>.sig`, at the same time: pacman 6.0 never asks for signatures itself.
    #[serde(default)]
    pub with_signature: bool,
    /// Ask a mirror even where an unchanged copy is at hand: `pacman -Syy`.
    #[serde(default)]
    pub force: bool,
    /// The pacman run that asks, where the client knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionId>,
}

/// One line of the answer. The last one is [`Ready`] or [`Failed`]; a stream without it was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum FetchRecord {
    /// Nobody has told the daemon yet what else this pacman run will ask for: the client that hears this shall, by
    /// [`TransactionRequest`](crate::TransactionRequest). Said once to one client of a run, before anything else but the
    /// first record.
    Learn,
    /// The fetch is under way.
    Progress(Progress),
    /// The file is there.
    Ready(Ready),
    /// There will be no file.
    Failed(Failed),
}

/// How far a fetch is. All numbers are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How many bytes there are.
    pub done: u64,
    /// How many there will be; None while nobody knows.
    pub total: Option<u64>,
    /// How many of `done` came from peers.
    pub from_peers: u64,
    /// A growing file whose first `contiguous` bytes may be copied already, not yet verified. Another one than in the
    /// record before means: begin again at byte 0.
    pub source: Option<PathBuf>,
    /// How many bytes of `source` may be copied.
    pub contiguous: u64,
    /// The whole pacman run, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionProgress>,
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where it lies. What was copied from a `source` of the same path stays good.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its Last-Modified time in seconds since 1970, where the source told one.
    pub modified: Option<u64>,
    /// Whether its SHA-256 is the one that a sync database states.
    pub verified: bool,
    /// How many of its bytes came from peers.
    pub from_peers: u64,
    /// How many of its bytes came from mirrors.
    pub from_mirrors: u64,
    /// The detached signature, where one was asked for and found.
    pub signature: Option<SignatureFile>,
    /// The whole pacman run, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionProgress>,
}

/// A complete detached signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Why there will be no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What a program decides by.
    pub code: FailureCode,
    /// What happened, as a sentence for a person.
    pub message: String,
    /// What the person can do about it.
    pub hint: Option<String>,
}

/// The ways in which a fetch fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// Every mirror answered that it lacks the file: nothing will change if the client asks one of them again.
    NotFound,
    /// No source answered, or none that did delivered.
    Unreachable,
    /// So it was when the file was asked for a moment ago, and none was asked now: pacman asks once for each mirror.
    StillUnreachable,
    /// All sources sent other bytes than the sync database says.
    Mismatch,
    /// The daemon's own disk is full.
    DiskFull,
    /// The daemon is going down.
    Stopping,
    /// A fault of the daemon; also any code that this version does not know.
    #[serde(other)]
    Internal,
}
