//! The swarm's side of a package: the engine, webseeds and peers.

use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use p2p_api::Report;
use p2p_discovery::{Found, Origin};
use p2p_engine::Swarm;
use p2p_gate::Gate;
use p2p_package::{Info, InfoHash};
use p2p_webseed::{VirtualPeer, VirtualPeerState};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Event, FinishedSwarm, Instant, PackageFetch};
use crate::fetch::plan::{Activity, Verdict};
use crate::fetch::store::Store;
use crate::fetch::story::Happening;
use crate::fetch::stream::verdict;
use crate::swarms::Joined;

/// Webseeds join first, other peers this much later at the latest: a peer that got the only missing piece first could sit on it.
const WEBSEED_HEAD_START: Duration = Duration::from_millis(250);
/// A peer from which nothing came for so long sits on what it was asked for.
const PEER_SILENCE: Duration = Duration::from_millis(500);
/// Addresses that one fetch looks at, and how many of them may come from strangers.
const MAX_FOUND: usize = 300;
const MAX_FOUND_BY_STRANGERS: usize = 200;
/// Fewer bytes than a block say nothing about a peer.
const WORTH_NOTING: u64 = 16 * 1024;
/// A peer that was cut stays away for so long.
const CUT_FOR: Duration = Duration::from_mins(1);

/// Tells how many pieces are complete from the start of the file on.
type Follower = (watch::Sender<u64>, AbortOnDropHandle<()>);

/// A swarm that a package is in.
#[derive(Debug)]
pub(super) struct ActiveSwarm {
    swarm: Swarm,
    info_hash: InfoHash,
    entered: Instant,
    /// Bytes of a piece.
    piece: u64,
    joined: Joined,
    _progress: AbortOnDropHandle<()>,
    /// From when on the hashes follow the pieces that are complete from the start of the file on.
    follower: Option<Follower>,
    introduced: Introduced,
    /// Bytes from its peers when they were last looked at.
    received: u64,
    pub(super) webseeds: Vec<Webseed>,
    /// Bytes that webseeds which have gone brought.
    from_gone_webseeds: u64,
}

#[derive(Debug)]
pub(super) struct Webseed {
    mirror: usize,
    served: u64,
    pub(super) peer: VirtualPeer,
    _watch: AbortOnDropHandle<()>,
}

impl ActiveSwarm {
    /// Bytes that mirrors brought into the swarm.
    pub(super) fn webseed_bytes(&self) -> u64 {
        // What they tell by events comes later than the pieces that the engine has verified.
        let served = |webseed: &Webseed| webseed.peer.state().borrow().served_bytes;
        self.from_gone_webseeds + self.webseeds.iter().map(served).sum::<u64>()
    }

    /// Whether peers have sent anything since the last call.
    pub(super) fn has_received(&mut self, gate: &Gate) -> bool {
        let received: u64 = gate.peers(self.info_hash).iter().map(|peer| peer.downloaded).sum();
        let more = received > self.received + WORTH_NOTING;
        // A slow peer's bytes add up; those of one who has gone are missing from the sum.
        if more || received < self.received {
            self.received = received;
        }
        more
    }
}

/// Whether found peers are introduced already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Introduced {
    NotYet,
    Yes,
}

