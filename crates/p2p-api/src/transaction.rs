//! The files of one pacman run, told before pacman asks for them.

use serde::{Deserialize, Serialize};

/// One run of pacman, as the kernel tells processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransactionId {
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
    pub started: u64,
}

/// The body of `POST /v1/transactions`, at most [`MAX_TRANSACTION_BYTES`](crate::MAX_TRANSACTION_BYTES): a hint, nothing
/// depends on it being right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRequest {
    /// Whose files they are.
    pub transaction: TransactionId,
    /// What it will ask for, in its order.
    pub urls: Vec<String>,
    /// Also fetch the packages' signatures that no sync database holds.
    #[serde(default)]
    pub with_signatures: bool,
}

/// The answer to a [`TransactionRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionAccepted {
    /// How many files will be fetched before they are asked for.
    pub files: u64,
}

/// How far all files of a transaction are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionProgress {
    /// Files that pacman has been given; of a prefetch, those that are fetched.
    pub files_done: u64,
    /// Files in all.
    pub files: u64,
    /// Bytes of them that are here.
    pub done: u64,
    /// Bytes in all, as far as their sizes are known.
    pub total: u64,
    /// How many of `done` came from peers.
    pub from_peers: u64,
}

/// The body of `POST /v1/prefetches`, at most [`MAX_TRANSACTION_BYTES`](crate::MAX_TRANSACTION_BYTES). The answer is a
/// stream of [`PrefetchRecord`]s; who hangs up cancels what is not fetched yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchRequest {
    /// What is wanted.
    pub files: Vec<PrefetchFile>,
}

/// One file to fetch ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchFile {
    /// Its URL on a mirror.
    pub url: String,
    /// What a newer sync database than the system's says of the package, in lower-case hexadecimal digits and bytes. It is
    /// kept, and shared once the system's own says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageClaim>,
}

/// What somebody says that a package is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageClaim {
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
}

/// One line of a prefetch's answer; the last one is [`PrefetchRecord::Done`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum PrefetchRecord {
    /// How far it is.
    Progress(TransactionProgress),
    /// A file could not be had; the others go on.
    Failed {
        /// Which.
        url: String,
        /// Why, as a sentence for a person.
        message: String,
    },
    /// All has been tried.
    Done(TransactionProgress),
}
