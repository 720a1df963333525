//! What a plan's actions do.

use std::sync::Arc;
use std::time::Instant;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use p2p_discovery::Search;
use p2p_package::{Metainfo, PackageId};
use p2p_seeder::FileStamp;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::lending::Hearsay;
use super::{Action, Event, Outcome, PackageFetch, despair, disk_failure, reach};
use crate::fetch::assembly::{Assembly, DiskFault};
use crate::fetch::check;
use crate::fetch::metainfo::Race;
use crate::fetch::newcomers::Newcomer;
use crate::fetch::store::Store;
use crate::fetch::story::Happening;
use crate::services::Services;
use crate::sharing::Reach;
use crate::swarms::Seeking;

impl PackageFetch {
    /// Does what the plan wants; an outcome ends the fetch.
    pub(super) async fn act(&mut self, action: Action) -> Option<Outcome> {
        tracing::debug!(package = %self.known.id.file_name, ?action, "the plan decides");
        self.story.note(Happening::of(action));
        match action {
            Action::BeginAnew => return self.begin_anew().await,
            Action::OpenStream { mirror, from } => self.open_stream(mirror, from),
            Action::OpenRival { mirror, from } => self.open_rival(mirror, from),
            Action::CloseStream => self.close_stream().await,
            Action::AskNeighbours => self.ask_neighbours(),
            Action::Borrow => self.borrow.notify_one(),
            Action::BorrowLarge => self.borrow_large(),
            Action::TakeLent => return self.take_lent().await,
            Action::SeekMetainfo => self.seek_metainfo(),
            Action::DoubtMetainfo => self.doubt_metainfo(),
            Action::SeekPeers => self.seek_peers(),
            Action::CheckMetainfo { mirror } => self.check_metainfo(mirror),
            Action::JoinSwarm => self.join_swarm().await,
            Action::AddWebseed { mirror } => self.add_webseed(mirror),
            Action::SetShare => self.set_share(),
            Action::RemoveWebseed { mirror } => self.remove_webseed(mirror),
            Action::LeaveSwarm => self.leave_swarm().await,
            Action::FinishSwarm => self.finish_swarm().await,
            Action::CutSlowestPeer { whatever_its_rate } => self.cut_slowest_peer(whatever_its_rate),
            Action::RetryPeers => self.retry_peers(),
            Action::Verify => return self.verify().await,
            Action::Fail(reason) => return Some(despair(reason, self.known.id.file_name.as_str())),
        }
        None
    }

    pub(super) async fn begin_anew(&mut self) -> Option<Outcome> {
        self.finished = None;
        self.attempt += 1;
        let path = self.services.store.path(&self.known.id, self.attempt);
        Store::discard(&path);
        let before = match Assembly::open(&path, 0, Some(self.known.id.size)) {
            Ok(assembly) => std::mem::replace(&mut self.assembly, assembly),
            Err(fault) => return Some(disk_failure(&fault)),
        };
        self.tally.begin_anew(0);
        self.publish.send_modify(|snapshot| (snapshot.rewound_to, snapshot.mirrors_alone) = (u64::MAX, true));
        self.tell(0);
        // Only now: a client could still be about to open it.
        let path = Arc::clone(before.path());
        before.close().await;
        Store::discard(&path);
        None
    }

