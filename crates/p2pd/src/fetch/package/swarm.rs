//! The swarm's side of a package: the engine, webseeds and peers.

use std::time::Duration;

use fs_err as fs;
use p2p_discovery::{Found, Origin};
use p2p_engine::Swarm;
use p2p_package::InfoHash;
use p2p_webseed::{VirtualPeer, VirtualPeerState};
use tokio_util::task::AbortOnDropHandle;

use super::{Event, Instant, PackageFetch};
use crate::fetch::plan::Verdict;
use crate::fetch::store::Store;
use crate::fetch::stream::verdict;
use crate::swarms::Joined;

/// Webseeds join first, other peers this much later at the latest: a peer that got the only missing piece first could sit on it.
const WEBSEED_HEAD_START: Duration = Duration::from_millis(250);
/// A peer from which nothing came for so long sits on what it was asked for.
const PEER_SILENCE: Duration = Duration::from_millis(500);
/// A peer that was cut stays away for so long.
const CUT_FOR: Duration = Duration::from_mins(1);

/// A swarm that a package is in.
#[derive(Debug)]
pub(super) struct ActiveSwarm {
    swarm: Swarm,
    info_hash: InfoHash,
    entered: Instant,
    _joined: Joined,
    _progress: AbortOnDropHandle<()>,
    follower: tokio::sync::watch::Sender<u64>,
    _follower: AbortOnDropHandle<()>,
    webseeds: Vec<Webseed>,
    /// Bytes that webseeds which have gone brought.
    from_gone_webseeds: u64,
}

#[derive(Debug)]
struct Webseed {
    mirror: usize,
    served: u64,
    _peer: VirtualPeer,
    _watch: AbortOnDropHandle<()>,
}

impl ActiveSwarm {
    /// Bytes that mirrors brought into the swarm.
    pub(super) fn webseed_bytes(&self) -> u64 {
        self.from_gone_webseeds + self.webseeds.iter().map(|webseed| webseed.served).sum::<u64>()
    }

    /// How far the hashes follow.
    pub(super) fn followed(&self) -> u64 {
        *self.follower.borrow()
    }

    /// Lets the hashes follow the pieces that are complete from the start of the file on.
    pub(super) fn follow(&self, contiguous: u64) {
        self.follower.send_if_modified(|last| {
            let grown = contiguous > *last;
            *last = contiguous.max(*last);
            grown
        });
    }
}

impl PackageFetch {
    pub(super) async fn join_swarm(&mut self) {
        let Some(info) = self.metainfo.as_ref().map(|metainfo| metainfo.info.clone()) else { return };
        let path = self.assembly.path();
        if let Some(metainfo) = &self.metainfo
            && let Err(error) = Store::remember(path, metainfo)
        {
            tracing::warn!(%error, "a torrent cannot be saved; an interrupted fetch will begin anew");
        }
        let joined = self.services.swarms.join(info.info_hash());
        let file = fs::OpenOptions::new().read(true).write(true).open(&**path);
        let swarm = match file {
            Ok(file) => self.services.engine.join(info.clone(), file.into_file()).await,
            Err(error) => return self.fail_swarm(&error),
        };
        match swarm {
            Ok(swarm) => self.enter(swarm, info.info_hash(), joined),
            Err(error) => self.fail_swarm(&error),
        }
    }

