//! What neighbours say of a package, and a small one that they send whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use p2p_discovery::{Found, Origin};
use p2p_neighbours::{Asker, Neighbour, NeighbourId};
use p2p_package::{Metainfo, PackageId, Sha256};
use p2p_wire::{Kind, MAX_GET_BYTES, What};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Event, Outcome, PackageFetch};
use crate::clubs;
use crate::fetch::shares::Machine;
use crate::fetch::story::{Happening, Story};
use crate::fetch::turns::Turn;
use crate::fetch::whereabouts::{self, View};
use crate::services::Services;

/// What neighbours nearby get for an answer.
const TURN: Duration = Duration::from_millis(20);
/// Who is farther away, as a round trip, is asked beside the mirrors.
const NEARBY: Duration = Duration::from_millis(8);
/// One that has been waited for may take half of the mirror's time to send the package, and so long at least and at most.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
const MOST_PATIENCE: Duration = Duration::from_secs(1);
/// Nobody tells that a neighbour has asked us for a large package, too: that is looked up so often.
const LOOK_ROUND_EVERY: Duration = Duration::from_millis(250);
/// A neighbour that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(1);
/// So is one that is behind a line which is just fast enough, by so much; how fast that is, in bytes a second.
const BEHIND: Duration = Duration::from_secs(2);
const SLOWEST_RATE: u64 = 100_000;
/// What a neighbour is expected to send, in bytes a second: nearby, and elsewhere.
const LOCAL_RATE: u64 = 20_000_000;
const REMOTE_RATE: u64 = 1_000_000;

/// So long after the daemon's start those of the run before are back. pacman takes 2 s for each mirror, and nobody is to wait
/// 10 s to hear that there is nothing.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// What neighbours have said so far of the package's pieces.
pub(super) type Hearsay = watch::Receiver<Rumour>;

/// What most of them say of the pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Rumour {
    pub(super) metainfo: Option<Metainfo>,
    /// Nobody else will say anything for now.
    pub(super) has_ended: bool,
}

/// Until when neighbours are about to come back, after a restart.
pub(super) fn newcomers_until(services: &Services) -> Option<std::time::Instant> {
    Some(services.started + BACK_WITHIN).filter(|until| std::time::Instant::now() < *until)
}

/// How long mirrors wait for the neighbours' answer; none where there are none, and none about to come.
pub(super) fn turn(services: &Services) -> Option<Duration> {
    let Some(nearest) = services.neighbours.list().into_iter().next() else {
        return newcomers_until(services).map(|_| Duration::ZERO);
    };
    let is_nearby = nearest.round_trip.map_or(nearest.asker == Asker::Local, |round_trip| round_trip <= NEARBY);
    Some(if is_nearby { TURN } else { Duration::ZERO })
}

impl PackageFetch {
    pub(super) fn ask_neighbours(&mut self) {
        let (hearsay, hear) = watch::channel(Rumour::default());
        // Nobody is asked for the pieces of what is lent whole.
        let hearsay = (self.known.id.size > MAX_GET_BYTES).then_some(hearsay);
        let loan = Loan {
            services: Arc::clone(&self.services),
            id: self.known.id.clone(),
            story: Arc::clone(&self.story),
            events: self.events.clone(),
            rate: self.target.mirrors.first().and_then(|mirror| self.services.mirror_book.rate(mirror)),
            hearsay,
            go_on: Arc::clone(&self.borrow),
            introduced: BTreeSet::new(),
            company: BTreeSet::new(),
            has_ended: false,
            has_waited: false,
        };
        self.hearsay = Some(hear);
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(loan.run())));
    }

    /// A mirror is asked: from now on neighbours may wait for us.
    pub(super) fn note_coming(&mut self) {
        if self.may_swarm && self.coming.is_none() {
            self.coming = Some(whereabouts::coming(&self.services, self.known.id.sha256));
        }
    }

    pub(super) fn handle_lent(&mut self, bytes: Vec<u8>, now: std::time::Instant) {
        // In one step with `Fetches::pin`, as where a swarm is joined.
        let may_take = self.publish.send_if_modified(|snapshot| {
            snapshot.mirrors_alone &= snapshot.pinned;
            !snapshot.pinned
        });
        if !may_take {
            return self.plan.handle_neighbours_end(false, now);
        }
        self.lent = bytes;
        self.plan.handle_lent();
    }

    pub(super) async fn take_lent(&mut self) -> Option<Outcome> {
        if self.assembly.state().borrow().contiguous > 0
            && let Some(outcome) = self.begin_anew().await
        {
            return Some(outcome);
        }
        let (bytes, size) = (std::mem::take(&mut self.lent), self.known.id.size);
        self.assembly.appender().append(bytes.into()).await;
        let contiguous = self.assembly.synced().await;
        self.tally.lent(size);
        self.tell(contiguous);
        None
    }
}

