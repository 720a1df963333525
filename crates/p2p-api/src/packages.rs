//! The packages of the catalog: listed, verified, forgotten, and looked for again.
//!
//! `name` in a request is whatever [`Names`](crate::Names) understands.

use serde::{Deserialize, Serialize};

/// One line of the answer to `GET /v1/packages`; the last one is [`PackageRecord::Done`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum PackageRecord {
    /// One package, in the order of their file names.
    Package(Box<Package>),
    /// That was all.
    Done(PackagesListed),
}

/// One package that would be served if asked for now. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The file's name.
    pub file_name: String,
    /// The package's name.
    pub name: String,
    /// Version and release, with the epoch; empty where the file's name tells none.
    pub version: String,
    /// The repository that lists it, or did when it was verified.
    pub repository: String,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// The info hash of its canonical torrent, in hexadecimal digits.
    pub info_hash: String,
    /// Where it lies.
    pub path: String,
    /// Whose that place is.
    #[serde(rename = "where")]
    pub place: Place,
    /// When it came into the catalog.
    pub added: u64,
    /// When a client of this machine fetched it last; None for never.
    pub fetched: Option<u64>,
    /// Bytes of it given to peers since the daemon started.
    pub uploaded_bytes: u64,
    /// When a peer asked for it last, since the daemon started; None for never.
    pub last_asked: Option<u64>,
    /// Who may have it.
    pub reach: Reach,
}

/// Whose directory a package lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// pacman's cache, which is only read.
    Cache,
    /// The daemon's own store.
    Store,
}

/// Who may have a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Everybody.
    Public,
    /// The local networks: no sync database lists it any more.
    Lan,
    /// Nobody.
    Nobody,
}

/// How much was listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesListed {
    /// Packages.
    pub packages: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// The body of `POST /v1/packages/verify` and `POST /v1/packages/forget`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesRequest {
    /// Which packages; to verify, none means all.
    #[serde(default)]
    pub names: Vec<String>,
}

/// One line of the answer to `POST /v1/packages/verify`; the last one is [`VerifyRecord::Done`]. Who hangs up ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum VerifyRecord {
    /// Nothing in the catalog is called this; the others go on.
    Unknown(UnknownName),
    /// How far it is.
    Progress(VerifyProgress),
    /// A package is not what it was. It has left the catalog.
    Fault(PackageFault),
    /// All has been looked at.
    Done(VerifyDone),
}

/// A name that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownName {
    /// As it was asked for.
    pub name: String,
}

/// How far a verification is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProgress {
    /// Packages that have been looked at.
    pub packages_done: u64,
    /// Packages in all.
    pub packages: u64,
    /// Bytes of them that have been read, about.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// The file that is being read.
    pub file_name: String,
}

/// One package that is not served any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFault {
    /// The file's name.
    pub file_name: String,
    /// Where it lies, or lay.
    pub path: String,
    /// Whose that place is. A wrong file in the store is removed.
    #[serde(rename = "where")]
    pub place: Place,
    /// What a program decides by.
    pub fault: FaultKind,
    /// What is wrong, as a sentence for a person.
    pub message: String,
}

/// What can be wrong with a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The file has other bytes than the sync database said.
    Wrong,
    /// There is no such file.
    Gone,
    /// The file can't be read; also any kind that this version does not know.
    #[serde(other)]
    Unreadable,
}

/// What has come of a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyDone {
    /// Packages that were looked at.
    pub packages: u64,
    /// Bytes of those that are good.
    pub good_bytes: u64,
    /// How many had other bytes.
    pub wrong: u64,
    /// How many were not there.
    pub gone: u64,
    /// How many could not be read.
    pub unreadable: u64,
}

/// One line of the answer to `POST /v1/packages/forget`; the last one is [`ForgetRecord::Done`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ForgetRecord {
    /// Nothing in the catalog is called this; the others go on.
    Unknown(UnknownName),
    /// One package is not served any more.
    Forgotten(ForgottenPackage),
    /// That was all.
    Done(ForgetDone),
}

/// A package that is not served any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenPackage {
    /// The file's name.
    pub file_name: String,
    /// Where it lies, or lay.
    pub path: String,
    /// Whose that place is.
    #[serde(rename = "where")]
    pub place: Place,
    /// Whether the file is gone: the store's, unless a client is about to take it.
    pub removed: bool,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetDone {
    /// Packages.
    pub packages: u64,
    /// Bytes of the files that were removed.
    pub freed_bytes: u64,
}

/// The body of `POST /v1/rescan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescanRequest {
    /// Take in again what was forgotten.
    #[serde(default)]
    pub all: bool,
    /// Whether to tell how far it is, up to its end.
    #[serde(default = "yes")]
    pub wait: bool,
}

impl Default for RescanRequest {
    fn default() -> Self {
        Self { all: false, wait: true }
    }
}

const fn yes() -> bool {
    true
}

/// One line of the answer to `POST /v1/rescan`; the last one is [`RescanRecord::Asked`] or [`RescanRecord::Done`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RescanRecord {
    /// The scan begins now, and nobody waits for it.
    Asked,
    /// How far it is.
    Progress(RescanProgress),
    /// All that was found has been read.
    Done(RescanDone),
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescanProgress {
    /// Files still to be read.
    pub waiting: u64,
    /// Files read since the request.
    pub hashed: u64,
    /// Their bytes.
    pub hashed_bytes: u64,
}

/// What a scan has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescanDone {
    /// Files read since the request.
    pub hashed: u64,
    /// Their bytes.
    pub hashed_bytes: u64,
    /// Packages in the catalog now.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that have other bytes than the sync database says.
    pub wrong: u64,
    /// Files that can't be read.
    pub unreadable: u64,
    /// Directories that are missing or can't be read.
    pub unreadable_directories: u64,
}
