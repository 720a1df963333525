//! The newest database of each repository that we have: what neighbours may get of it, and what theirs are measured against.
//!
//! Two may lie here: the one that pacman has, and the copy that we keep. Files are hashed, and signatures verified, when they
//! change, not when somebody asks.

mod candidate;
mod judgement;

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{DatabaseClaim, MAX_DATABASE_BYTES, club_id};
use tokio_util::sync::CancellationToken;

use crate::fetch::Databases;
use crate::keyring::{Keyring, Signed, VerifyFault};
use crate::knowledge::{Knowledge, View};
use candidate::{Candidate, Identity};
pub(crate) use judgement::{Objection, Reference, Voucher};

/// A signature that the keyring did not vouch for is verified again after this: keys arrive, and machines are busy at boot.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The newest databases that we have.
#[derive(Debug)]
pub(crate) struct Editions {
    knowledge: Arc<Knowledge>,
    databases: Arc<Databases>,
    keyring: Arc<Keyring>,
    /// By repository.
    table: Mutex<BTreeMap<String, Entry>>,
    /// Held by the one who looks at files.
    looking: tokio::sync::Mutex<()>,
}

/// One database file that lies here. It is kept open: whoever replaces it does not disturb those who are reading.
#[derive(Debug)]
pub(crate) struct Edition {
    /// SHA-256 of the file.
    pub(crate) id: Sha256,
    /// Its size in bytes.
    pub(crate) length: u64,
    /// Its detached signature as it lies beside it; empty where there is none that can be its own.
    pub(crate) signature: Vec<u8>,
    /// Whose signature that is; none where it is not known to be good.
    pub(crate) signed: Option<Signed>,
    /// What its mirror said of its age, in seconds since 1970; of pacman's, when the file was modified last.
    pub(crate) dated: u64,
    pub(crate) place: Place,
    path: PathBuf,
    /// When the file was modified last.
    written: SystemTime,
    file: std::fs::File,
}

/// Where an edition lies; the later one is the better of two that are equally new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// `DBPath`.
    Pacman,
    /// `state_dir/databases`.
    Ours,
}

#[derive(Debug, Default)]
struct Entry {
    /// Of `$arch`; none where the configuration has no architecture.
    club: Option<InfoHash>,
    /// What was found at the last look.
    examined: Vec<Examined>,
    newest: Option<Arc<Edition>>,
    /// The one before: somebody may be in the middle of it.
    previous: Option<Arc<Edition>>,
}

#[derive(Debug, Clone)]
struct Examined {
    identity: Identity,
    edition: Arc<Edition>,
    /// When it was looked into.
    at: Instant,
}

impl Editions {
    pub(crate) fn new(knowledge: Arc<Knowledge>, databases: Arc<Databases>, keyring: Arc<Keyring>) -> Self {
        Self { knowledge, databases, keyring, table: Mutex::default(), looking: tokio::sync::Mutex::default() }
    }

