//! What each publisher said last, and whether something that is heard now takes its place. Pure: time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use p2p_package::{InfoHash, Sha256};
use p2p_wire::{MAX_NEWEST, Pointer, PointerFault, PublishedFile, PublisherKey, Statement};

use super::indexes::IndexFile;
use super::saved::Saved;

/// A publisher's clock may be wrong by so much, in seconds. What lies further ahead would lock it out for as long.
const MAX_AHEAD: i64 = 24 * 60 * 60;
/// Repositories and keys that are published through one daemon.
const MAX_OWN: usize = 16;

/// A publisher of one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    /// The repository's club.
    pub(crate) club: InfoHash,
    pub(crate) key: PublisherKey,
}

/// The database that a configured publisher says is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// Of the file as pacman downloads it.
    pub(crate) sha256: Sha256,
    /// In bytes.
    pub(crate) length: u64,
    /// When it was published, in seconds since 1970.
    pub(crate) published: i64,
}

/// Why a pointer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("nobody has configured this publisher for this repository")]
    Stranger,
    #[error("it is not newer than what this publisher has said before")]
    Old,
    #[error("it is more than a day in the future; is the publisher's clock right?")]
    Future,
    #[error("the pointer is not valid")]
    Pointer(#[source] PointerFault),
    #[error("too many repositories are published through this daemon")]
    Full,
    #[error("the index cannot be read")]
    Index,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    /// Those that we are in: nothing is said of others.
    clubs: BTreeSet<InfoHash>,
    entries: BTreeMap<Subject, Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) repository: String,
    /// The configuration names it.
    pub(super) is_followed: bool,
    /// It was published through this daemon: both files are here.
    pub(super) is_own: bool,
    /// With the highest sequence number ever.
    pub(super) said: Option<(Pointer, Statement)>,
    /// The last index that was whole: it may be one before that which `said` names.
    pub(super) index: Option<Arc<IndexFile>>,
    /// The index that is named is no index.
    unfit: Option<Sha256>,
}

impl Entry {
    fn new(repository: &str) -> Self {
        let repository = repository.to_owned();
        Self { repository, is_followed: false, is_own: false, said: None, index: None, unfit: None }
    }

    /// The index that is to be got.
    fn missing(&self) -> Option<PublishedFile> {
        let (_, said) = self.said.as_ref()?;
        let is_here = self.index.as_ref().is_some_and(|index| *index.sha256() == said.index.sha256);
        (!is_here && self.unfit != Some(said.index.sha256)).then_some(said.index)
    }
}

impl Book {
    /// What an earlier run has written down, verified again.
    pub(super) fn restored(saved: Vec<Saved>, open: impl Fn(&Sha256) -> Option<IndexFile>) -> Self {
        let mut book = Self::default();
        for Saved { repository, club, pointer, own, index } in saved {
            let Ok(said) = pointer.verify(&club) else { continue };
            let subject = Subject { club, key: PublisherKey::from_bytes(pointer.key) };
            let index = index.and_then(|sha256| open(&sha256)).map(Arc::new);
            let entry = Entry { is_own: own, said: Some((pointer, said)), index, ..Entry::new(&repository) };
            book.entries.insert(subject, entry);
        }
        book
    }

    pub(super) fn to_save(&self) -> Vec<Saved> {
        let saved = self.entries.iter().filter_map(|(subject, entry)| {
            let (pointer, _) = entry.said.clone()?;
            let index = entry.index.as_ref().map(|index| *index.sha256());
            let (repository, own) = (entry.repository.clone(), entry.is_own);
            Some(Saved { repository, club: subject.club, pointer, own, index })
        });
        saved.collect()
    }

    /// These are followed, and no others, in the clubs that we are in. Whether that is new.
    pub(super) fn follow(&mut self, wanted: BTreeMap<Subject, String>, clubs: BTreeSet<InfoHash>) -> bool {
        self.clubs = clubs;
        let before: Vec<Subject> = self.followed().collect();
        for entry in self.entries.values_mut() {
            entry.is_followed = false;
        }
        for (subject, repository) in wanted {
            self.entries.entry(subject).or_insert_with(|| Entry::new(&repository)).is_followed = true;
        }
        self.entries.retain(|_, entry| entry.is_followed || entry.is_own);
        !self.followed().eq(before)
    }

