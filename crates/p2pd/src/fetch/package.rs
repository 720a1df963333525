//! One package, from mirrors and peers at once: drives a [`Plan`] with what really happens.

mod act;
mod company;
mod endings;
mod finished;
mod last_resort;
mod lending;
mod opening;
mod streaming;
mod swarm;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use p2p_api::Ready;
use p2p_discovery::Found;
use p2p_engine::{Stage, SwarmFault, SwarmProgress};
use p2p_package::Metainfo;
use p2p_pacman::Known;
use p2p_webseed::{MirrorFault, VirtualPeerState};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::assembly::{Assembly, DiskFault};
use super::haste::Haste;
use super::plan::{Action, Brief, Plan, Resume, Sharing};
use super::shares::Machine;
use super::snapshot::{Outcome, Snapshot};
use super::story::{Happening, Story};
use super::stream::Opened;
use super::tally::Tally;
use super::whereabouts::Coming;
use crate::config::Policy;
use crate::knowledge::Target;
use crate::services::Services;
use crate::sharing::Reach;
use act::PeerSearch;
use endings::{despair, internal};
pub(super) use endings::{disk_failure, stopping};
use finished::FinishedSwarm;
use lending::Hearsay;
pub(super) use opening::unlisted;
use streaming::ActiveStream;
use swarm::ActiveSwarm;

/// Events that may wait for the driver.
const QUEUE: usize = 256;
/// How long a package goes on when the last client has gone: pacman comes back within this after a failed call.
const LINGER: Duration = Duration::from_secs(10);

/// What peers get that are so many times as fast as a mirror: time to connect, and a mirror's for a `.torrent`.
const GRACE: Duration = Duration::from_millis(250);
const MUCH_FASTER: u64 = 2;

/// What the tasks around a fetch tell it.
#[derive(Debug)]
enum Event {
    StreamOpened(u32, Opened),
    StreamEnded(u32, Result<(), MirrorFault>),
    Metainfo(Option<Metainfo>),
    Checked(bool),
    Peer(Found),
    /// A peer has called us, and waits.
    Caller,
    PeersMayJoin,
    Swarm(SwarmProgress),
    Webseed(usize, VirtualPeerState),
    /// A neighbour has the package, and would send it whole.
    Offer,
    /// A neighbour that says it has the package is asked for it, and expected to need so long.
    NeighbourSends(Duration),
    /// A neighbour has sent the whole package, and nothing else.
    Lent(Vec<u8>),
    /// A neighbour nearby is getting it, and is waited for until then at the latest.
    NeighbourBrings(Instant),
    /// Whether neighbours disagree about the pieces.
    Disagreement(bool),
    /// Neighbours nearby that download it, too, or have it.
    Company(BTreeSet<Machine>),
    /// None of them sends it whole; whether one nearby has it.
    NeighboursEnd(bool),
    /// Somebody has become a neighbour, and is asked.
    Newcomer,
    /// No neighbour has sent a large package whole.
    LastResortEnd,
}

/// A package on its way.
#[derive(Debug)]
pub(crate) struct PackageFetch {
    services: Arc<Services>,
    known: Known,
    target: Target,
    publish: Arc<watch::Sender<Snapshot>>,
    haste: Haste,
    plan: Plan,
    story: Arc<Story>,
    assembly: Assembly,
    attempt: u32,
    tally: Tally,
    counted: Tally,
    modified: Option<SystemTime>,
    /// Whether peers nearby have the first turn.
    peers_first: bool,
    metainfo: Option<Metainfo>,
    events: mpsc::Sender<Event>,
    inbox: mpsc::Receiver<Event>,
    stream: Option<ActiveStream>,
    /// Asked beside the stream, which is late.
    rival: Option<ActiveStream>,
    stream_serial: u32,
    search: Option<PeerSearch>,
    lookups: Vec<AbortOnDropHandle<()>>,
    /// What neighbours say, once they are asked.
    hearsay: Option<Hearsay>,
    /// Lets the neighbour who offers the package send it.
    borrow: Arc<Notify>,
    /// Says to neighbours that a mirror is sending it.
    coming: Option<Coming>,
    /// The whole package, from a neighbour.
    lent: Vec<u8>,
    /// Everybody who was found, however often the swarm is joined.
    found: Vec<Found>,
    swarm: Option<ActiveSwarm>,
    /// A swarm that has every piece.
    finished: Option<FinishedSwarm>,
    /// Whether the plan knows that a client streams the file, so that peers must not write to it.
    pinned: bool,
    /// Whether the plan may look for a swarm; never again once it may not.
    may_swarm: bool,
}

