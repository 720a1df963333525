//! What each publisher said last, and whether something that is heard now takes its place. Pure: time comes in.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use p2p_package::{InfoHash, Sha256};
use p2p_wire::{MAX_NEWEST, Pointer, PointerFault, PublishedFile, PublisherKey, Statement};

use super::indexes::IndexFile;
use super::saved::{Saved, State};

/// A publisher's clock may be wrong by so much, in seconds. What lies further ahead would lock it out for as long.
const MAX_AHEAD: i64 = 24 * 60 * 60;
/// Repositories and keys that are published through one daemon. Of more, the key of the same repository that has rested longest goes.
pub(super) const MAX_OWN: usize = 64;
/// Publishers whose highest sequence number is remembered: all that are configured or publish here, and many that were.
pub(super) const MAX_HIGHEST: usize = 256;

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
    /// The highest sequence number ever: it outlives the entry, so that nothing old is new when a publisher is configured again.
    highest: BTreeMap<Subject, i64>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) repository: String,
    /// The configuration names it.
    pub(super) is_followed: bool,
    /// It was published through this daemon: both files are here.
    pub(super) is_own: bool,
    /// With the highest sequence number since it is configured.
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

    /// Those that are here.
    fn files(&self) -> impl Iterator<Item = Sha256> + use<> {
        let index = self.index.as_ref().map(|index| *index.sha256());
        let database = self.said.as_ref().filter(|_| self.is_own).map(|(_, said)| said.database.sha256);
        index.into_iter().chain(database)
    }

    /// The index that is to be got.
    pub(super) fn missing(&self) -> Option<PublishedFile> {
        let (_, said) = self.said.as_ref()?;
        let is_here = self.index.as_ref().is_some_and(|index| *index.sha256() == said.index.sha256);
        (!is_here && self.unfit != Some(said.index.sha256)).then_some(said.index)
    }
}

impl Book {
    /// What an earlier run has written down, verified again.
    pub(super) fn restored(saved: State, open: impl Fn(&Sha256) -> Option<IndexFile>) -> Self {
        let mut book = Self { highest: saved.highest.into_iter().collect(), ..Self::default() };
        for Saved { repository, club, pointer, own, index } in saved.pointers {
            let Ok(said) = pointer.verify(&club) else { continue };
            let subject = Subject { club, key: PublisherKey::from_bytes(pointer.key) };
            let index = index.and_then(|sha256| open(&sha256)).map(Arc::new);
            let seq = pointer.seq;
            let entry = Entry { is_own: own, said: Some((pointer, said)), index, ..Entry::new(&repository) };
            book.entries.insert(subject, entry);
            book.remember(subject, seq);
        }
        book
    }

    pub(super) fn to_save(&self) -> State {
        let pointers = self.entries.iter().filter_map(|(subject, entry)| {
            let (pointer, _) = entry.said.clone()?;
            let index = entry.index.as_ref().map(|index| *index.sha256());
            let (repository, own) = (entry.repository.clone(), entry.is_own);
            Some(Saved { repository, club: subject.club, pointer, own, index })
        });
        State {
            pointers: pointers.collect(),
            highest: self.highest.iter().map(|(subject, seq)| (*subject, *seq)).collect(),
        }
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
        check_time(entry.said.as_ref(), self.highest.get(&subject), pointer.seq, now)?;
        let said = pointer.verify(club).map_err(Refusal::Pointer)?;
        entry.said = Some((pointer.clone(), said));
        // Its files are not ours any more.
        entry.is_own = false;
        self.remember(subject, pointer.seq);
        Ok(true)
    }

    pub(super) fn may_publish(&self, subject: &Subject, seq: i64, now: i64) -> Result<(), Refusal> {
        let entry = self.entries.get(subject);
        check_time(entry.and_then(|entry| entry.said.as_ref()), self.highest.get(subject), seq, now)?;
        self.room(subject).map(|_| ())
    }

    /// Who has to give way to a publication here, if anybody has: the other key with which this repository was published here,
    /// and has not been for longest.
    fn room(&self, subject: &Subject) -> Result<Option<Subject>, Refusal> {
        let others = || self.entries.iter().filter(|(other, entry)| entry.is_own && *other != subject);
        if others().count() < MAX_OWN {
            return Ok(None);
        }
        let alike = others().filter(|(other, _)| other.club == subject.club);
        let resting = alike.min_by_key(|(_, entry)| entry.said.as_ref().map(|(pointer, _)| pointer.seq));
        resting.map(|(other, _)| Some(*other)).ok_or(Refusal::Full)
    }

