//! What publishers say of our repositories: whom we believe, what they said last, and the files that they named.
//!
//! A publisher's pointer names the newest database of a repository, and an index of its packages. Those of configured keys are
//! followed, and passed on; what is published through this daemon is told, too. Strangers' are neither kept nor passed on.

mod asking;
mod book;
mod draft;
mod follow;
mod indexes;
mod rounds;
mod saved;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use fs_err as fs;
use p2p_api::Published;
use p2p_package::{Info, InfoHash, PackageId, Sha256};
use p2p_wire::{DatabaseClaim, Pointer, PublishedFile, Statement, club_id};
use tokio::sync::watch;

use crate::config::Publisher;
use crate::knowledge::Knowledge;
use book::{Book, Entry};
pub(crate) use book::{Refusal, Subject, Vouched};
pub(crate) use draft::{Draft, DraftFault};
pub(crate) use follow::{ask_about, in_dht, uses_dht, with_neighbours};
use indexes::IndexFile;

/// What says which pointers we know.
const STATE: &str = "pointers.json";

/// The directory `publications` below the state directory, and what we know.
#[derive(Debug)]
pub(crate) struct Publications {
    directory: PathBuf,
    book: Mutex<Book>,
    /// Held while the state is written.
    writing: Mutex<()>,
    /// Held from when a file gets its name until the book knows it: meanwhile nothing is removed.
    placing: tokio::sync::Mutex<()>,
    /// Held while somebody publishes.
    publishing: tokio::sync::Mutex<()>,
    /// Counts what those who follow have to look at.
    changed: watch::Sender<u64>,
}

