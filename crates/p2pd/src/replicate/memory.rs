//! What is remembered over restarts.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::demand::{Demand, Rarity};
use super::pace::Pace;

/// The file `replicate.json` of the state directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) pace: Pace,
    pub(crate) demand: Demand,
    pub(crate) rarity: Rarity,
}

impl Memory {
    /// What was remembered; where that is missing or broken, nothing, and `machine` is a number of this machine's own.
    pub(crate) fn load(path: &Path, machine: u64, now: SystemTime) -> Self {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_else(|_| Self {
            pace: Pace::new(machine),
            demand: Demand::new(now),
            rarity: Rarity::default(),
        })
    }

    /// Blocks.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        p2p_state::replace(path, &serde_json::to_vec(self).expect("texts, numbers and times are JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_remembered_and_what_is_broken_is_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (path, now) = (directory.path().join("replicate.json"), SystemTime::UNIX_EPOCH);
        let mut memory = Memory::load(&path, 7, now);
        memory.demand.note("a", 2);
        memory.rarity.note("b", 3, now);
        memory.save(&path).expect("room");
        let restored = Memory::load(&path, 8, now);
        assert_eq!((restored.demand.of("a").to_string().as_str(), restored.rarity.of("b")), ("2", Some(3)));
        assert_eq!(serde_json::to_value(&restored.pace).unwrap(), serde_json::to_value(&memory.pace).unwrap());
        fs::write(&path, "{").expect("room");
        assert!(Memory::load(&path, 9, now).demand.of("a") <= 0.0);
    }
}
