//! Helping more: keeps packages of whole repositories for others, though nobody installs them here.
//!
//! [`plan`] decides what to fetch and drop, and when; this file does it. The copies lie in the store, marked as ours, and
//! neither `seed.max_store` nor its sweeping touches them. A package that pacman's cache has is seeded from there and costs
//! nothing.

mod choice;
mod demand;
mod look;
mod memory;
mod pace;
mod plan;
mod wishes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_api::{FailureCode, Ready};
use p2p_package::{FileName, InfoHash, PackageId};
use p2p_seeder::Seeder;
use rand::RngExt;
use tokio::sync::Notify;

use crate::config::Replicate;
use crate::fetch::{Outcome, Store};
use crate::services::Services;
use look::{Unhashed, look};
use memory::Memory;
use plan::{Goal, Plan, Step, Wish};

/// How often the databases are looked at, and that costs a stat(2) each.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// Everything is looked at this many times in a spread: what the cache lost, what others asked for.
const LOOKS: u32 = 24;
/// What peers get before a mirror is asked: time for the DHT and for trackers. No more than an eighth of the spread.
const LEISURE: Duration = Duration::from_secs(20);
/// Whoever waited a moment ago may ask for the next file.
const QUIET: Duration = Duration::from_secs(5);
/// Packages asked for between two looks that are remembered.
const MAX_NOTES: usize = 4096;
/// This much of the state directory's file system stays free, in bytes, or this part of a small one.
const RESERVE: u64 = 1024 * 1024 * 1024;
const RESERVE_PART: u64 = 20;

/// What the rest of the daemon tells the replication, and hears of it.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    /// How often clients of this machine asked for packages, by name, since the last look; none while it is off.
    notes: Mutex<Option<BTreeMap<Box<str>, u32>>>,
    status: Mutex<Option<p2p_api::Replicate>>,
    reloaded: Notify,
}

impl Replication {
    /// A client of this machine asks for the package.
    pub(crate) fn note_wanted(&self, name: &FileName) {
        if let Some(notes) = &mut *lock(&self.notes)
            && (notes.len() < MAX_NOTES || notes.contains_key(name.package_name()))
        {
            *notes.entry(name.package_name().into()).or_default() += 1;
        }
    }

    /// The configuration was read again.
    pub(crate) fn handle_reload(&self) {
        self.reloaded.notify_one();
    }

    /// For people; none while it is off.
    pub(crate) fn status(&self) -> Option<p2p_api::Replicate> {
        lock(&self.status).clone()
    }

    fn set_status(&self, status: Option<p2p_api::Replicate>) {
        *lock(&self.status) = status;
    }

    /// What was asked for since the last time.
    fn take_notes(&self) -> BTreeMap<Box<str>, u32> {
        lock(&self.notes).replace(BTreeMap::new()).unwrap_or_default()
    }

    fn stop_notes(&self) {
        *lock(&self.notes) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replicates what the configuration says, until the daemon stops.
pub(crate) async fn run(services: Arc<Services>, memory: PathBuf) {
    loop {
        if services.settings().replicate.repositories.is_empty() {
            services.replication.stop_notes();
            services.replication.set_status(None);
            // From now on these are packages like others in the store, and `seed.max_store` holds for them.
            services.store.replicas().retain(|_| false);
            tokio::select! {
                () = services.replication.reloaded.notified() => continue,
                () = services.stopping.cancelled() => return,
            }
        }
        let mut driver = Driver::begin(Arc::clone(&services), memory.clone());
        let end = driver.drive().await;
        driver.save().await;
        if end == End::Stopping {
            return;
        }
    }
}

/// Why a driver has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    TurnedOff,
    Stopping,
}

/// Does what the plan wants.
struct Driver {
    services: Arc<Services>,
    path: PathBuf,
    settings: Replicate,
    plan: Plan,
    memory: Memory,
    unhashed: Unhashed,
    /// Handshakes for each package at the last look.
    handshakes: BTreeMap<InfoHash, u32>,
    looked: Option<Instant>,
    is_full: bool,
}

impl Driver {
    fn begin(services: Arc<Services>, path: PathBuf) -> Self {
        let memory = Memory::load(&path, rand::rng().random(), SystemTime::now());
        let settings = services.settings().replicate.clone();
        let plan = Plan::new(goal(&settings), memory.pace.clone());
        let driver = Self {
            services,
            path,
            settings,
            plan,
            memory,
            unhashed: Unhashed::default(),
            handshakes: BTreeMap::new(),
            looked: None,
            is_full: false,
        };
        driver.warn_of_unshared();
        driver.services.replication.take_notes();
        driver
    }