    /// Keeps the editions up to date until the daemon stops.
    pub(crate) async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        let (mut sharing, mut copies) = (self.knowledge.watch_sharing(), self.databases.watch());
        loop {
            for repository in self.repositories().await {
                drop(self.look(&repository).await);
            }
            tokio::select! {
                Ok(()) = sharing.changed() => {}
                Ok(()) = copies.changed() => {}
                () = stopping.cancelled() => return,
                else => return,
            }
        }
    }

    /// The newest edition of this repository's database as of now.
    pub(crate) async fn look(&self, repository: &str) -> Option<Arc<Edition>> {
        let _alone = self.looking.lock().await;
        let (knowledge, databases, name) =
            (Arc::clone(&self.knowledge), Arc::clone(&self.databases), repository.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let view = knowledge.view();
            (club(&view, &name), candidate::find(&view, &databases, &name))
        });
        let (club, candidates) = found.await.expect("looking at files does not panic");
        let before = self.lock().get(repository).map(|entry| entry.examined.clone()).unwrap_or_default();
        let mut examined = Vec::new();
        for candidate in candidates {
            let now = Instant::now();
            let known = before.iter().find(|known| known.identity == candidate.identity);
            if let Some(known) = known.filter(|known| known.stands(now)) {
                examined.push(known.clone());
            } else {
                let edition = self.examine(repository, &candidate).await.map(Arc::new);
                let identity = candidate.identity;
                examined.extend(edition.map(|edition| Examined { identity, edition, at: now }));
            }
        }
        let mut table = self.lock();
        let entry = table.entry(repository.to_owned()).or_default();
        let newest = examined.iter().map(|known| &known.edition).max_by_key(|edition| edition.age()).cloned();
        if entry.newest.as_ref().map(|edition| edition.id) != newest.as_ref().map(|edition| edition.id) {
            entry.previous = entry.newest.take();
        }
        (entry.club, entry.examined, entry.newest) = (club, examined, newest.clone());
        newest
    }

    /// The newest edition as of the last look.
    pub(crate) fn last(&self, repository: &str) -> Option<Arc<Edition>> {
        self.lock().get(repository)?.newest.clone()
    }

    /// What a neighbour's is measured against, as of the last look: not the signed one where pacman may already have a later one.
    pub(crate) fn latest(&self, repository: &str) -> Option<Arc<Edition>> {
        let table = self.lock();
        latest(table.get(repository)?.examined.iter().map(|known| &known.edition)).cloned()
    }

    /// What pacman is to stay with where nothing newer can be had, as of the last look: where one of the two is not signed, the
    /// later one by the mirrors' dates.
    pub(crate) fn standing(&self, repository: &str) -> Option<Arc<Edition>> {
        let table = self.lock();
        let entry = table.get(repository)?;
        let editions = || entry.examined.iter().map(|known| &known.edition);
        if editions().all(|edition| edition.signed.is_some()) {
            return entry.newest.clone();
        }
        editions().max_by_key(|edition| (edition.dated, edition.place)).cloned()
    }

    /// What a neighbour is told of a club's repository, if that is shared. Does not block.
    pub(crate) fn claims(&self, club: InfoHash) -> Vec<DatabaseClaim> {
        let sharing = self.knowledge.last_sharing();
        let table = self.lock();
        let entries = table.iter().filter(|(name, entry)| entry.club == Some(club) && sharing.rules().shares(name));
        let editions = entries.filter_map(|(_, entry)| entry.newest.as_ref());
        editions.filter(|edition| edition.length <= MAX_DATABASE_BYTES).map(|edition| edition.claim()).collect()
    }

    /// Bytes of the edition with this SHA-256, if its repository is shared; as many as there are. Blocks.
    pub(crate) fn read(&self, id: &Sha256, range: &Range<u64>) -> std::io::Result<Option<Bytes>> {
        let sharing = self.knowledge.last_sharing();
        let edition = {
            let table = self.lock();
            let shared = table.iter().filter(|(name, _)| sharing.rules().shares(name)).map(|(_, entry)| entry);
            shared.flat_map(Entry::editions).find(|edition| edition.id == *id).cloned()
        };
        edition.map_or(Ok(None), |edition| edition.read(range))
    }

    async fn repositories(&self) -> Vec<String> {
        let knowledge = Arc::clone(&self.knowledge);
        let names = tokio::task::spawn_blocking(move || {
            let view = knowledge.view();
            view.conf.repositories.iter().map(|repository| repository.name.clone()).collect()
        });
        names.await.expect("looking at files does not panic")
    }

    /// Hashes a file, and verifies its signature; none where it has changed meanwhile, or can't be read.
    async fn examine(&self, repository: &str, candidate: &Candidate) -> Option<Edition> {
        let (path, identity) = (candidate.path.clone(), candidate.identity.clone());
        let opened = tokio::task::spawn_blocking(move || candidate::open(&path, &identity)).await;
        let (file, id) = opened.expect("reading a file does not panic").ok()?;
        let signature = &candidate.identity.signature;
        let (signature, signed) = match self.verified(repository, signature, candidate).await {
            Ok(signed) => (signature.clone(), Some(signed)),
            Err(fault) if fault.is_the_senders() => (Vec::new(), None),
            // It may be good, for all we know.
            Err(_) => (signature.clone(), None),
        };
        let still = candidate::stamp(&candidate.path).ok()?;
        (still == candidate.identity.stamp).then(|| Edition {
            id,
            length: still.size,
            signature,
            signed,
            dated: candidate.dated,
            place: candidate.identity.place,
            path: candidate.path.clone(),
            written: candidate.written,
            file,
        })
    }

    async fn verified(&self, repository: &str, signature: &[u8], candidate: &Candidate) -> Result<Signed, VerifyFault> {
        let verified = self.keyring.verify(signature, &candidate.path).await;
        let place = candidate.identity.place;
        match &verified {
            Ok(signed) => {
                tracing::debug!(repo = repository, key = %signed.key, ?place, "a database is signed");
            }
            Err(fault @ VerifyFault::Bad(_)) if !signature.is_empty() => {
                let error = p2p_api::Report(fault).to_string();
                tracing::debug!(repo = repository, error, ?place, "a signature of a database is of no use");
            }
            // There is none, or it has been told.
            Err(_) => {}
        }
        verified
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Examined {
    /// Whether what was found then is still to be believed of the same file.
    fn stands(&self, now: Instant) -> bool {
        let is_open = !self.edition.signature.is_empty() && self.edition.signed.is_none();
        !is_open || now.saturating_duration_since(self.at) < AGAIN_AFTER
    }
}

impl Entry {
    fn editions(&self) -> impl Iterator<Item = &Arc<Edition>> {
        self.newest.iter().chain(&self.previous)
    }
}

impl Edition {
    /// Where the file was when it was looked at.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// These bytes of it, or as many as there are; none where the file has been written to.
    pub(crate) fn read(&self, range: &Range<u64>) -> std::io::Result<Option<Bytes>> {
        let end = range.end.min(self.length);
        if range.start >= end {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(end - range.start).map_err(std::io::Error::other)?];
        self.file.read_exact_at(&mut bytes, range.start)?;
        let metadata = self.file.metadata()?;
        let is_unchanged = (metadata.len(), metadata.modified()?) == (self.length, self.written);
        Ok(is_unchanged.then(|| bytes.into()))
    }

    fn claim(&self) -> DatabaseClaim {
        let signature = if self.signed.is_some() { self.signature.as_slice() } else { &[] };
        DatabaseClaim { id: self.id, length: self.length, signature: Bytes::copy_from_slice(signature) }
    }

    /// What is signed is newer than what is not; then the later date, as far as it can be known.
    fn age(&self) -> (Option<u64>, u64, Place) {
        (self.signed.as_ref().map(|signed| signed.at), self.dated, self.place)
    }
}

/// The newest one, unless another is not signed and dated later than that one's signature: nobody knows which of the two is newer,
/// and what lies between them must not take the place of the later one.
fn latest<'a>(editions: impl Iterator<Item = &'a Arc<Edition>> + Clone) -> Option<&'a Arc<Edition>> {
    let newest = editions.clone().max_by_key(|edition| edition.age())?;
    let Some(signed) = &newest.signed else { return Some(newest) };
    let others = editions.filter(|other| other.signed.is_none() && other.id != newest.id && other.dated > signed.at);
    Some(others.max_by_key(|other| other.dated).unwrap_or(newest))
}

fn club(view: &View, repository: &str) -> Option<InfoHash> {
    Some(club_id(repository, view.conf.architectures.first()?))
}

#[cfg(test)]
mod tests;