impl PackageFetch {
    /// Prepares the fetch of a package that a sync database knows; what an earlier run left is taken up.
    pub(crate) fn new(
        services: Arc<Services>,
        known: Known,
        target: Target,
        (publish, haste): (Arc<watch::Sender<Snapshot>>, Haste),
    ) -> Result<Self, DiskFault> {
        // A fetch says so to trackers and the DHT: what goes to local networks alone has no swarm.
        let shared = reach(&services, &known, &target) == Reach::Public;
        let path = services.store.path(&known.id, 0);
        let leftover = opening::leftover(&services, &known, shared);
        let prefix = if let Resume::Prefix(prefix) = leftover.resume { prefix } else { 0 };
        let assembly = Assembly::open(&path, prefix, Some(known.id.size))?;
        let near = grace(&services, &target).filter(|_| haste.is_urgent());
        let sharing = if shared { Sharing::Allowed } else { Sharing::MirrorsOnly };
        let brief = Brief {
            grace: if haste.is_urgent() { near } else { Some(haste.leisure()) },
            resume: leftover.resume,
            ..opening::brief(&services, &known, &target, (sharing, haste.is_urgent()))
        };
        let story =
            services.stories.begin(known.id.file_name.as_str(), opening::opening(&services, &known, &target, &brief));
        let modified = if leftover.resume == Resume::Prefix(known.id.size) { modified(&path) } else { None };
        let (events, inbox) = mpsc::channel(QUEUE);
        let mut plan = Plan::new(brief, Instant::now());
        if let Some(until) = lending::newcomers_until(&services) {
            plan.expect_newcomers(until);
        }
        let tally = opening::tally(leftover.resume);
        Ok(Self {
            plan,
            services,
            known,
            target,
            publish,
            haste,
            story,
            assembly,
            attempt: 0,
            counted: tally,
            tally,
            modified,
            peers_first: near.is_some(),
            metainfo: leftover.metainfo,
            events,
            inbox,
            stream: None,
            rival: None,
            stream_serial: 0,
            search: None,
            lookups: Vec::new(),
            hearsay: None,
            borrow: Arc::default(),
            coming: None,
            lent: Vec::new(),
            found: Vec::new(),
            swarm: None,
            finished: None,
            pinned: false,
            may_swarm: shared,
        })
    }

    /// Runs to the end. Nobody writes to the file any more when this returns.
    pub(crate) async fn run(mut self) -> Outcome {
        let prefix = self.assembly.state().borrow().contiguous;
        self.publish.send_modify(|snapshot| snapshot.mirrors_alone = prefix == 0);
        self.tell(prefix);
        let outcome = self.drive().await;
        if self.peers_first && self.tally.from_peers == 0 {
            // They have gone, perhaps: not every package is to wait for them.
            self.services.peer_book.note_absence();
        }
        self.count();
        self.story.end(&outcome);
        for stream in [self.stream.take(), self.rival.take()].into_iter().flatten() {
            stream.stop().await;
        }
        self.leave_swarm().await;
        self.assembly.close().await;
        outcome
    }