/// What neighbours say of one package, and what comes of it.
struct Loan {
    services: Arc<Services>,
    id: PackageId,
    story: Arc<Story>,
    events: mpsc::Sender<Event>,
    /// Bytes a second of the first mirror.
    rate: Option<u64>,
    hearsay: Option<watch::Sender<Rumour>>,
    /// Told when an offer is to be taken.
    go_on: Arc<Notify>,
    /// And whether they had it.
    introduced: BTreeSet<(NeighbourId, bool)>,
    /// Whom the fetch was last told to be in the company of.
    company: BTreeSet<Machine>,
    /// Whether the plan was told that no neighbour brings it.
    has_ended: bool,
    /// Whether somebody has been waited for.
    has_waited: bool,
}

impl Loan {
    async fn run(mut self) {
        let _wish = whereabouts::wish(&self.services, std::slice::from_ref(&self.id), self.rate);
        let mut changed = self.services.whereabouts.changed();
        loop {
            changed.mark_unchanged();
            let view = whereabouts::view(&self.services, &self.id.sha256);
            self.introduce(&view).await;
            let holder = view.holders.iter().find(|_| self.hearsay.is_none());
            if let Some(neighbour) = holder.cloned() {
                self.has_waited |= view.wait_ends.is_some();
                if self.try_to_borrow(&neighbour).await {
                    return;
                }
                continue;
            }
            self.report(&view).await;
            let is_large = self.hearsay.is_some();
            tokio::select! {
                changed = changed.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(LOOK_ROUND_EVERY), if is_large => {}
            }
        }
    }

    /// Says who may bring the package, or that nobody does.
    async fn report(&mut self, view: &View) {
        let is_open = view.is_unanswered || view.turn == Turn::Asking;
        let news = match view.turn {
            Turn::Theirs if self.has_ended => return,
            Turn::Theirs => {
                view.waited_for.iter().for_each(|who| self.story.note(Happening::NeighbourWillHave(who.address)));
                view.wait_ends.map(Event::NeighbourBrings)
            }
            Turn::Here | Turn::Ours | Turn::Asking if is_open && !self.has_waited => {
                std::mem::take(&mut self.has_ended).then_some(Event::Newcomer)
            }
            Turn::Here | Turn::Ours | Turn::Asking => {
                let one_nearby_has_it = view.holders.iter().any(|holder| holder.asker == Asker::Local);
                let is_news = !std::mem::replace(&mut self.has_ended, true);
                if view.turn == Turn::Ours {
                    self.services.whereabouts.note_sent(&self.id.sha256);
                }
                is_news.then(|| {
                    self.story.note(Happening::NeighboursEnd);
                    Event::NeighboursEnd(one_nearby_has_it)
                })
            }
        };
        self.has_waited |= view.turn == Turn::Theirs;
        if let Some(hearsay) = &self.hearsay {
            hearsay.send_modify(|rumour| rumour.has_ended = self.has_ended);
        }
        if let Some(news) = news {
            let _ = self.events.send(news).await;
        }
    }

    /// Peers of the package's swarm, and what they say of its pieces.
    async fn introduce(&mut self, view: &View) {
        let will_have = |neighbour: &Neighbour| self.story.note(Happening::NeighbourWillHave(neighbour.address));
        view.companions.iter().for_each(will_have);
        if self.company != view.company {
            self.company.clone_from(&view.company);
            let _ = self.events.send(Event::Company(self.company.clone())).await;
        }
        let companions = view.companions.iter().filter(|_| self.hearsay.is_some());
        for neighbour in view.holders.iter().chain(companions) {
            let has_it = view.holders.iter().any(|holder| holder.id == neighbour.id);
            // Who has completed it leaves the swarm sooner or later, and is dialled anew: it serves the package.
            if !self.introduced.insert((neighbour.id, has_it)) {
                continue;
            }
            if has_it {
                tracing::debug!(package = %self.id.file_name, peer = %neighbour.address, "a neighbour has a package");
                self.story.note(Happening::NeighbourHas(neighbour.address));
            }
            let origin = match neighbour.asker {
                _ if neighbour.origin == Some(p2p_neighbours::Origin::Configured) => Origin::Configured,
                Asker::Local => Origin::Lan,
                Asker::Remote => Origin::Dht,
            };
            let _ = self.events.send(Event::Peer(Found { address: neighbour.address, origin })).await;
        }
        if let (Some(info), Some(hearsay)) = (&view.info, &self.hearsay) {
            let metainfo = Metainfo { info: info.clone(), trackers: Vec::new(), webseeds: Vec::new() };
            hearsay.send_modify(|rumour| rumour.metainfo = Some(metainfo));
            let _ = self.events.send(Event::Disagreement(view.infos > 1)).await;
        }
    }

