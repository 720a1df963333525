//! What is remembered of one fetch: pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use p2p_api::{FetchStory, StoryEnd, StoryEvent};

use super::Happening;
use crate::config::Policy;
use crate::fetch::snapshot::Outcome;
use crate::sharing::Reach;

/// Events that are kept, and how many of them are the first ones; those between are counted.
const MOST_EVENTS: usize = 64;
/// Neighbours and peers that are kept by name.
const MOST_OTHERS: usize = 64;

/// How things stood when the fetch began.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// In bytes; none where no database says it.
    pub(crate) size: Option<u64>,
    /// Pieces of the canonical torrent.
    pub(crate) pieces: u64,
    /// None where no database lists the file.
    pub(crate) reach: Option<Reach>,
    pub(crate) policy: Policy,
    /// Neighbours that were connected.
    pub(crate) neighbours: usize,
    pub(crate) mirrors: Vec<Mirror>,
}

/// A mirror as it stood when the fetch began.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    pub(crate) name: String,
    /// How long it should still be left alone, since it has failed.
    pub(crate) rests_for: Option<Duration>,
}

/// What a mirror has done.
#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    pub(super) asked: bool,
    pub(super) answered: bool,
    pub(super) bytes: u64,
    pub(super) fault: Option<String>,
}

/// What somebody with an address has done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loan {
    pub(super) word: Word,
    pub(super) errand: Errand,
    pub(super) bytes: u64,
}

/// What a neighbour says of the package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Word {
    #[default]
    Nothing,
    WillHave,
    Has,
}

/// Whether a neighbour was to send it whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Errand {
    #[default]
    NotAsked,
    Asked,
    Failed,
}

/// What the search for a torrent has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Torrent {
    #[default]
    NotSought,
    Sought,
    Found,
    Missing,
    Disputed,
}

/// One fetch.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) opening: Opening,
    pub(super) mirrors: Vec<Service>,
    /// The mirror that what comes is put down to.
    current: Option<usize>,
    pub(super) neighbours: BTreeMap<SocketAddr, Loan>,
    pub(super) neighbours_asked: bool,
    neighbours_ended: bool,
    pub(super) torrent: Torrent,
    pub(super) found: BTreeMap<SocketAddr, u64>,
    pub(super) swarm_joined: Option<Duration>,
    pub(super) from_peers: u64,
    pub(super) mirrors_alone: bool,
    first: Vec<StoryEvent>,
    last: std::collections::VecDeque<StoryEvent>,
    left_out: u64,
    end: Option<(StoryEnd, Option<String>, Duration)>,
}