    pub(super) fn publish(
        &mut self,
        subject: Subject,
        repository: &str,
        said: (Pointer, Statement),
        index: IndexFile,
        now: i64,
    ) -> Result<(), Refusal> {
        let seq = said.0.seq;
        self.may_publish(&subject, seq, now)?;
        if let Some(entry) = self.room(&subject)?.and_then(|resting| self.entries.get_mut(&resting)) {
            entry.is_own = false;
            self.entries.retain(|_, entry| entry.is_followed || entry.is_own);
        }
        let entry = self.entries.entry(subject).or_insert_with(|| Entry::new(repository));
        (entry.said, entry.index, entry.is_own) = (Some(said), Some(Arc::new(index)), true);
        self.remember(subject, seq);
        Ok(())
    }

    /// Of publishers that are neither configured nor publish here, the oldest number is forgotten first.
    fn remember(&mut self, subject: Subject, seq: i64) {
        let highest = self.highest.entry(subject).or_insert(seq);
        *highest = seq.max(*highest);
        while self.highest.len() > MAX_HIGHEST {
            let idle = self.highest.iter().filter(|(subject, _)| !self.entries.contains_key(subject));
            let Some((oldest, _)) = idle.min_by_key(|(_, seq)| **seq) else { return };
            let oldest = *oldest;
            self.highest.remove(&oldest);
        }
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

    /// Of those whom we follow first, and then the newest first.
    pub(super) fn pointers(&self, club: &InfoHash) -> Vec<Pointer> {
        let of_club = self.entries.iter().filter(|(subject, _)| subject.club == *club && self.clubs.contains(club));
        let said = of_club.filter_map(|(_, entry)| Some((entry.is_followed, &entry.said.as_ref()?.0)));
        let mut pointers: Vec<(bool, &Pointer)> = said.collect();
        pointers.sort_by_key(|(is_followed, pointer)| Reverse((*is_followed, pointer.seq)));
        pointers.into_iter().take(MAX_NEWEST).map(|(_, pointer)| pointer.clone()).collect()
    }

    /// The newest first.
    pub(super) fn own_databases(&self, club: &InfoHash) -> Vec<PublishedFile> {
        let is_told = self.clubs.contains(club);
        let own = self.entries.iter().filter(|(subject, entry)| is_told && subject.club == *club && entry.is_own);
        let mut said: Vec<&(Pointer, Statement)> = own.filter_map(|(_, entry)| entry.said.as_ref()).collect();
        said.sort_by_key(|(pointer, _)| Reverse(pointer.seq));
        said.into_iter().take(MAX_NEWEST).map(|(_, said)| said.database).collect()
    }

    /// The newest pointer's first: it is the most likely to have the package.
    pub(super) fn indexes(&self) -> Vec<Arc<IndexFile>> {
        let used = self.entries.values().filter(|entry| entry.is_followed || entry.is_own);
        let mut used: Vec<&Entry> = used.collect();
        used.sort_by_key(|entry| Reverse(entry.said.as_ref().map(|(pointer, _)| pointer.seq)));
        used.into_iter().filter_map(|entry| entry.index.clone()).collect()
    }

    /// All files that are to be kept.
    pub(super) fn files(&self) -> BTreeSet<Sha256> {
        self.entries.values().flat_map(Entry::files).collect()
    }

    /// Whether neighbours may have this file: one of a club that we are in.
    pub(super) fn gives(&self, sha256: &Sha256) -> bool {
        let given = self.entries.iter().filter(|(subject, _)| self.clubs.contains(&subject.club));
        given.flat_map(|(_, entry)| entry.files()).any(|file| file == *sha256)
    }
}

/// No rollback, over restarts too; and nobody is locked out for years by one wrong clock.
/// Where the pointer with the `highest` number has been forgotten, it may come again.
fn check_time(last: Option<&(Pointer, Statement)>, highest: Option<&i64>, seq: i64, now: i64) -> Result<(), Refusal> {
    if last.is_some_and(|(last, _)| last.seq >= seq) || highest.is_some_and(|highest| *highest > seq) {
        return Err(Refusal::Old);
    }
    if seq > now.saturating_add(MAX_AHEAD) { Err(Refusal::Future) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_publishers_than_are_remembered_the_oldest_that_is_not_configured_is_forgotten() {
        let subject = |number: u8| Subject {
            club: p2p_wire::club_id(&number.to_string(), "x86_64"),
            key: PublisherKey::from_bytes([number; 32]),
        };
        let mut book = Book::default();
        book.follow([(subject(0), "core".to_owned())].into(), BTreeSet::new());
        for number in 0..=u8::MAX {
            book.remember(subject(number), i64::from(number));
            book.remember(subject(number), 0);
        }
        let other = Subject { club: subject(1).club, ..subject(0) };
        book.remember(other, 1000);
        let of = |subject: &Subject| book.highest.get(subject).copied();
        assert_eq!(book.highest.len(), MAX_HIGHEST);
        assert_eq!([0, 1, 2].map(|number| of(&subject(number))), [Some(0), None, Some(2)]);
        assert_eq!(of(&other), Some(1000));
    }
}