    async fn drive(&mut self) -> End {
        let mut sharing = self.services.knowledge.watch_sharing();
        loop {
            if !self.heed_settings() {
                return End::TurnedOff;
            }
            let is_old = self.looked.is_none_or(|at| at.elapsed() >= self.settings.spread / LOOKS);
            if is_old || sharing.has_changed().unwrap_or(false) {
                sharing.mark_unchanged();
                self.look().await;
            }
            self.publish();
            let wait = match self.plan.poll(SystemTime::now()) {
                Step::Drop(id) if self.drop(&id).await => continue,
                Step::Drop(_) => None,
                Step::Fetch(wish) => {
                    self.fetch(wish).await;
                    if self.services.stopping.is_cancelled() {
                        return End::Stopping;
                    }
                    continue;
                }
                Step::Wait(until) => until,
            };
            tokio::select! {
                () = self.services.stopping.cancelled() => return End::Stopping,
                () = self.services.replication.reloaded.notified() => {}
                Ok(()) = sharing.changed() => sharing.mark_changed(),
                () = self.pass(wait) => {}
            }
        }
    }

    /// Takes over a changed configuration; false where it turns us off.
    fn heed_settings(&mut self) -> bool {
        let settings = self.services.settings().replicate.clone();
        if settings != self.settings {
            self.plan.set_goal(goal(&settings));
            self.settings = settings;
            self.looked = None;
            self.warn_of_unshared();
        }
        !self.settings.repositories.is_empty()
    }

    fn warn_of_unshared(&self) {
        let sharing = self.services.knowledge.last_sharing();
        for repository in self.settings.repositories.iter().filter(|name| !sharing.rules().shares(name)) {
            tracing::warn!(
                repo = repository,
                "a repository is not replicated, for seed.repositories does not share it"
            );
        }
    }

    async fn look(&mut self) {
        self.looked = Some(Instant::now());
        self.count_demand();
        let services = Arc::clone(&self.services);
        let shared = services.knowledge.last_sharing();
        let mut repositories = self.settings.repositories.clone();
        repositories.retain(|name| shared.rules().shares(name));
        let (mut memory, mut unhashed) = (self.memory.clone(), std::mem::take(&mut self.unhashed));
        let looked = tokio::task::spawn_blocking(move || {
            let look = look(&services, &repositories, &mut memory, &mut unhashed);
            (look, memory, unhashed)
        });
        let (look, memory, unhashed) = looked.await.expect("looking around does not panic");
        (self.memory, self.unhashed) = (memory, unhashed);
        self.plan.handle_look(look, SystemTime::now());
        self.save().await;
        let (held, wanted) = (self.plan.held(), self.plan.wanted());
        tracing::debug!(packages = held.packages, bytes = held.bytes, wanted, "replicated packages were looked at");
    }

    fn count_demand(&mut self) {
        self.memory.demand.decay(SystemTime::now());
        for (name, times) in self.services.replication.take_notes() {
            self.memory.demand.note(&name, times);
        }
        let handshakes: BTreeMap<InfoHash, u32> =
            self.services.swarms.seeder().map(Seeder::demand).unwrap_or_default().into_iter().collect();
        for (info_hash, times) in &handshakes {
            // Fewer than before: they were forgotten in between.
            let before = self.handshakes.get(info_hash).filter(|before| *before <= times).unwrap_or(&0);
            if let Some(row) = self.services.catalog.get(info_hash) {
                self.memory.demand.note(row.id.file_name.package_name(), times - before);
            }
        }
        self.handshakes = handshakes;
    }

