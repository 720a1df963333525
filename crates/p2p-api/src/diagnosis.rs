//! What the daemon can tell of its own health: facts, for `p2pctl doctor` to judge.

use serde::{Deserialize, Serialize};

/// The facts. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Whether others reach us.
    pub calls: CallsBack,
    /// Whether the local network hears us.
    pub lan: LanHearing,
    /// The sync databases, in the order of `pacman.conf`.
    pub databases: Vec<DatabaseHealth>,
    /// What pacman is told of us.
    pub pacman: PacmanUse,
    /// Who may fetch.
    pub access: AccessHealth,
    /// pacman's cache directories.
    pub cache: Vec<DirectoryHealth>,
    /// Where the daemon writes.
    pub state: StateHealth,
    /// What the scan of the cache has to do, and has done.
    pub scan: ScanHealth,
    /// The router's part.
    pub port_mapping: PortMapping,
}

/// Neighbours that were asked just now to dial us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsBack {
    /// False where nobody was asked, since the caller may not fetch.
    pub asked: bool,
    /// Those far away.
    pub remote: Calls,
    /// Those on the local networks.
    pub local: Calls,
}

/// What became of some calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// Neighbours of this kind that are connected.
    pub connected: u64,
    /// Those that were asked.
    pub asked: u64,
    /// Those that reached us.
    pub reached: u64,
    /// Those that did not; the others have not answered.
    pub failed: u64,
}

/// How the local network is heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanHearing {
    /// Neighbours that local service discovery has found, by our word or theirs.
    pub neighbours: u64,
    /// Seconds since another machine's search was heard; None for never.
    pub last_search: Option<u64>,
}

/// One sync database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseHealth {
    /// The repository.
    pub repository: String,
    /// Whether it is shared.
    pub shared: bool,
    /// Packages that it lists.
    pub packages: u64,
    /// Its date, as the mirror told pacman; None where there is no file.
    pub modified: Option<u64>,
    /// Why it can't be read.
    pub fault: Option<String>,
}

/// What `pacman.conf` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacmanUse {
    /// The file.
    pub config: String,
    /// Why it can't be read now; the last good reading is in force.
    pub fault: Option<String>,
    /// `XferCommand`
    pub xfer_command: Option<String>,
    /// `DownloadUser` (pacman 7)
    pub download_user: Option<String>,
    /// Repositories whose `CacheServer` or `Server` is our cache server.
    pub served_repositories: u64,
}

/// Who may fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessHealth {
    /// `daemon.fetch_users` that the system knows.
    pub users: Vec<String>,
    /// Those that it doesn't.
    pub unknown_users: Vec<String>,
    /// `daemon.fetch_group`
    pub group: String,
    /// Whether the system has that group.
    pub group_exists: bool,
}

/// One directory that the daemon has to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryHealth {
    /// Where.
    pub path: String,
    /// Package files in it.
    pub packages: u64,
    /// Those that the daemon's user may not read.
    pub unreadable: u64,
    /// Why it can't be read.
    pub fault: Option<String>,
}

/// The state directory and its file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHealth {
    /// Where.
    pub path: String,
    /// Bytes that are free for the daemon; None where the system did not tell.
    pub free_bytes: Option<u64>,
    /// Bytes in the store.
    pub store_bytes: u64,
    /// `seed.max_store`
    pub max_store: u64,
}

/// The scan of cache and store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanHealth {
    /// Files that wait to be hashed.
    pub waiting: u64,
    /// Files that had other bytes than the databases say.
    pub wrong: u64,
    /// Files that could not be read.
    pub unreadable: u64,
}

/// Whether the router forwards our port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// How it stands.
    pub state: MappingState,
    /// The router, where there is one: `"ip:port"` of its control.
    pub gateway: Option<String>,
    /// Its address outside, as it says.
    pub external: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// How the port's mapping stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MappingState {
    /// The configuration wants none.
    Off,
    /// It would be of no use: the scope is local, or the address is public.
    NotNeeded,
    /// The router is looked for.
    Searching,
    /// TCP and UDP are forwarded.
    Mapped,
    /// It is wanted and there is none, or something that only a newer daemon knows.
    #[serde(other)]
    Failed,
}
