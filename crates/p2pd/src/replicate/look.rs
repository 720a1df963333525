//! What is listed, and what is here: the look that a plan decides from. Blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use p2p_package::{PackageId, Sha256};
use p2p_seeder::Row;

use super::choice::{Candidate, Place};
use super::memory::Memory;
use super::plan::{Fate, Look};
use crate::fetch::{Marked, Store};
use crate::knowledge::View;
use crate::services::Services;
use crate::sharing::{Reach, Sharing};

/// A package of ours whose file the catalog has not taken in within this time is not what it should be. All of them have to be
/// hashed when the catalog is lost.
const HASHED_WITHIN: Duration = Duration::from_hours(24);

/// Since when packages of ours are seen that the catalog does not have (yet), by their marks.
#[derive(Debug, Default)]
pub(super) struct Unhashed(BTreeMap<u64, Instant>);

/// A package that is here.
struct Held {
    id: PackageId,
    repository: Arc<str>,
    place: Place,
}

/// Looks around; `repositories` are those to be replicated, all of them shared.
pub(super) fn look(services: &Services, repositories: &[String], memory: &mut Memory, unhashed: &mut Unhashed) -> Look {
    let sharing = services.knowledge.sharing();
    let rows = services.catalog.rows();
    remember_rarity(services, &rows, memory);
    let mut held = held(services, &rows);
    let mut files = match services.store.marked() {
        Ok(files) => {
            services.store.replicas().retain(|mark| files.contains_key(&mark));
            files
        }
        Err(error) => {
            tracing::warn!(%error, "the store cannot be listed; nothing of it is dropped");
            BTreeMap::new()
        }
    };
    held.values().filter(|held| held.place == Place::Ours).for_each(|held| _ = files.remove(&Store::mark(&held.id)));
    unhashed.review(services, &mut files);
    let (mut candidates, mut unreadable, mut seen) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for repository in repositories {
        let Some(listed) = list(services, &sharing, repository, memory) else {
            unreadable.insert(repository.as_str());
            continue;
        };
        // Two repositories may list the same.
        for candidate in listed.into_iter().filter(|one| seen.insert(one.id.sha256)) {
            let is_here = |file: Marked| file.bytes == candidate.id.size;
            let mut is_unhashed = || files.remove(&Store::mark(&candidate.id)).is_some_and(is_here);
            let place = match held.remove(&candidate.id.sha256) {
                Some(held) => held.place,
                None if is_unhashed() => Place::Ours,
                None => Place::Missing,
            };
            candidates.push(Candidate { place, ..candidate });
        }
    }
    if unreadable.is_empty() {
        // What nobody lists and no row stands for: it was excluded, say.
        for file in files.values() {
            discard(services, file);
        }
    }
    let ours = held.into_values().filter(|held| held.place == Place::Ours);
    let fate = |held: &Held| if unreadable.contains(&*held.repository) { Fate::Unknown } else { Fate::Fallen };
    Look { candidates, others: ours.map(|held| (held.id.clone(), fate(&held))).collect() }
}

fn remember_rarity(services: &Services, rows: &[Arc<Row>], memory: &mut Memory) {
    let now = SystemTime::now();
    memory.rarity.decay(now);
    for row in rows {
        if let Some(others) = services.discovery.rarity(&row.info_hash()) {
            memory.rarity.note(row.id.file_name.package_name(), others, now);
        }
    }
}

/// By SHA-256: two packages with the same bytes are one.
fn held(services: &Services, rows: &[Arc<Row>]) -> BTreeMap<Sha256, Held> {
    let replicas = services.store.replicas();
    let held = |row: &Arc<Row>| {
        let is_ours = services.store.contains(&row.path) && replicas.contains(Store::mark(&row.id));
        let place = if is_ours { Place::Ours } else { Place::Elsewhere };
        (row.id.sha256, Held { id: row.id.clone(), repository: Arc::clone(&row.repository), place })
    };
    rows.iter().map(held).collect()
}

/// What this repository lists that everybody may have; none where there is no database, or it cannot be read.
fn list(services: &Services, sharing: &Sharing, repository: &str, memory: &Memory) -> Option<Vec<Candidate>> {
    let name: Arc<str> = repository.into();
    let view = services.knowledge.view();
    // `pacman.conf` need not have it: for ever, or while somebody tries something.
    let database = view.databases.database(repository)?;
    let packages = database.packages().map(|package| {
        let (demand, others) = (memory.demand.of(package.name), memory.rarity.of(package.name));
        let (id, repository, built) = (package.id(), Arc::clone(&name), package.built);
        Candidate { id, repository, built, demand, others, place: Place::Missing }
    });
    let may_be_held = |one: &Candidate| {
        sharing.reach(&one.id, repository) == Reach::Public && !services.forgotten.contains(&one.id.sha256)
    };
    let is_readable = !database.is_empty() || is_really_empty(&view, repository);
    is_readable.then(|| packages.filter(may_be_held).collect())
}

/// A database that is missing or damaged seems to be empty.
fn is_really_empty(view: &View, repository: &str) -> bool {
    let states = view.databases.states();
    let is_sound = states.iter().any(|state| &*state.repository == repository && state.fault.is_none());
    is_sound && view.conf.db_path.join("sync").join(format!("{repository}.db")).exists()
}

impl Unhashed {
    /// Drops those files that have waited for too long.
    fn review(&mut self, services: &Services, files: &mut BTreeMap<u64, Marked>) {
        let now = Instant::now();
        self.0.retain(|mark, _| files.contains_key(mark));
        files.retain(|mark, file| {
            let waits = now.duration_since(*self.0.entry(*mark).or_insert(now)) < HASHED_WITHIN;
            if !waits {
                discard(services, file);
            }
            waits
        });
    }
}

/// Its mark goes with the next look.
fn discard(services: &Services, file: &Marked) {
    if !services.is_in_use(&file.path) {
        tracing::debug!(path = %file.path.display(), bytes = file.bytes, "a replicated file is dropped");
        Store::discard(&file.path);
    }
}