    /// Offers what this neighbour has, and passes it on when it is wanted; whether it has come.
    async fn try_to_borrow(&mut self, neighbour: &Neighbour) -> bool {
        if std::mem::take(&mut self.has_ended) {
            let _ = self.events.send(Event::Newcomer).await;
        }
        if self.has_waited {
            let until = std::time::Instant::now() + self.patience();
            let _ = self.events.send(Event::NeighbourBrings(until)).await;
        }
        let _ = self.events.send(Event::Offer).await;
        // The fetch ends, and we with it, where a mirror brings the package.
        self.go_on.notified().await;
        let line = self.services.whereabouts.loans_of(neighbour.id);
        // The line is never closed.
        let _place = line.acquire().await;
        let Some(bytes) = self.borrow(neighbour).await else {
            self.services.whereabouts.note_refused(neighbour.id, &self.id.sha256);
            return false;
        };
        self.services.whereabouts.note_brought(neighbour.id);
        let _ = self.events.send(Event::Lent(bytes)).await;
        true
    }

    /// How long one that has been waited for may take to send the package: a mirror that many share is slower than it seems.
    fn patience(&self) -> Duration {
        let rate = self.rate.unwrap_or(REMOTE_RATE).max(1);
        let mirrors_time = Duration::from_millis(self.id.size.saturating_mul(1_000) / rate);
        (mirrors_time / 2).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// The whole package, if this neighbour sends it, and nothing else.
    async fn borrow(&self, neighbour: &Neighbour) -> Option<Vec<u8>> {
        let rate = if neighbour.asker == Asker::Local { LOCAL_RATE } else { REMOTE_RATE };
        let transfer = Duration::from_millis(self.id.size.saturating_mul(1_000) / rate);
        let expected = transfer + neighbour.round_trip.unwrap_or(TURN);
        let _ = self.events.send(Event::NeighbourSends(expected)).await;
        receive(&self.services, &self.story, &self.id, neighbour).await
    }
}

/// How long a line that is just fast enough needs for so many bytes, and a little more.
fn paced(bytes: usize) -> Duration {
    BEHIND + Duration::from_millis((bytes as u64).saturating_mul(1_000) / SLOWEST_RATE)
}

/// The whole package, if this neighbour sends it, never too slowly, and nothing else.
pub(super) async fn receive(
    services: &Services,
    story: &Story,
    id: &PackageId,
    neighbour: &Neighbour,
) -> Option<Vec<u8>> {
    story.note(Happening::NeighbourSends(neighbour.address));
    let what = What { id: id.sha256, kind: Kind::Package };
    let mut coming = services.neighbours.get(neighbour.id, what, 0..id.size);
    let begun = Instant::now();
    let mut bytes = Vec::with_capacity(usize::try_from(id.size).unwrap_or_default());
    loop {
        let in_time = (Instant::now() + SILENCE).min(begun + paced(bytes.len()));
        let Ok(Some(part)) = timeout_at(in_time, coming.next()).await else { break };
        bytes.extend_from_slice(&part);
    }
    if coming.is_too_busy() {
        services.whereabouts.note_busy(neighbour.id);
    }
    if bytes.len() as u64 != id.size {
        story.note(Happening::NeighbourFails(neighbour.address));
        return None;
    }
    let hashed = tokio::task::spawn_blocking(move || (Sha256::of(&bytes), bytes)).await;
    let (sha256, bytes) = hashed.ok()?;
    if sha256 == id.sha256 {
        story.note(Happening::NeighbourSent { address: neighbour.address, bytes: id.size });
        return Some(bytes);
    }
    tracing::warn!(package = %id.file_name, peer = %neighbour.address, "a neighbour has sent another file");
    clubs::turn_away(services, neighbour);
    None
}
