//! What the daemon knows of one package: who lists it, who has it, and how it came last.

use serde::{Deserialize, Serialize};

use crate::{Place, Reach};

/// The longest name of a package that is answered, in bytes: a URL may be one.
pub const MAX_EXPLAINED_NAME: usize = 8 * 1024;

/// One package. The answer to `GET /v1/explanations?package=NAME` is an array of those that the name may mean, 8 at most. Times
/// are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The file's name; or what was asked for, where no package of that name is known.
    pub name: String,
    /// The repositories whose databases list it; empty where none does.
    pub listings: Vec<Listing>,
    /// Where we have it; None where we don't.
    pub held: Option<Held>,
    /// The info hash of its canonical torrent; None while its pieces are not known here.
    pub info_hash: Option<String>,
    /// Who may have it.
    pub reach: Reach,
    /// Why so.
    pub reason: ReachReason,
    /// The pattern of `seed.exclude` that means it.
    pub pattern: Option<String>,
    /// What neighbours answered just now; empty where none was asked. In the order in which they answered, the silent ones last.
    pub neighbours: Vec<NeighbourAnswer>,
    /// Peers of its swarm that we are connected to.
    pub peers: u64,
    /// How many others have it, as trackers and the DHT said last; None where they have not been asked.
    pub others: Option<u64>,
    /// The last fetch of it since the daemon started, among the last 1,000.
    pub last_fetch: Option<FetchStory>,
}

/// What one sync database says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The repository.
    pub repository: String,
    /// The version, as the database states it.
    pub version: String,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

/// Where we have a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Where it lies.
    pub path: String,
    /// Whose that place is.
    #[serde(rename = "where")]
    pub place: Place,
    /// When it came into the catalog; None where it is not there: nothing may have it from us, or nobody has hashed it yet.
    pub added: Option<u64>,
    /// When a client of this machine fetched it last; None for never.
    pub fetched: Option<u64>,
    /// Bytes of it given to peers since the daemon started.
    pub uploaded_bytes: u64,
}

/// Why a package goes as far as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReachReason {
    /// A shared repository lists it.
    Listed,
    /// None lists it any more; `seed.old_versions` says how far such a version goes.
    Superseded,
    /// A pattern of `seed.exclude` means it.
    Excluded,
    /// `seed.repositories` does not name its repository.
    NotShared,
    /// No database lists it, or something that only a newer daemon knows.
    #[serde(other)]
    Unlisted,
}

/// One neighbour's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourAnswer {
    /// Where it listens, or from where it called: `"ip:port"`.
    pub address: String,
    /// Whether it is on a local network.
    pub local: bool,
    /// What it says.
    pub answer: Has,
}

/// What a neighbour says of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Has {
    /// It has it.
    Here,
    /// It is downloading it from a mirror.
    Coming,
    /// It does not have it, or not for us.
    Absent,
    /// It has said nothing within two seconds, or something that only a newer daemon knows.
    #[serde(other)]
    Silent,
}

/// How one fetch went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchStory {
    /// When it began.
    pub began: u64,
    /// How long it took, or has taken so far.
    pub elapsed_ms: u64,
    /// How it ended.
    pub end: StoryEnd,
    /// Why it failed.
    pub message: Option<String>,
    /// Who was there to be asked, what came from each, and why.
    pub sources: Vec<FetchSource>,
    /// What happened, in order.
    pub events: Vec<StoryEvent>,
    /// How many events more there were than are kept.
    pub more_events: u64,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoryEnd {
    /// It has not.
    Running,
    /// The file was there, and verified.
    Ready,
    /// It could not be had.
    Failed,
    /// Nobody waited for it any more, or something that only a newer daemon knows.
    #[serde(other)]
    Abandoned,
}

/// One source of a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchSource {
    /// What it is.
    pub kind: SourceKind,
    /// A mirror's host, or a peer's address; empty for a kind as a whole.
    pub name: String,
    /// Bytes that came from it.
    pub bytes: u64,
    /// Why it was used, or not.
    pub why: String,
}

/// The kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A server of the mirrorlist.
    Mirror,
    /// A daemon that was asked for it.
    Neighbour,
    /// The swarm, or one peer in it.
    Peer,
}

/// Something that happened in a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryEvent {
    /// When, from its beginning on.
    pub after_ms: u64,
    /// What, for people.
    pub text: String,
}
