//! The pointers, and the highest sequence numbers, as they are written down: without them, a rollback would not be noticed after a
//! restart.

use std::io;
use std::path::Path;

use bytes::Bytes;
use fs_err as fs;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{Pointer, PublisherKey};
use serde::{Deserialize, Serialize};

use super::book::{MAX_HIGHEST, Subject};
use crate::hex;

/// Pointers that are read; configured and own ones are fewer.
const MAX_SAVED: usize = 128;

/// All that is written down.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pointers: Vec<Saved>,
    /// The highest sequence number ever, of publishers that are not configured any more, too.
    pub(super) highest: Vec<(Subject, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) repository: String,
    pub(super) club: InfoHash,
    pub(super) pointer: Pointer,
    /// Published through this daemon.
    pub(super) own: bool,
    /// The index that is here.
    pub(super) index: Option<Sha256>,
}

/// The same in the file; digests and keys in hexadecimal digits.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Records {
    pointers: Vec<Record>,
    highest: Vec<Highest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Highest {
    club: String,
    key: String,
    seq: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    repository: String,
    club: String,
    key: String,
    seq: i64,
    signature: String,
    value: String,
    own: bool,
    index: Option<String>,
}

/// A broken file counts as an empty one: then publishers are heard again.
pub(super) fn load(path: &Path) -> State {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return State::default(),
        Err(error) => {
            tracing::warn!(%error, "what publishers said cannot be read");
            return State::default();
        }
    };
    let records: Records = serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "what publishers said is lost");
        Records::default()
    });
    State {
        pointers: records.pointers.into_iter().take(MAX_SAVED).filter_map(Record::read).collect(),
        highest: records.highest.into_iter().take(MAX_HIGHEST).filter_map(Highest::read).collect(),
    }
}

/// Blocks.
pub(super) fn save(path: &Path, state: &State) -> io::Result<()> {
    let records = Records {
        pointers: state.pointers.iter().map(Record::of).collect(),
        highest: state.highest.iter().map(Highest::of).collect(),
    };
    let text = serde_json::to_vec(&records).expect("texts and numbers are JSON");
    p2p_state::replace(path, &text)
}

impl Highest {
    fn of((subject, seq): &(Subject, i64)) -> Self {
        Self { club: subject.club.to_string(), key: subject.key.to_string(), seq: *seq }
    }

    fn read(self) -> Option<(Subject, i64)> {
        let key: PublisherKey = self.key.parse().ok()?;
        Some((Subject { club: self.club.parse().ok()?, key }, self.seq))
    }
}

impl Record {
    fn of(saved: &Saved) -> Self {
        let Saved { repository, club, pointer, own, index } = saved;
        Self {
            repository: repository.clone(),
            club: club.to_string(),
            key: hex::encode(&pointer.key),
            seq: pointer.seq,
            signature: hex::encode(&pointer.signature),
            value: hex::encode(&pointer.value),
            own: *own,
            index: index.map(|sha256| sha256.to_string()),
        }
    }

    fn read(self) -> Option<Saved> {
        let pointer = Pointer {
            key: hex::decode(&self.key)?.try_into().ok()?,
            seq: self.seq,
            signature: hex::decode(&self.signature)?.try_into().ok()?,
            value: Bytes::from(hex::decode(&self.value)?),
        };
        let index = self.index.and_then(|sha256| sha256.parse().ok());
        Some(Saved { repository: self.repository, club: self.club.parse().ok()?, pointer, own: self.own, index })
    }
}