    fn seek_metainfo(&mut self) {
        let (services, events) = (Arc::clone(&self.services), self.events.clone());
        let (servers, id) = (self.target.servers.clone(), self.known.id.clone());
        let hearsay = self.hearsay.clone();
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let found = match services.metainfo_shelf.take(&id.sha256) {
                Some(metainfo) => Some(metainfo),
                None => published(&services, &id).await,
            };
            let found = match found {
                Some(metainfo) => Some(metainfo),
                None => first_to_tell(hearsay, Race::configured(&services).run_for(&services, &servers, &id)).await,
            };
            let _ = events.send(Event::Metainfo(found)).await;
        })));
    }

    /// What else neighbours say of the pieces is as good as what has turned out wrong.
    fn doubt_metainfo(&mut self) {
        let Some(wrong) = self.metainfo.take().map(|metainfo| metainfo.info.info_hash()) else { return };
        let next = self.services.whereabouts.next_info(&self.known.id.sha256, wrong);
        tracing::warn!(package = %self.known.id.file_name, info_hash = %wrong, "a package's pieces are doubted");
        self.search = None;
        self.metainfo = next.map(|info| Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() });
        self.plan.handle_metainfo(self.metainfo.is_some(), Instant::now());
    }

    fn seek_peers(&mut self) {
        let Some(metainfo) = &self.metainfo else { return };
        let info_hash = metainfo.info.info_hash();
        let events = self.events.clone();
        // One who calls while the queue is full will not be the first.
        let seeking = self.services.swarms.seek(info_hash, move || _ = events.try_send(Event::Caller));
        let search = self.services.discovery.seek(info_hash, &metainfo.trackers);
        let here = self.assembly.state().borrow().contiguous;
        let (left, lefts) = watch::channel(self.known.id.size.saturating_sub(here).max(1));
        search.progress(*left.borrow());
        let task = tokio::spawn(pass_on(search, self.events.clone(), lefts));
        self.search = Some(PeerSearch { left, task: AbortOnDropHandle::new(task), _seeking: seeking });
    }

    fn check_metainfo(&mut self, mirror: Option<usize>) {
        let Some(metainfo) = &self.metainfo else { return };
        let (info, path) = (metainfo.info.clone(), Arc::clone(self.assembly.path()));
        let contiguous = self.assembly.state().borrow().contiguous;
        let mirror = mirror.map(|mirror| self.target.mirrors[mirror].clone());
        let (client, events) = (self.services.mirrors.clone(), self.events.clone());
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let agrees = check::agrees(info, path, contiguous, &client, mirror.as_ref()).await;
            let _ = events.send(Event::Checked(agrees)).await;
        })));
    }

    async fn verify(&mut self) -> Option<Outcome> {
        let sha256 = self.assembly.finish().await;
        if let Some(fault) = self.assembly.state().borrow().fault.clone() {
            return Some(disk_failure(&fault));
        }
        let matches = sha256 == Some(self.known.id.sha256);
        let now = Instant::now();
        if let Some(mirror) = self.plan.sole_mirror().map(|mirror| &self.target.mirrors[mirror]) {
            if matches {
                self.services.mirror_book.note_success(mirror);
            } else {
                self.services.mirror_book.note_bad_bytes(mirror, now);
            }
        }
        self.story.note(Happening::Verified(matches));
        self.plan.handle_verified(matches, now);
        if !matches {
            tracing::warn!(package = %self.known.id.file_name, "a complete file has the wrong SHA-256");
            return None;
        }
        self.count();
        self.services.whereabouts.note_here(&self.known.id.sha256);
        if let Some(finished) = self.finished.take() {
            finished.linger(&self.known, &self.target);
        }
        if self.haste.is_urgent() {
            self.services.handovers.note(self.assembly.path(), &self.known.id.file_name, Instant::now());
        }
        match self.keep() {
            Ok(()) => Some(Outcome::Ready(self.ready(self.assembly.path()))),
            Err(error) => Some(disk_failure(&DiskFault::new(self.assembly.path(), error))),
        }
    }

    /// The file is the package: from now on we serve it, where it may be shared.
    fn keep(&mut self) -> std::io::Result<()> {
        let path = Arc::clone(self.assembly.path());
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = fs::OpenOptions::new().write(true).custom_flags(no_link).open(&*path)?;
        if let Some(modified) = self.modified {
            file.file().set_modified(modified)?;
        }
        Store::forget(&path);
        if reach(&self.services, &self.known, &self.target) == Reach::Nobody {
            return Ok(());
        }
        if let Some(search) = self.search.take() {
            search.complete();
        }
        let (metainfo, stamp) = (self.metainfo.take(), FileStamp::of_path(&path)?);
        let asked_for = self.haste.is_urgent();
        let newcomer = Newcomer { path, stamp, known: self.known.clone(), asked_for, metainfo };
        self.services.newcomers.put(&self.services, newcomer);
        Ok(())
    }
}

/// What the index of a publisher whom we follow has of the package: that spares everybody a look-up.
async fn published(services: &Arc<Services>, id: &PackageId) -> Option<Metainfo> {
    if !services.publications.has_info(&id.sha256) {
        return None;
    }
    let (services, id) = (Arc::clone(services), id.clone());
    let info = tokio::task::spawn_blocking(move || services.publications.info(&id)).await;
    let info = info.expect("reading an index does not panic")?;
    tracing::debug!(package = %info.file_name(), "a published index has the info");
    Some(Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() })
}

/// The metainfo that neighbours or mirrors tell first; none when neither do.
async fn first_to_tell(hearsay: Option<Hearsay>, race: impl Future<Output = Option<Metainfo>>) -> Option<Metainfo> {
    let Some(mut hearsay) = hearsay else { return race.await };
    let said = async {
        let said = hearsay.wait_for(|rumour| rumour.metainfo.is_some() || rumour.has_ended).await;
        said.ok().and_then(|said| said.metainfo.clone())
    };
    tokio::pin!(said, race);
    tokio::select! {
        found = &mut said => match found {
            Some(found) => Some(found),
            None => race.await,
        },
        found = &mut race => match found {
            Some(found) => Some(found),
            None => said.await,
        },
    }
}

/// The search for a package's peers, while it is in progress.
#[derive(Debug)]
pub(super) struct PeerSearch {
    /// Bytes that are missing. Only a verified file has 0.
    left: watch::Sender<u64>,
    task: AbortOnDropHandle<()>,
    _seeking: Seeking,
}

impl PeerSearch {
    /// So many bytes are missing: what trackers are told.
    pub(super) fn progress(&self, left: u64) {
        self.left.send_replace(left.max(1));
    }

    /// Ends the search; trackers hear that the package is complete, not that we have left.
    fn complete(self) {
        self.left.send_replace(0);
        self.task.detach();
    }
}

async fn pass_on(mut search: Search, events: mpsc::Sender<Event>, mut lefts: watch::Receiver<u64>) {
    loop {
        tokio::select! {
            biased;
            changed = lefts.changed() => {
                let left = *lefts.borrow_and_update();
                search.progress(left);
                if changed.is_err() || left == 0 {
                    return;
                }
            }
            Some(found) = search.next() => {
                // Where the fetch has ended, the package may be complete all the same.
                let _ = events.send(Event::Peer(found)).await;
            }
        }
    }
}