impl PackageFetch {
    pub(super) async fn join_swarm(&mut self) {
        let Some(metainfo) = self.metainfo.clone() else { return };
        // In one step with `Fetches::pin`: either a client streams the file, or peers write to it.
        let may_join = self.publish.send_if_modified(|snapshot| {
            snapshot.mirrors_alone &= snapshot.pinned;
            !snapshot.pinned
        });
        if !may_join {
            let contiguous = self.assembly.synced().await;
            return self.plan.handle_unshared(contiguous, Instant::now());
        }
        let (info, path) = (metainfo.info.clone(), Arc::clone(self.assembly.path()));
        if let Err(error) = Store::remember(&path, &metainfo) {
            tracing::warn!(%error, "a torrent cannot be saved; an interrupted fetch will begin anew");
        }
        // The engine may write whatever is not a whole piece anew.
        let piece = u64::from(info.piece_length().bytes());
        self.rewind(self.assembly.state().borrow().contiguous / piece * piece);
        let file = fs::OpenOptions::new().read(true).write(true).open(&*path);
        let swarm = match file {
            Ok(file) => self.services.engine.join(info.clone(), file.into_file()).await,
            Err(error) => return self.fail_swarm(&error),
        };
        match swarm {
            Ok(swarm) => {
                // Callers wait until now: the engine hangs up on who comes for a torrent that it does not know yet.
                let joined = self.services.swarms.join(&info, swarm.waker());
                self.enter(swarm, &info, joined);
            }
            Err(error) => self.fail_swarm(&error),
        }
    }