    pub(super) fn followed(&self) -> impl Iterator<Item = Subject> {
        self.entries.iter().filter(|(_, entry)| entry.is_followed).map(|(subject, _)| *subject)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Subject, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn get(&self, subject: &Subject) -> Option<&Entry> {
        self.entries.get(subject)
    }

    /// Somebody says that a publisher said so. Whether it is news.
    pub(super) fn hear(&mut self, club: &InfoHash, pointer: &Pointer, now: i64) -> Result<bool, Refusal> {
        let subject = Subject { club: *club, key: PublisherKey::from_bytes(pointer.key) };
        let entry = self.entries.get_mut(&subject).filter(|entry| entry.is_followed).ok_or(Refusal::Stranger)?;
        if entry.said.as_ref().is_some_and(|(last, _)| last == pointer) {
            return Ok(false);
        }
        check_time(entry.said.as_ref(), pointer.seq, now)?;
        let said = pointer.verify(club).map_err(Refusal::Pointer)?;
        entry.said = Some((pointer.clone(), said));
        // Its files are not ours any more.
        entry.is_own = false;
        Ok(true)
    }

    pub(super) fn may_publish(&self, subject: &Subject, seq: i64, now: i64) -> Result<(), Refusal> {
        let entry = self.entries.get(subject);
        check_time(entry.and_then(|entry| entry.said.as_ref()), seq, now)?;
        let own = self.entries.iter().filter(|(other, entry)| entry.is_own && *other != subject).count();
        if own < MAX_OWN { Ok(()) } else { Err(Refusal::Full) }
    }

    pub(super) fn publish(
        &mut self,
        subject: Subject,
        repository: &str,
        said: (Pointer, Statement),
        index: IndexFile,
        now: i64,
    ) -> Result<(), Refusal> {
        self.may_publish(&subject, said.0.seq, now)?;
        let entry = self.entries.entry(subject).or_insert_with(|| Entry::new(repository));
        (entry.said, entry.index, entry.is_own) = (Some(said), Some(Arc::new(index)), true);
        Ok(())
    }

    /// The index `sha256` of this subject is here, or is none. Whether it is used.
    pub(super) fn adopt_index(&mut self, subject: &Subject, sha256: Sha256, index: Option<IndexFile>) -> bool {
        let Some(entry) = self.entries.get_mut(subject) else { return false };
        let index = index.filter(|index| index.is_of(&subject.club));
        if entry.missing().is_none_or(|missing| missing.sha256 != sha256) {
            return false;
        }
        entry.unfit = index.is_none().then_some(sha256);
        let is_fit = index.is_some();
        entry.index = index.map(Arc::new).or(entry.index.take());
        is_fit
    }

    /// The indexes that are to be got.
    pub(super) fn missing(&self) -> Vec<(Subject, PublishedFile)> {
        let followed = self.entries.iter().filter(|(_, entry)| entry.is_followed);
        followed.filter_map(|(subject, entry)| Some((*subject, entry.missing()?))).collect()
    }

    /// The club of a repository of which a publisher is followed.
    pub(super) fn club(&self, repository: &str) -> Option<InfoHash> {
        let followed = self.entries.iter().find(|(_, entry)| entry.is_followed && entry.repository == repository);
        followed.map(|(subject, _)| subject.club)
    }

    /// By the newest pointer of all keys that are configured for it.
    pub(super) fn vouched(&self, repository: &str) -> Option<Vouched> {
        let followed = self.entries.values().filter(|entry| entry.is_followed && entry.repository == repository);
        let (pointer, said) =
            followed.filter_map(|entry| entry.said.as_ref()).max_by_key(|(pointer, _)| pointer.seq)?;
        let PublishedFile { sha256, length } = said.database;
        Some(Vouched { sha256, length, published: pointer.seq })
    }

    /// The newest first.
    pub(super) fn pointers(&self, club: &InfoHash) -> Vec<Pointer> {
        let of_club = self.entries.iter().filter(|(subject, _)| subject.club == *club && self.clubs.contains(club));
        let mut pointers: Vec<Pointer> =
            of_club.filter_map(|(_, entry)| entry.said.as_ref()).map(|(pointer, _)| pointer.clone()).collect();
        pointers.sort_by_key(|pointer| std::cmp::Reverse(pointer.seq));
        pointers.truncate(MAX_NEWEST);
        pointers
    }

    pub(super) fn own_databases(&self, club: &InfoHash) -> Vec<PublishedFile> {
        let is_told = self.clubs.contains(club);
        let own = self.entries.iter().filter(|(subject, entry)| is_told && subject.club == *club && entry.is_own);
        own.filter_map(|(_, entry)| entry.said.as_ref()).map(|(_, said)| said.database).take(MAX_NEWEST).collect()
    }

    /// The newest pointer's first: it is the most likely to have the package.
    pub(super) fn indexes(&self) -> Vec<Arc<IndexFile>> {
        let used = self.entries.values().filter(|entry| entry.is_followed || entry.is_own);
        used.filter_map(|entry| entry.index.clone()).collect()
    }

    /// All files that are to be kept.
    pub(super) fn files(&self) -> BTreeSet<Sha256> {
        let mut files = BTreeSet::new();
        for entry in self.entries.values() {
            files.extend(entry.index.as_ref().map(|index| *index.sha256()));
            files.extend(entry.said.as_ref().filter(|_| entry.is_own).map(|(_, said)| said.database.sha256));
        }
        files
    }
}

/// No rollback, over restarts too; and nobody is locked out for years by one wrong clock.
fn check_time(last: Option<&(Pointer, Statement)>, seq: i64, now: i64) -> Result<(), Refusal> {
    if last.is_some_and(|(last, _)| last.seq >= seq) {
        return Err(Refusal::Old);
    }
    if seq > now.saturating_add(MAX_AHEAD) { Err(Refusal::Future) } else { Ok(()) }
}