    fn fail_swarm(&mut self, error: &(dyn std::error::Error + 'static)) {
        let error = crate::report::Report(error).to_string();
        tracing::warn!(package = %self.known.id.file_name, error, "the swarm cannot be joined");
        let contiguous = self.assembly.state().borrow().contiguous;
        self.plan.handle_swarm_failure(contiguous, Instant::now());
    }

    fn enter(&mut self, swarm: Swarm, info_hash: InfoHash, joined: Joined) {
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
        let (follower, contiguous) = tokio::sync::watch::channel(self.assembly.state().borrow().contiguous);
        self.swarm = Some(ActiveSwarm {
            swarm,
            info_hash,
            entered: Instant::now(),
            _joined: joined,
            _progress: AbortOnDropHandle::new(watch),
            follower,
            _follower: self.assembly.follower(contiguous),
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
        let Some((swarm, metainfo)) = self.swarm.as_mut().zip(self.metainfo.as_ref()) else { return };
        let url = self.target.mirrors[mirror].clone();
        let engine = self.services.engine.listen_addr();
        let peer = VirtualPeer::call(self.services.mirrors.clone(), url, metainfo.info.clone(), engine);
        let (mut state, events) = (peer.state(), self.events.clone());
        let watch = tokio::spawn(async move {
            while state.changed().await.is_ok() {
                let now = state.borrow_and_update().clone();
                if events.send(Event::Webseed(mirror, now)).await.is_err() {
                    return;
                }
            }
        });
        swarm.webseeds.push(Webseed { mirror, served: 0, _peer: peer, _watch: AbortOnDropHandle::new(watch) });
    }

    pub(super) fn handle_webseed(&mut self, mirror: usize, state: &VirtualPeerState, now: Instant) {
        let Some(swarm) = &mut self.swarm else { return };
        let Some(index) = swarm.webseeds.iter().position(|webseed| webseed.mirror == mirror) else { return };
        swarm.webseeds[index].served = state.served_bytes;
        if state.served_bytes > 0 {
            self.release_peers();
        }
        if state.contradiction.is_some() {
            tracing::warn!(package = %self.known.id.file_name, "a mirror and the torrent contradict each other");
            return self.plan.handle_contradiction(mirror, now);
        }
        if state.ended {
            if let Some(fault) = &state.fault {
                self.services.mirror_book.note_fault(&self.target.mirrors[mirror], fault, now);
            }
            let verdict = state.fault.as_deref().map_or(Verdict::Rests(None), verdict);
            return self.lose_webseed(index, mirror, verdict, now);
        }
        self.plan.handle_webseed_idle(state.waiting, now);
    }

    fn lose_webseed(&mut self, index: usize, mirror: usize, verdict: Verdict, now: Instant) {
        let Some(swarm) = &mut self.swarm else { return };
        let webseed = swarm.webseeds.remove(index);
        swarm.from_gone_webseeds += webseed.served;
        self.plan.handle_webseed_fault(mirror, verdict, now);
    }

    pub(super) fn handle_peer(&mut self, found: Found, now: Instant) {
        match &mut self.held_peers {
            Some(held) => held.push(found),
            None if self.swarm.is_some() => self.introduce(found),
            None => self.held_peers = Some(vec![found]),
        }
        self.plan.handle_peer(now);
    }

    /// Webseeds have had their head start.
    pub(super) fn release_peers(&mut self) {
        if self.swarm.is_some() {
            self.held_peers.take().unwrap_or_default().into_iter().for_each(|found| self.introduce(found));
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
        if let Some(active) = self.swarm.take() {
            self.services.gate.close(active.info_hash);
            let ActiveSwarm { swarm, follower, .. } = active;
            let contiguous = *follower.borrow();
            swarm.leave().await;
            self.assembly.follow(contiguous).await;
        }
    }

    /// Parts from the slowest peer, if mirrors are faster or it has fallen silent.
    pub(super) fn cut_slowest_peer(&mut self) {
        let Some(swarm) = &self.swarm else { return };
        let now = Instant::now();
        let peers = self.services.gate.peers(swarm.info_hash).into_iter();
        let slowest = peers
            .map(|peer| (rate(peer.downloaded, now.duration_since(peer.since)), peer))
            .min_by_key(|(rate, _)| *rate);
        let Some((peer_rate, peer)) = slowest else { return };
        let mirror_rate = rate(swarm.webseed_bytes(), now.duration_since(swarm.entered));
        if peer_rate < mirror_rate || now.duration_since(peer.last_received) > PEER_SILENCE {
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