    fn fail_swarm(&mut self, error: &(dyn std::error::Error + 'static)) {
        let error = Report(error).to_string();
        tracing::warn!(package = %self.known.id.file_name, error, "the swarm cannot be joined");
        let contiguous = self.assembly.state().borrow().contiguous;
        self.plan.handle_swarm_failure(contiguous, Instant::now());
    }

    fn enter(&mut self, swarm: Swarm, info: &Info, joined: Joined) {
        let mut progress = swarm.progress();
        let events = self.events.clone();
        let watch = tokio::spawn(async move {
            loop {
                let now = progress.borrow_and_update().clone();
                if events.send(Event::Swarm(now)).await.is_err() || progress.changed().await.is_err() {
                    return;
                }
            }
        });
        self.swarm = Some(ActiveSwarm {
            swarm,
            info_hash: info.info_hash(),
            entered: Instant::now(),
            piece: u64::from(info.piece_length().bytes()),
            joined,
            _progress: AbortOnDropHandle::new(watch),
            follower: None,
            introduced: Introduced::NotYet,
            received: 0,
            webseeds: Vec::new(),
            from_gone_webseeds: 0,
        });
        let events = self.events.clone();
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(WEBSEED_HEAD_START).await;
            let _ = events.send(Event::PeersMayJoin).await;
        })));
    }

    pub(super) fn add_webseed(&mut self, mirror: usize) {
        self.note_coming();
        let pieces = self.shared_pieces();
        if pieces.is_some() {
            self.story.note(Happening::Shared { share: self.plan.share(), others: self.plan.company().len() });
        }
        let Some((swarm, metainfo)) = self.swarm.as_mut().zip(self.metainfo.as_ref()) else { return };
        let url = self.target.mirrors[mirror].clone();
        let engine = self.services.engine.listen_addr();
        let peer = VirtualPeer::call(self.services.mirrors.clone(), url, metainfo.info.clone(), engine, pieces);
        let (mut state, events) = (peer.state(), self.events.clone());
        let watch = tokio::spawn(async move {
            while state.changed().await.is_ok() {
                let now = state.borrow_and_update().clone();
                if events.send(Event::Webseed(mirror, now)).await.is_err() {
                    return;
                }
            }
        });
        swarm.webseeds.push(Webseed { mirror, served: 0, peer, _watch: AbortOnDropHandle::new(watch) });
    }

    pub(super) fn handle_webseed(&mut self, mirror: usize, state: &VirtualPeerState, now: Instant) {
        let Some(swarm) = &mut self.swarm else { return };
        let Some(index) = swarm.webseeds.iter().position(|webseed| webseed.mirror == mirror) else { return };
        let served_before = std::mem::replace(&mut swarm.webseeds[index].served, state.served_bytes);
        let serves = state.served_bytes > served_before;
        self.plan.handle_webseed_bytes(swarm.webseed_bytes());
        self.story.note_webseed(mirror, state.served_bytes.saturating_sub(served_before));
        if serves {
            self.plan.handle_bytes();
            self.release_peers();
        }
        if state.contradiction.is_some() {
            tracing::warn!(package = %self.known.id.file_name, "a mirror and the torrent contradict each other");
            return self.plan.handle_contradiction(mirror, now);
        }
        if state.ended {
            if let Some(fault) = &state.fault {
                self.services.mirror_book.note_fault(&self.target.mirrors[mirror], fault, now);
                self.story.note(Happening::MirrorFails { mirror, fault: Report(&**fault).to_string() });
            }
            let verdict = state.fault.as_deref().map_or(Verdict::Rests(None), verdict);
            return self.lose_webseed(mirror, verdict, now);
        }
        let activity = match state.waiting {
            true => Activity::Idle,
            false if serves => Activity::Serves,
            false => Activity::Owes,
        };
        self.plan.handle_webseed(mirror, activity, now);
    }

    fn lose_webseed(&mut self, mirror: usize, verdict: Verdict, now: Instant) {
        self.remove_webseed(mirror);
        self.plan.handle_webseed_fault(mirror, verdict, now);
    }

    /// Hangs up, which frees the pieces that it was asked for.
    pub(super) fn remove_webseed(&mut self, mirror: usize) {
        let Some(swarm) = &mut self.swarm else { return };
        let Some(index) = swarm.webseeds.iter().position(|webseed| webseed.mirror == mirror) else { return };
        let webseed = swarm.webseeds.remove(index);
        swarm.from_gone_webseeds += webseed.peer.state().borrow().served_bytes;
    }

    /// Without a webseed nobody needs a head start.
    pub(super) fn release_without_webseeds(&mut self) {
        if self.swarm.as_ref().is_some_and(|swarm| swarm.webseeds.is_empty()) {
            self.release_peers();
        }
    }

    /// Lets the hashes follow what the engine has verified. The first time it may be less than what a mirror had sent, and
    /// anything may have been written anew.
    pub(super) async fn follow_swarm(&mut self, contiguous: u64) {
        let Some(swarm) = &mut self.swarm else { return };
        if let Some((follower, _)) = &swarm.follower {
            follower.send_if_modified(|last| std::mem::replace(last, contiguous) != contiguous);
            return;
        }
        let (follower, ends) = watch::channel(contiguous);
        swarm.follower = Some((follower, self.assembly.follower(ends)));
        self.rewind(contiguous);
        self.assembly.rebase(contiguous).await;
    }

    pub(super) fn handle_peer(&mut self, found: Found, now: Instant) {
        if self.found.iter().any(|known| known.address == found.address) {
            if self.swarm.as_ref().is_some_and(|swarm| swarm.introduced == Introduced::Yes) {
                self.introduce(found);
            }
            return;
        }
        let is_trusted = matches!(found.origin, Origin::Configured | Origin::Lan);
        let most = if is_trusted { MAX_FOUND } else { MAX_FOUND_BY_STRANGERS };
        if self.found.len() >= most {
            return;
        }
        self.found.push(found);
        self.story.note(Happening::PeerFound { address: found.address, origin: found.origin });
        if self.swarm.as_ref().is_some_and(|swarm| swarm.introduced == Introduced::Yes) {
            self.introduce(found);
        }
        self.plan.handle_peer(now);
    }

    /// Webseeds have had their head start.
    pub(super) fn release_peers(&mut self) {
        let Some(swarm) = &mut self.swarm else { return };
        if std::mem::replace(&mut swarm.introduced, Introduced::Yes) == Introduced::NotYet {
            self.found.iter().for_each(|found| self.introduce(*found));
        }
    }

    /// Dials again whom we have lost, or did not reach; the gate knows whom to leave alone.
    pub(super) fn retry_peers(&self) {
        if self.swarm.as_ref().is_some_and(|swarm| swarm.introduced == Introduced::Yes) {
            self.found.iter().for_each(|found| self.introduce(*found));
        }
    }

    fn introduce(&self, found: Found) {
        let Some(swarm) = &self.swarm else { return };
        let origin = match found.origin {
            Origin::Configured => p2p_gate::Origin::Configured,
            Origin::Lan => p2p_gate::Origin::Lan,
            Origin::Tracker => p2p_gate::Origin::Tracker,
            Origin::Dht => p2p_gate::Origin::Dht,
        };
        if let Err(fault) = self.services.gate.introduce(swarm.info_hash, found.address, origin) {
            tracing::debug!(peer = %found.address, error = %fault, "a peer is not dialled");
        }
    }

    pub(super) async fn leave_swarm(&mut self) {
        let Some(active) = self.swarm.take() else { return };
        self.story.note_peers(&self.services.gate.peers(active.info_hash));
        self.services.gate.close(active.info_hash);
        let ActiveSwarm { swarm, follower, piece, .. } = active;
        swarm.leave().await;
        self.unfollow(follower, piece).await;
    }

    /// The engine has everything: what those get who are still connected is its business until the file is verified.
    pub(super) async fn finish_swarm(&mut self) {
        let Some(active) = self.swarm.take() else { return };
        self.story.note_peers(&self.services.gate.peers(active.info_hash));
        let ActiveSwarm { swarm, info_hash, joined, follower, piece, .. } = active;
        self.finished = Some(FinishedSwarm::new(&self.services, info_hash, swarm, joined));
        self.unfollow(follower, piece).await;
    }

    async fn unfollow(&self, follower: Option<Follower>, piece: u64) {
        if let Some((contiguous, task)) = follower {
            // Its last order must not come after ours.
            task.abort();
            let _ = task.await;
            let contiguous = *contiguous.borrow();
            self.assembly.follow(contiguous).await;
        } else {
            // The engine may have written into the piece that a mirror had sent in part.
            let contiguous = self.assembly.synced().await;
            self.assembly.rebase(contiguous / piece * piece).await;
        }
    }

    /// Notes how fast the peers nearby have been.
    pub(super) fn note_peers(&self, now: Instant) {
        let Some(swarm) = &self.swarm else { return };
        let near = |found: &&Found| matches!(found.origin, Origin::Configured | Origin::Lan);
        let near: Vec<_> = self.found.iter().filter(near).map(|found| found.address.ip()).collect();
        if near.is_empty() {
            return;
        }
        let peers = self.services.gate.peers(swarm.info_hash).into_iter();
        let bytes = peers.filter(|peer| near.contains(&peer.address.ip())).map(|peer| peer.downloaded).sum();
        self.services.peer_book.note(bytes, self.known.id.size, now.duration_since(swarm.entered), now);
    }

    /// Takes the file back from the engine; says how many of its first bytes are good.
    pub(super) async fn reclaim(&mut self) -> u64 {
        self.leave_swarm().await;
        self.assembly.synced().await
    }

    /// Parts from the slowest peer, if mirrors are faster, if it has fallen silent, or `whatever_its_rate`.
    pub(super) fn cut_slowest_peer(&mut self, whatever_its_rate: bool) {
        let Some(swarm) = &self.swarm else { return };
        let now = Instant::now();
        let peers = self.services.gate.peers(swarm.info_hash).into_iter();
        let slowest = peers
            .map(|peer| (rate(peer.downloaded, now.duration_since(peer.since)), peer))
            .min_by_key(|(rate, _)| *rate);
        let Some((peer_rate, peer)) = slowest else { return };
        let mirror_rate = rate(swarm.webseed_bytes(), now.duration_since(swarm.entered));
        if whatever_its_rate || peer_rate < mirror_rate || now.duration_since(peer.last_received) > PEER_SILENCE {
            tracing::debug!(peer = %peer.address, bytes = peer.downloaded, "a peer sits on a piece and is cut");
            self.services.gate.cut(swarm.info_hash, peer.address, CUT_FOR);
        }
    }
}

/// Bytes a second.
fn rate(bytes: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / millis
}
