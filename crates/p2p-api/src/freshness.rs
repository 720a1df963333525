//! How fresh the sync databases are.

use serde::{Deserialize, Serialize};

/// The newest database of one shared repository that the daemon has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// The repository.
    pub repository: String,
    /// Seconds since it was signed; None where it has no signature that is good.
    pub signed_age_seconds: Option<u64>,
    /// The fingerprint of the key that signed it.
    pub key: Option<String>,
    /// Who sent it.
    pub source: DatabaseSource,
    /// How many neighbours said, when it came, that it is their newest one; 0 where it came from elsewhere.
    pub neighbours: u64,
    /// Seconds since it came, or since a mirror last said that it has no newer one.
    pub age_seconds: u64,
}

/// Who sent a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseSource {
    /// A mirror.
    Mirror,
    /// A neighbour, when no mirror answered.
    Neighbour,
    /// Somebody else: pacman has it.
    Pacman,
}