/// Why a publication is not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishFault {
    #[error("it is refused")]
    Refused(#[source] Refusal),
    #[error("a file is not taken")]
    File(#[source] DraftFault),
}

impl Publications {
    /// Takes up what an earlier run has heard, and removes what else lies in `directory`. Without it, publishers are heard
    /// again. Blocks.
    pub(crate) fn open(directory: PathBuf) -> Self {
        let book = Book::restored(saved::load(&directory.join(STATE)), |sha256| IndexFile::open(&directory, sha256));
        let publications = Self {
            directory,
            book: Mutex::new(book),
            writing: Mutex::default(),
            placing: tokio::sync::Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
        };
        publications.remove_others(true);
        publications
    }

    /// Follows these publishers from now on, as far as their repositories are shared: others are nobody's business. Reads
    /// pacman's configuration where it has changed: blocks.
    pub(crate) fn follow(&self, publishers: &[Publisher], knowledge: &Knowledge) {
        knowledge.view();
        let clubs = crate::clubs::names(knowledge);
        let wanted = publishers.iter().filter_map(|publisher| {
            let (club, _) = clubs.iter().find(|(_, repository)| **repository == publisher.repository)?;
            Some((Subject { club: *club, key: publisher.key }, publisher.repository.clone()))
        });
        let wanted = wanted.collect();
        if self.lock().follow(wanted, clubs.into_keys().collect()) {
            self.nudge();
        }
    }

    /// The settings, or the databases, may have changed.
    pub(crate) fn nudge(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The database that a configured publisher of this repository named last, if one did.
    pub(crate) fn vouched(&self, repository: &str) -> Option<Vouched> {
        self.lock().vouched(repository)
    }

    /// The `info` of this very package by an index. A hypothesis like any other. Blocks.
    pub(crate) fn info(&self, id: &PackageId) -> Option<Info> {
        // The lock is not held while the disk is read.
        let indexes = self.lock().indexes();
        indexes.into_iter().find_map(|index| index.info(id))
    }

    /// Whether an index has the `info` of a package with this SHA-256.
    pub(crate) fn has_info(&self, sha256: &Sha256) -> bool {
        self.lock().indexes().iter().any(|index| index.has(sha256))
    }

    /// What we tell a neighbour of a club that we are in.
    pub(crate) fn pointers(&self, club: &InfoHash) -> Vec<Pointer> {
        self.lock().pointers(club)
    }

    /// The databases that were published through this daemon.
    pub(crate) fn databases(&self, club: &InfoHash) -> Vec<DatabaseClaim> {
        let claim =
            |file: PublishedFile| DatabaseClaim { id: file.sha256, length: file.length, signature: Bytes::new() };
        self.lock().own_databases(club).into_iter().map(claim).collect()
    }

    /// These bytes of an index that we have, or of a database that was published here, of a club that we are in; as many of them
    /// as there are. Blocks.
    pub(crate) fn read(&self, sha256: &Sha256, range: Range<u64>) -> io::Result<Option<Bytes>> {
        if !self.lock().gives(sha256) {
            return Ok(None);
        }
        indexes::read_part(&self.path(sha256), range)
    }

    /// What is told to people.
    pub(crate) fn list(&self) -> Vec<Published> {
        self.lock().entries().map(|(subject, entry)| described(subject, entry)).collect()
    }

    /// A neighbour, or the DHT, says so. Whether it is news; then it is written down, which blocks.
    pub(crate) fn hear(&self, club: &InfoHash, pointer: &Pointer) -> Result<bool, Refusal> {
        let is_news = self.lock().hear(club, pointer, seconds(SystemTime::now()))?;
        if is_news {
            tracing::info!(%club, seq = pointer.seq, "a publisher has published");
            self.save();
            self.nudge();
        }
        Ok(is_news)
    }

    /// Somebody of this machine has published; all bytes of both files have come in. Whoever goes away meanwhile stops nothing:
    /// files that have got their names are taken in, or removed.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        subject: Subject,
        repository: String,
        pointer: Pointer,
        drafts: [Draft; 2],
    ) -> Result<(), PublishFault> {
        let said = pointer.verify(&subject.club).map_err(|fault| PublishFault::Refused(Refusal::Pointer(fault)))?;
        let this = Arc::clone(self);
        let placed = tokio::spawn(async move {
            let _alone = this.placing.lock().await;
            let finished = finish(drafts).await;
            let book = Arc::clone(&this);
            let taken = tokio::task::spawn_blocking(move || {
                let taken = finished.and_then(|()| {
                    book.take_publication(subject, &repository, (pointer, said)).map_err(PublishFault::Refused)
                });
                if taken.is_ok() {
                    book.settle();
                } else {
                    book.remove_others(false);
                }
                taken
            });
            taken.await.expect("reading an index does not panic")
        });
        placed.await.expect("taking in a publication does not panic")
    }

    /// Both files are there. Blocks.
    fn take_publication(
        &self,
        subject: Subject,
        repository: &str,
        (pointer, said): (Pointer, Statement),
    ) -> Result<(), Refusal> {
        let index = IndexFile::open(&self.directory, &said.index.sha256).filter(|index| index.is_of(&subject.club));
        let index = index.ok_or(Refusal::Index)?;
        self.lock().publish(subject, repository, (pointer, said), index, seconds(SystemTime::now()))
    }

    /// Somebody's turn to publish, until it is dropped; none while somebody else does.
    pub(crate) fn begin(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.publishing.try_lock().ok()
    }

    /// What could be published now, before its files are taken in.
    pub(crate) fn may_publish(&self, subject: &Subject, seq: i64) -> Result<(), Refusal> {
        self.lock().may_publish(subject, seq, seconds(SystemTime::now()))
    }

    /// A place for a file whose bytes are still to come.
    pub(crate) async fn draft(&self, file: PublishedFile) -> io::Result<Draft> {
        Draft::new(&self.directory, file).await
    }

    /// The index of this subject has come in, as it was named. Whether it is used: one that means nothing is not asked for again.
    async fn adopt_index(self: &Arc<Self>, subject: Subject, draft: Draft) -> Result<bool, DraftFault> {
        let this = Arc::clone(self);
        let placed = tokio::spawn(async move {
            let _alone = this.placing.lock().await;
            let sha256 = draft.finish().await?;
            let book = Arc::clone(&this);
            let adopted = tokio::task::spawn_blocking(move || {
                let index = IndexFile::open(&book.directory, &sha256);
                let is_fit = book.lock().adopt_index(&subject, sha256, index);
                book.settle();
                is_fit
            });
            Ok(adopted.await.expect("reading an index does not panic"))
        });
        placed.await.expect("taking in an index does not panic")
    }

    /// After a change: writes it down, removes what is of no more use, and has those who follow look.
    fn settle(&self) {
        self.save();
        self.remove_others(false);
        self.nudge();
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        file_of(&self.directory, sha256)
    }

    fn save(&self) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.lock().to_save();
        if let Err(error) = saved::save(&self.directory.join(STATE), &state) {
            tracing::warn!(%error, "what publishers said cannot be saved");
        }
    }

    /// Files that no pointer names any more. Who is being given one
    /// loses it, and asks for the newer one. `drafts`: those of an earlier run, too.
    fn remove_others(&self, drafts: bool) {
        let kept = self.lock().files();
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let file: Option<Sha256> = name.to_str().and_then(|name| name.parse().ok());
            let is_draft = name.as_encoded_bytes().starts_with(b"draft-");
            if is_draft && drafts || file.is_some_and(|file| !kept.contains(&file)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn finish(drafts: [Draft; 2]) -> Result<(), PublishFault> {
    for draft in drafts {
        draft.finish().await.map_err(PublishFault::File)?;
    }
    Ok(())
}

/// The club of a repository that we share, by its name and architecture.
pub(crate) async fn club_of(knowledge: &Arc<Knowledge>, repository: &str, architecture: &str) -> Option<InfoHash> {
    // The repository may have been added to pacman's configuration a moment ago.
    knowledge.recent_sharing().await;
    let clubs: BTreeMap<InfoHash, String> = crate::clubs::names(knowledge);
    Some(club_id(repository, architecture)).filter(|club| clubs.contains_key(club))
}

fn described(subject: &Subject, entry: &Entry) -> Published {
    Published {
        repository: entry.repository.clone(),
        key: subject.key.to_string(),
        followed: entry.is_followed,
        own: entry.is_own,
        published: entry.said.as_ref().map(|(pointer, _)| pointer.seq),
        database: entry.said.as_ref().map(|(_, said)| said.database.sha256.to_string()),
        packages: entry.index.as_ref().map(|index| index.packages() as u64),
    }
}

fn file_of(directory: &Path, sha256: &Sha256) -> PathBuf {
    directory.join(sha256.to_string())
}

fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