    fn publish(&self) {
        let held = self.plan.held();
        let next = self.plan.next().and_then(|next| next.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.services.replication.set_status(Some(p2p_api::Replicate {
            held_packages: held.packages,
            held_bytes: held.bytes,
            wanted_packages: self.plan.wanted(),
            budget: self.settings.budget,
            next: next.map(|next| next.as_secs()),
        }));
    }

    /// Removes a package of ours; false where it must stay for now.
    async fn drop(&mut self, id: &PackageId) -> bool {
        let (services, wanted) = (Arc::clone(&self.services), id.clone());
        let dropped = tokio::task::spawn_blocking(move || wishes::discard(&services, &wanted)).await;
        let is_gone = dropped.expect("removing a file does not panic");
        if is_gone {
            tracing::debug!(package = %id.file_name, bytes = id.size, "a replicated package is dropped");
        } else {
            // The plan hears in the next look that it is still there.
            self.looked = None;
        }
        is_gone
    }

    async fn fetch(&mut self, wish: Wish) {
        if !self.has_room(wish.id.size) {
            return self.plan.handle_no_room(SystemTime::now());
        }
        let leisure = LEISURE.min(self.settings.spread / 8);
        let outcome = tokio::select! {
            outcome = wishes::fetch(&self.services, &wish, leisure) => outcome,
            () = self.services.stopping.cancelled() => return,
            () = self.services.replication.reloaded.notified() => return,
        };
        let now = SystemTime::now();
        match outcome {
            Some(Outcome::Ready(ready)) => self.take_in(wish, &ready),
            Some(Outcome::Failed(failed)) if failed.code == FailureCode::DiskFull => self.plan.handle_no_room(now),
            Some(Outcome::Failed(failed)) => {
                tracing::debug!(package = %wish.id.file_name, error = failed.message, "a package cannot be replicated now");
                self.plan.handle_failure(&wish.id, now);
            }
            // A client came first.
            Some(Outcome::Abandoned) | None => self.plan.handle_interruption(now),
        }
    }

    fn take_in(&mut self, wish: Wish, ready: &Ready) {
        let Wish { id, .. } = wish;
        let now = SystemTime::now();
        if !self.services.store.contains(&ready.path) {
            return self.plan.handle_gone(&id, now);
        }
        self.services.store.replicas().add(Store::mark(&id));
        self.plan.handle_arrived(&id, now);
    }

    /// Whether the disk has room for so many bytes; says so once where it has not.
    fn has_room(&mut self, bytes: u64) -> bool {
        let room = wishes::room(self.services.store.directory());
        let is_full = room.is_some_and(|room| room < bytes);
        if is_full && !self.is_full {
            tracing::warn!(bytes, "replication waits, for the disk is nearly full");
        }
        self.is_full = is_full;
        !is_full
    }

    /// Returns when the next step is due, or the databases should be looked at again.
    async fn pass(&self, until: Option<SystemTime>) {
        let check = (self.settings.spread / LOOKS).clamp(LEAST_INTERVAL, CHECK_INTERVAL);
        let left = until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
        tokio::time::sleep(left.map_or(check, |left| left.min(check))).await;
        let knowledge = Arc::clone(&self.services.knowledge);
        let look = tokio::task::spawn_blocking(move || drop(knowledge.sharing()));
        look.await.expect("reading databases does not panic");
    }

    async fn save(&mut self) {
        self.memory.pace = self.plan.pace().clone();
        let (memory, path) = (self.memory.clone(), self.path.clone());
        let saved = tokio::task::spawn_blocking(move || memory.save(&path)).await;
        if let Err(error) = saved.expect("writing a file does not panic") {
            tracing::warn!(%error, "what was asked for cannot be written down");
        }
    }
}

fn goal(settings: &Replicate) -> Goal {
    Goal { budget: settings.budget, order: settings.order, spread: settings.spread }
}