impl Record {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            mirrors: vec![Service::default(); opening.mirrors.len()],
            opening,
            current: None,
            neighbours: BTreeMap::new(),
            neighbours_asked: false,
            neighbours_ended: false,
            torrent: Torrent::NotSought,
            found: BTreeMap::new(),
            swarm_joined: None,
            from_peers: 0,
            mirrors_alone: false,
            first: Vec::new(),
            last: std::collections::VecDeque::new(),
            left_out: 0,
            end: None,
        }
    }

    /// Takes in what happened, so long after the beginning.
    pub(super) fn handle(&mut self, happening: Happening, after: Duration) {
        if self.is_news(&happening) {
            let text = self.text(&happening);
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.keep(StoryEvent { after_ms, text });
        }
        match happening {
            Happening::MirrorAsked { mirror, beside } => {
                self.service(mirror).asked = true;
                self.current = self.current.filter(|_| beside).or(Some(mirror));
            }
            Happening::MirrorAnswers(mirror) => {
                self.service(mirror).answered = true;
                self.current = Some(mirror);
            }
            Happening::MirrorFails { mirror, fault } => self.service(mirror).fault = Some(fault),
            Happening::WebseedJoins(mirror) => self.service(mirror).asked = true,
            Happening::NeighboursAsked => (self.neighbours_asked, self.neighbours_ended) = (true, false),
            Happening::NeighboursEnd => self.neighbours_ended = true,
            Happening::NeighbourHas(address) => self.loan(address, |loan| loan.word = Word::Has),
            Happening::NeighbourWillHave(address) => self.loan(address, |loan| loan.word = Word::WillHave),
            Happening::NeighbourSends(address) => self.loan(address, |loan| loan.errand = Errand::Asked),
            Happening::NeighbourSent { address, bytes } => self.loan(address, |loan| loan.bytes += bytes),
            Happening::NeighbourFails(address) => self.loan(address, |loan| loan.errand = Errand::Failed),
            Happening::MetainfoSought => self.torrent = Torrent::Sought,
            Happening::MetainfoFound => self.torrent = Torrent::Found,
            Happening::MetainfoMissing => self.torrent = Torrent::Missing,
            Happening::MetainfoDisputed => self.torrent = Torrent::Disputed,
            Happening::PeerFound { address, .. } => self.handle_peer(address, 0),
            Happening::SwarmJoined => self.swarm_joined = self.swarm_joined.or(Some(after)),
            Happening::MirrorsAlone => self.mirrors_alone = true,
            Happening::MirrorStopped
            | Happening::NeighbourBrings
            | Happening::PeersSought
            | Happening::SwarmLeft
            | Happening::Shared { .. }
            | Happening::WebseedLeaves(_)
            | Happening::PeerCut
            | Happening::BegunAnew
            | Happening::Verified(_) => {}
        }
    }

    /// Mirrors and peers have sent so many bytes in all.
    pub(super) fn handle_bytes(&mut self, from_mirrors: u64, from_peers: u64) {
        self.from_peers = from_peers;
        let known: u64 = self.mirrors.iter().map(|mirror| mirror.bytes).sum();
        if let Some(current) = self.current {
            self.service(current).bytes += from_mirrors.saturating_sub(known);
        }
    }

    /// A mirror has sent so many bytes more into the swarm.
    pub(super) fn handle_webseed(&mut self, mirror: usize, bytes: u64) {
        let service = self.service(mirror);
        service.answered = true;
        service.bytes += bytes;
    }

    /// A peer of the swarm is known, and has sent so many bytes in all.
    pub(super) fn handle_peer(&mut self, address: SocketAddr, bytes: u64) {
        if self.found.len() < MOST_OTHERS || self.found.contains_key(&address) {
            let known = self.found.entry(address).or_default();
            *known = bytes.max(*known);
        }
    }

    /// It is over.
    pub(super) fn handle_end(&mut self, outcome: &Outcome, after: Duration) {
        if let Outcome::Ready(ready) = outcome {
            self.handle_bytes(ready.from_mirrors, ready.from_peers);
        }
        let (end, message) = match outcome {
            Outcome::Ready(_) => (StoryEnd::Ready, None),
            Outcome::Failed(failed) => (StoryEnd::Failed, Some(failed.message.clone())),
            Outcome::Abandoned => (StoryEnd::Abandoned, None),
        };
        self.end = Some((end, message, after));
    }

    /// All of it; `began` in seconds since 1970, and how long ago that was.
    pub(super) fn tell(&self, began: u64, since: Duration) -> FetchStory {
        let (end, message, elapsed) = self.end.clone().unwrap_or((StoryEnd::Running, None, since));
        FetchStory {
            began,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            end,
            message,
            sources: self.sources(),
            events: self.first.iter().chain(&self.last).cloned().collect(),
            more_events: self.left_out,
        }
    }

    pub(super) fn mirror_name(&self, mirror: usize) -> &str {
        self.opening.mirrors.get(mirror).map_or("a mirror", |mirror| &mirror.name)
    }

    /// Neighbours say again and again what they have, and the end of the waits for them is noticed in two places.
    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else is news")]
    fn is_news(&self, happening: &Happening) -> bool {
        match happening {
            Happening::NeighbourHas(address) => self.neighbours.get(address).is_none_or(|loan| loan.word != Word::Has),
            Happening::NeighboursEnd => !self.neighbours_ended,
            Happening::NeighbourWillHave(address) => !self.neighbours.contains_key(address),
            _ => true,
        }
    }

    fn service(&mut self, mirror: usize) -> &mut Service {
        if self.mirrors.len() <= mirror {
            self.mirrors.resize(mirror + 1, Service::default());
        }
        &mut self.mirrors[mirror]
    }

    fn loan(&mut self, address: SocketAddr, change: impl FnOnce(&mut Loan)) {
        if self.neighbours.len() < MOST_OTHERS || self.neighbours.contains_key(&address) {
            change(self.neighbours.entry(address).or_default());
        }
    }

    /// The beginning and the end tell most.
    fn keep(&mut self, event: StoryEvent) {
        if self.first.len() < MOST_EVENTS / 2 {
            return self.first.push(event);
        }
        if self.last.len() == MOST_EVENTS / 2 {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(event);
    }
}
