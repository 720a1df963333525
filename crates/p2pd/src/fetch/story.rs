//! How fetches went, for people who ask why: kept in memory, and bounded.

mod happening;
mod record;
mod why;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_api::FetchStory;
use p2p_gate::PeerTraffic;

use super::snapshot::Outcome;
use super::tally::Tally;
pub(crate) use happening::Happening;
use record::Record;
pub(crate) use record::{Mirror, Opening};

/// Fetches that are remembered; the oldest is forgotten for the next.
const MOST: usize = 1_000;

/// The last fetches, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Stories(Mutex<VecDeque<Arc<Story>>>);

/// One fetch.
#[derive(Debug)]
pub(crate) struct Story {
    file_name: Box<str>,
    began: SystemTime,
    started: Instant,
    record: Mutex<Record>,
}

impl Stories {
    /// A fetch begins.
    pub(crate) fn begin(&self, file_name: &str, opening: Opening) -> Arc<Story> {
        let (began, started) = (SystemTime::now(), Instant::now());
        let story = Story { file_name: file_name.into(), began, started, record: Mutex::new(Record::new(opening)) };
        let story = Arc::new(story);
        let mut kept = self.lock();
        if kept.len() == MOST {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&story));
        story
    }

    /// The last fetch of this file.
    pub(crate) fn last(&self, file_name: &str) -> Option<Arc<Story>> {
        self.lock().iter().rev().find(|story| &*story.file_name == file_name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Story>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Story {
    /// Something happened.
    pub(crate) fn note(&self, happening: impl Into<Option<Happening>>) {
        if let Some(happening) = happening.into() {
            self.lock().handle(happening, self.started.elapsed());
        }
    }

    /// So many bytes have come in all.
    pub(crate) fn note_bytes(&self, tally: &Tally) {
        self.lock().handle_bytes(tally.from_mirrors, tally.from_peers);
    }

    /// A mirror has sent so many bytes more into the swarm.
    pub(crate) fn note_webseed(&self, mirror: usize, bytes: u64) {
        if bytes > 0 {
            self.lock().handle_webseed(mirror, bytes);
        }
    }

    /// The swarm's peers have sent so much.
    pub(crate) fn note_peers(&self, peers: &[PeerTraffic]) {
        let mut record = self.lock();
        for peer in peers {
            record.handle_peer(peer.address, peer.downloaded);
        }
    }

    /// The fetch has ended.
    pub(crate) fn end(&self, outcome: &Outcome) {
        self.lock().handle_end(outcome, self.started.elapsed());
    }

    /// All of it.
    pub(crate) fn tell(&self) -> FetchStory {
        let began = self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.lock().tell(began.as_secs(), self.started.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mirror as people know it: its host, and its port where that is a special one.
pub(crate) fn mirror_name(mirror: &url::Url) -> String {
    let host = mirror.host_str().unwrap_or_default();
    mirror.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests;
