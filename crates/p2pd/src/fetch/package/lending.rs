//! What neighbours say of a package, and a small one that they send whole.

use std::sync::Arc;
use std::time::Duration;

use p2p_discovery::{Found, Origin};
use p2p_neighbours::{Asker, Neighbour, Reply};
use p2p_package::{Info, Metainfo, PackageId, Sha256};
use p2p_wire::{Kind, MAX_GET_BYTES, What, Wishes};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Event, Outcome, PackageFetch};
use crate::services::Services;

/// What neighbours nearby get for an answer.
const TURN: Duration = Duration::from_millis(20);
/// Who is farther away, as a round trip, is asked beside the mirrors.
const NEARBY: Duration = Duration::from_millis(8);
/// Answers that come later are not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A neighbour that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(1);
/// So is one that takes longer than this for all of it, and what a slow line needs, in bytes a second.
const WHOLE_WITHIN: Duration = Duration::from_secs(2);
const SLOWEST_RATE: u64 = 100_000;
/// One that has sent another file is not heard for so long.
const BARRED_FOR: Duration = Duration::from_mins(30);
/// What a neighbour is expected to send, in bytes a second: nearby, and elsewhere.
const LOCAL_RATE: u64 = 20_000_000;
const REMOTE_RATE: u64 = 1_000_000;

/// What neighbours have said so far of the package's pieces.
pub(super) type Hearsay = watch::Receiver<Option<Metainfo>>;

/// How long mirrors wait for the neighbours' answer; none where there are none.
pub(super) fn turn(services: &Services) -> Option<Duration> {
    let nearest = services.neighbours.list().into_iter().next()?;
    let is_nearby = nearest.round_trip.map_or(nearest.asker == Asker::Local, |round_trip| round_trip <= NEARBY);
    Some(if is_nearby { TURN } else { Duration::ZERO })
}

impl PackageFetch {
    pub(super) fn ask_neighbours(&mut self) {
        let (hearsay, hear) = watch::channel(None);
        // Nobody is asked for the pieces of what is lent whole.
        let hearsay = (self.known.id.size > MAX_GET_BYTES).then_some(hearsay);
        let loan = Loan {
            services: Arc::clone(&self.services),
            id: self.known.id.clone(),
            events: self.events.clone(),
            hearsay,
            go_on: Arc::clone(&self.borrow),
        };
        self.hearsay = Some(hear);
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(loan.run())));
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

/// One question to the neighbours, and what comes of it.
struct Loan {
    services: Arc<Services>,
    id: PackageId,
    events: mpsc::Sender<Event>,
    hearsay: Option<watch::Sender<Option<Metainfo>>>,
    /// Told when an offer is to be taken.
    go_on: Arc<Notify>,
}

impl Loan {
    async fn run(self) {
        let mut deadline = Instant::now() + ANSWER_WITHIN;
        let is_small = self.hearsay.is_none();
        let wishes = Wishes { info: !is_small, signature: false };
        let mut replies = self.services.neighbours.ask(&[self.id.sha256], wishes);
        let mut one_nearby_has_it = false;
        while let Ok(Some(reply)) = timeout_at(deadline, replies.next()).await {
            let Some(neighbour) = self.holder(reply).await else { continue };
            one_nearby_has_it |= neighbour.asker == Asker::Local;
            if !is_small {
                continue;
            }
            let _ = self.events.send(Event::Offer).await;
            // The fetch ends, and we with it, where a mirror brings the package.
            self.go_on.notified().await;
            if let Some(bytes) = self.borrow(&neighbour).await {
                let _ = self.events.send(Event::Lent(bytes)).await;
                return;
            }
            deadline = Instant::now() + ANSWER_WITHIN;
        }
        let _ = self.events.send(Event::NeighboursEnd(one_nearby_has_it)).await;
    }

    /// The neighbour, where it says that it has the package; what it says besides is passed on.
    async fn holder(&self, reply: Reply) -> Option<Neighbour> {
        let Reply { neighbour, answers, .. } = reply;
        let holding = answers.into_iter().next()??;
        tracing::debug!(package = %self.id.file_name, peer = %neighbour.address, "a neighbour has a package");
        let info = holding.info.and_then(|info| Info::read(&info).ok()?.expect(&self.id).ok());
        if let (Some(info), Some(hearsay)) = (info, &self.hearsay) {
            hearsay.send_if_modified(|said| {
                let is_first = said.is_none();
                if is_first {
                    *said = Some(Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() });
                }
                is_first
            });
        }
        let origin = match neighbour.asker {
            _ if neighbour.origin == Some(p2p_neighbours::Origin::Configured) => Origin::Configured,
            Asker::Local => Origin::Lan,
            Asker::Remote => Origin::Dht,
        };
        let _ = self.events.send(Event::Peer(Found { address: neighbour.address, origin })).await;
        Some(neighbour)
    }

    /// The whole package, if this neighbour sends it, and nothing else.
    async fn borrow(&self, neighbour: &Neighbour) -> Option<Vec<u8>> {
        let rate = if neighbour.asker == Asker::Local { LOCAL_RATE } else { REMOTE_RATE };
        let transfer = Duration::from_millis(self.id.size.saturating_mul(1_000) / rate);
        let expected = transfer + neighbour.round_trip.unwrap_or(TURN);
        let _ = self.events.send(Event::NeighbourSends(expected)).await;
        let what = What { id: self.id.sha256, kind: Kind::Package };
        let mut coming = self.services.neighbours.get(neighbour.id, what, 0..self.id.size);
        let mut bytes = Vec::with_capacity(usize::try_from(self.id.size).unwrap_or_default());
        let end = Instant::now() + WHOLE_WITHIN + Duration::from_secs(self.id.size / SLOWEST_RATE);
        while let Ok(Some(part)) = timeout_at(end.min(Instant::now() + SILENCE), coming.next()).await {
            bytes.extend_from_slice(&part);
        }
        if bytes.len() as u64 != self.id.size {
            return None;
        }
        let hashed = tokio::task::spawn_blocking(move || (Sha256::of(&bytes), bytes)).await;
        let (sha256, bytes) = hashed.ok()?;
        if sha256 == self.id.sha256 {
            return Some(bytes);
        }
        tracing::warn!(package = %self.id.file_name, peer = %neighbour.address, "a neighbour has sent another file");
        self.services.neighbours.turn_away(neighbour.id);
        self.services.gate.cut(neighbour.club, neighbour.address, BARRED_FOR);
        None
    }
}