    async fn drive(&mut self) -> Outcome {
        let mut assembled = self.assembly.state();
        let mut path = Arc::clone(self.assembly.path());
        let publish = Arc::clone(&self.publish);
        let haste = self.haste.clone();
        let abandoned = abandoned(&publish, &haste);
        tokio::pin!(abandoned);
        let mut is_urgent = haste.is_urgent();
        let mut sharing = self.services.knowledge.watch_sharing();
        // It may have changed since this fetch was prepared.
        sharing.mark_changed();
        loop {
            while let Some(action) = self.plan.poll_action() {
                if let Some(outcome) = self.act(action).await {
                    return outcome;
                }
            }
            if self.heeds_pin() {
                continue;
            }
            self.release_without_webseeds();
            if path != *self.assembly.path() {
                assembled = self.assembly.state();
                path = Arc::clone(self.assembly.path());
            }
            let timeout = self.plan.poll_timeout();
            tokio::select! {
                () = self.services.stopping.cancelled() => return stopping(),
                Ok(()) = sharing.changed() => self.review_sharing().await,
                Some(event) = self.inbox.recv() => {
                    if let Some(outcome) = self.handle(event).await {
                        return outcome;
                    }
                }
                changed = assembled.changed() => {
                    let state = assembled.borrow_and_update().clone();
                    if let Some(fault) = state.fault {
                        return disk_failure(&fault);
                    }
                    if changed.is_err() {
                        return internal("the file's writer has gone");
                    }
                    self.handle_assembled(state.contiguous);
                }
                () = sleep_until(timeout) => self.handle_timeout(Instant::now()),
                () = haste.urged(), if !is_urgent => {
                    is_urgent = true;
                    self.plan.handle_haste(Instant::now());
                }
                () = &mut abandoned => return Outcome::Abandoned,
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Option<Outcome> {
        let now = Instant::now();
        match event {
            Event::StreamOpened(serial, opened) => self.handle_stream_opened(serial, opened, now),
            Event::StreamEnded(serial, result) => self.handle_stream_ended(serial, result, now).await,
            Event::Metainfo(metainfo) => {
                let found = metainfo.is_some();
                self.story.note(if found { Happening::MetainfoFound } else { Happening::MetainfoMissing });
                self.metainfo = self.metainfo.take().or(metainfo);
                self.plan.handle_metainfo(found, now);
            }
            Event::Checked(agrees) => {
                self.story.note((!agrees).then_some(Happening::MetainfoDisputed));
                self.plan.handle_check(agrees, now);
            }
            Event::Peer(found) => self.handle_peer(found, now),
            Event::Caller => self.plan.handle_peer(now),
            Event::PeersMayJoin => self.release_peers(),
            Event::Swarm(progress) => return self.handle_swarm(&progress, now).await,
            Event::Webseed(mirror, state) => self.handle_webseed(mirror, &state, now),
            Event::Offer => self.plan.handle_offer(now),
            Event::NeighbourSends(expected) => self.plan.handle_neighbour_sends(expected, now),
            Event::Lent(bytes) => self.handle_lent(bytes, now),
            Event::Disagreement(is_there) => self.plan.handle_disagreement(is_there),
            Event::Company(others) => self.plan.handle_company(others, now),
            Event::NeighbourBrings(until) => {
                self.story.note(Happening::NeighbourBrings);
                self.plan.handle_neighbour_brings(until);
            }
            Event::NeighboursEnd(one_nearby_has_it) => {
                self.story.note(Happening::NeighboursEnd);
                self.plan.handle_neighbours_end(one_nearby_has_it, now);
            }
            Event::Newcomer => self.plan.handle_newcomer(now),
            Event::LastResortEnd => self.plan.handle_last_resort_end(now),
        }
        None
    }

    fn handle_assembled(&mut self, contiguous: u64) {
        if self.stream.is_some() {
            self.tally.streamed(contiguous);
            self.plan.handle_stream_bytes(contiguous, Instant::now());
        }
        self.tell(contiguous);
    }

    async fn handle_swarm(&mut self, progress: &SwarmProgress, now: Instant) -> Option<Outcome> {
        self.swarm.as_ref()?;
        match &progress.stage {
            Stage::Checking => {}
            Stage::Live | Stage::Complete => {
                self.follow_swarm(progress.contiguous_bytes).await;
                let webseed_bytes = self.swarm.as_ref().map_or(0, ActiveSwarm::webseed_bytes);
                self.tally.verified(progress.verified_bytes, webseed_bytes);
                self.plan.handle_webseed_bytes(webseed_bytes);
                self.plan.handle_swarm_progress(progress.verified_bytes, now);
                if let Some(search) = &self.search {
                    search.progress(self.known.id.size.saturating_sub(progress.verified_bytes));
                }
                if matches!(progress.stage, Stage::Complete) {
                    self.note_peers(now);
                    self.plan.handle_swarm_complete();
                }
                let contiguous = self.publish.borrow().contiguous;
                self.tell(contiguous);
            }
            Stage::Failed(SwarmFault::Engine(_)) => {
                let contiguous = self.reclaim().await;
                self.plan.handle_swarm_failure(contiguous, now);
            }
            Stage::Failed(SwarmFault::DiskFull) => {
                return Some(disk_failure(&DiskFault::Full(self.assembly.path().to_path_buf())));
            }
            Stage::Failed(SwarmFault::Disk(error)) => {
                let error = std::io::Error::new(error.kind(), Arc::clone(error));
                return Some(disk_failure(&DiskFault::new(self.assembly.path(), error)));
            }
        }
        None
    }

    fn is_public(&self) -> bool {
        reach(&self.services, &self.known, &self.target) == Reach::Public
    }

    /// It may have been excluded, or replaced by a newer version, since the last look.
    async fn review_sharing(&mut self) {
        if self.may_swarm && !self.is_public() {
            self.may_swarm = false;
            self.story.note(Happening::MirrorsAlone);
            self.search = None;
            self.lookups.clear();
            let contiguous = self.reclaim().await;
            self.plan.handle_unshared(contiguous, Instant::now());
        }
    }

    /// Tells the plan once that a client streams the file; then there is something to do.
    fn heeds_pin(&mut self) -> bool {
        let is_news = !self.pinned && self.publish.borrow().pinned;
        if is_news {
            self.pinned = true;
            self.story.note(Happening::MirrorsAlone);
            self.search = None;
            self.lookups.clear();
            self.plan.handle_unshared(self.assembly.state().borrow().contiguous, Instant::now());
        }
        is_news
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.swarm.as_mut().is_some_and(|swarm| swarm.has_received(&self.services.gate)) {
            self.plan.handle_bytes();
        }
        self.plan.handle_timeout(now);
    }

    fn tell(&mut self, contiguous: u64) {
        let (tally, source) = (self.tally, Arc::clone(self.assembly.path()));
        let total = Some(self.known.id.size);
        let (modified, settled) = (self.modified.and_then(seconds_since_1970), self.plan.is_settled());
        self.count();
        self.publish.send_modify(|snapshot| {
            (snapshot.modified, snapshot.settled) = (modified, settled);
            (snapshot.done, snapshot.total, snapshot.from_peers) = (tally.done, total, tally.from_peers);
            (snapshot.source, snapshot.contiguous) = (Some(source), contiguous);
        });
    }

    /// From here on the file's bytes may be written anew: clients are told before anything is.
    fn rewind(&self, contiguous: u64) {
        self.publish.send_modify(|snapshot| {
            snapshot.rewinds += 1;
            snapshot.rewound_to = snapshot.rewound_to.min(contiguous);
            snapshot.contiguous = snapshot.contiguous.min(contiguous);
        });
    }

    /// Adds what has come in since the last time to the daemon's totals.
    fn count(&mut self) {
        let from_peers = self.tally.from_peers - self.counted.from_peers;
        let from_mirrors = self.tally.from_mirrors - self.counted.from_mirrors;
        self.services.counters.add(from_peers, from_mirrors);
        self.story.note_bytes(&self.tally);
        self.counted = self.tally;
    }

    fn ready(&self, path: &Path) -> Ready {
        Ready {
            path: path.to_owned(),
            size: self.known.id.size,
            modified: self.modified.and_then(seconds_since_1970),
            verified: true,
            from_peers: self.tally.from_peers,
            from_mirrors: self.tally.from_mirrors,
            signature: None,
            transaction: None,
        }
    }
}

/// How far the package may go; nowhere on a claim alone.
fn reach(services: &Services, known: &Known, target: &Target) -> Reach {
    if target.claimed {
        return Reach::Nobody;
    }
    services.knowledge.last_sharing().reach(&known.id, &known.repository)
}

/// What peers nearby get before the mirror is asked: where one swarm of theirs has been much faster than a mirror's stream.
fn grace(services: &Services, target: &Target) -> Option<Duration> {
    let now = Instant::now();
    let (peers, mirror) = (services.peer_book.rate(now)?, services.mirror_book.rate(target.mirrors.first()?)?);
    let is_much_faster = peers > mirror.saturating_mul(MUCH_FASTER);
    (is_much_faster && services.settings().fetch.policy != Policy::Speed).then_some(GRACE)
}

/// A time as `stat` and HTTP count it; none before 1970.
pub(super) fn seconds_since_1970(time: SystemTime) -> Option<u64> {
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

/// When a file was last modified, where that can be told.
pub(super) fn modified(path: &Path) -> Option<SystemTime> {
    fs_err::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Returns when no client has waited for a while.
async fn abandoned(publish: &watch::Sender<Snapshot>, haste: &Haste) {
    loop {
        publish.closed().await;
        if haste.is_urgent() {
            tokio::time::sleep(LINGER).await;
        }
        if publish.receiver_count() == 0 {
            return;
        }
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
