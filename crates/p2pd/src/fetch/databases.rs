//! The last good copy of each database, so that an unchanged one costs no body; and which of them are not signed.
//!
//! A copy's file never changes: another one gets another number. So a client that was told of it can go on copying.

mod copy;
mod laggards;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use copy::{Copy, Origin, Source, credible};
pub(crate) use laggards::Lag;
use laggards::Laggards;

/// Databases that are kept.
const MAX_COPIES: usize = 64;
/// What they may have together, in bytes: the `.files` of Arch's repositories have 60 MB.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// What says which file is which.
const INDEX: &str = "index.json";
/// How long a client may take to copy a file that is no longer kept.
const LIFE: Duration = Duration::from_mins(2);
/// How long a database is remembered to have no signature, unless it changes.
const UNSIGNED_LIFE: Duration = Duration::from_mins(10);
/// How long after its database a signature may be asked for that has to be of the very same one.
const PAIR_LIFE: Duration = Duration::from_mins(1);
/// A signature that is asked for beside its database is asked for up to this long before it.
const BESIDE: Duration = Duration::from_millis(5);

/// The directory `databases` below the state directory.
#[derive(Debug)]
pub(crate) struct Databases {
    directory: PathBuf,
    shelf: Mutex<Shelf>,
    /// Held while the index is written.
    writing: Mutex<()>,
    /// Told when another copy, or a signature, is kept.
    changed: watch::Sender<()>,
    /// Neighbours that were slow with a database.
    laggards: Mutex<Laggards>,
}

#[derive(Debug)]
struct Shelf {
    /// By repository and file name: `core/core.db`.
    kept: BTreeMap<String, Kept>,
    /// When the signature of a database was asked for that no mirror had.
    unsigned: BTreeMap<String, Instant>,
    /// When a database was handed over that no mirror had a say in.
    without_mirrors: BTreeMap<String, Instant>,
    /// Files that are of no more use, and how long clients have to copy them.
    retired: Vec<(PathBuf, Instant)>,
    next: u64,
}

#[derive(Debug)]
struct Kept {
    copy: Copy,
    /// When it was asked for; of an earlier run's, when this one began.
    asked: Instant,
    /// When a mirror last said, in this run, that it has no newer one.
    confirmed: Option<Instant>,
}

/// The content of [`INDEX`].
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    databases: BTreeMap<String, Copy>,
}

impl Databases {
    /// Takes up what an earlier run kept in `directory`, and removes what else is there. Without its index nothing is lost
    /// but time.
    pub(crate) fn open(directory: PathBuf, now: Instant) -> Self {
        let mut index = read_index(&directory.join(INDEX));
        index.databases.retain(|_, copy| copy.number < u64::MAX / 2 && is_whole(&directory, copy));
        while index.databases.len() > MAX_COPIES {
            index.databases.pop_last();
        }
        remove_others(&directory, &index.databases.values().map(|copy| copy.number).collect());
        let next = index.databases.values().map(|copy| copy.number).max().map_or(0, |last| last.saturating_add(1));
        let kept =
            index.databases.into_iter().map(|(key, copy)| (key, Kept { copy, asked: now, confirmed: None })).collect();
        let (unsigned, without_mirrors) = (BTreeMap::new(), BTreeMap::new());
        let shelf = Shelf { kept, unsigned, without_mirrors, retired: Vec::new(), next };
        let (writing, changed, laggards) = (Mutex::default(), watch::Sender::new(()), Mutex::default());
        Self { directory, shelf: Mutex::new(shelf), writing, changed, laggards }
    }

    /// The copy of `key`, where its file is still there.
    pub(crate) fn get(&self, key: &str) -> Option<Copy> {
        let copy = self.lock().kept.get(key).map(|kept| kept.copy.clone())?;
        is_whole(&self.directory, &copy).then_some(copy)
    }

    /// Where a copy lies.
    pub(crate) fn path(&self, copy: &Copy) -> PathBuf {
        path(&self.directory, copy.number)
    }

    /// The number and the path of a file that does not exist yet.
    pub(crate) fn new_file(&self) -> (u64, PathBuf) {
        let mut shelf = self.lock();
        let number = shelf.next;
        shelf.next += 1;
        (number, path(&self.directory, number))
    }

    /// Keeps a copy that was asked for at `asked` from now on, in place of the one before. [`Self::save`] writes it down.
    pub(crate) fn keep(&self, key: &str, copy: Copy, asked: Instant, now: Instant) {
        let mut shelf = self.lock();
        let before = shelf.kept.insert(key.to_owned(), Kept { copy, asked, confirmed: None });
        shelf.retired.extend(before.map(|before| (path(&self.directory, before.copy.number), now + LIFE)));
        while let Some(oldest) = shelf.surplus(key) {
            if let Some(old) = shelf.kept.remove(&oldest) {
                shelf.retired.push((path(&self.directory, old.copy.number), now + LIFE));
            }
        }
        drop(shelf);
        self.changed.send_replace(());
    }

    /// Keeps a signature with the copy of `key` that there is now; whether that is news. [`Self::save`] writes it down.
    pub(crate) fn sign(&self, key: &str, signature: &[u8]) -> bool {
        let mut shelf = self.lock();
        let Some(kept) = shelf.kept.get_mut(key) else { return false };
        let signed = kept.copy.clone().signed(signature);
        let is_news = signed != kept.copy;
        kept.copy = signed;
        drop(shelf);
        if is_news {
            self.changed.send_replace(());
        }
        is_news
    }

    /// Changes with every copy, and every signature, that is kept anew.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A mirror has brought the database `key`, or says that the copy is its newest.
    pub(crate) fn note_mirror(&self, key: &str, now: Instant) {
        let mut shelf = self.lock();
        shelf.without_mirrors.remove(key);
        if let Some(kept) = shelf.kept.get_mut(key) {
            kept.confirmed = Some(now);
        }
    }

    /// When a mirror last said, in this run, that the copy of `key` is its newest.
    pub(crate) fn confirmed(&self, key: &str) -> Option<Instant> {
        self.lock().kept.get(key)?.confirmed
    }

    /// The copy of `key` is handed over, and no mirror has had a say in it.
    pub(crate) fn note_without_mirrors(&self, key: &str, now: Instant) {
        let mut shelf = self.lock();
        if shelf.without_mirrors.len() < MAX_COPIES || shelf.without_mirrors.contains_key(key) {
            shelf.without_mirrors.insert(key.to_owned(), now);
        }
    }

    /// Whether that was a moment ago: then its signature must come from the copy, too.
    pub(crate) fn is_without_mirrors(&self, key: &str, now: Instant) -> bool {
        let mut shelf = self.lock();
        shelf.without_mirrors.retain(|_, at| now.duration_since(*at) < PAIR_LIFE);
        shelf.without_mirrors.contains_key(key)
    }

    /// Keeps the copy with this number no longer, where it is not another one's turn already.
    pub(crate) fn forget(&self, key: &str, number: u64, now: Instant) {
        let mut shelf = self.lock();
        if shelf.kept.get(key).is_some_and(|kept| kept.copy.number == number) {
            shelf.kept.remove(key);
            shelf.retired.push((path(&self.directory, number), now + LIFE));
        }
    }

    /// A file of [`Self::new_file`] that will not be kept; a client may have been told of it.
    pub(crate) fn retire(&self, path: PathBuf, now: Instant) {
        self.lock().retired.push((path, now + LIFE));
    }

    /// The same of one that no client has been told of: it goes with the next sweep.
    pub(crate) fn discard(&self, path: PathBuf, now: Instant) {
        self.lock().retired.push((path, now));
    }

    /// A neighbour was slow with a database.
    pub(crate) fn note_slow(&self, neighbour: SocketAddr, lag: Lag, now: Instant) {
        self.laggards.lock().unwrap_or_else(PoisonError::into_inner).note(neighbour, lag, now);
    }

    /// How slow this neighbour was lately, if it was.
    pub(crate) fn lag(&self, neighbour: SocketAddr, now: Instant) -> Option<Lag> {
        self.laggards.lock().unwrap_or_else(PoisonError::into_inner).find(neighbour, now)
    }

    /// No mirror has a signature of the database `key`; one was asked for at `asked`.
    pub(crate) fn note_unsigned(&self, key: String, asked: Instant) {
        let mut shelf = self.lock();
        if shelf.kept.contains_key(&key) || shelf.unsigned.len() < MAX_COPIES {
            shelf.unsigned.insert(key, asked);
        }
    }

    /// Whether the mirrors had no signature a few minutes ago, of the very copy that we keep.
    pub(crate) fn is_unsigned(&self, key: &str, now: Instant) -> bool {
        let mut shelf = self.lock();
        shelf.unsigned.retain(|_, asked| now.duration_since(*asked) < UNSIGNED_LIFE);
        let (Some(asked), Some(kept)) = (shelf.unsigned.get(key), shelf.kept.get(key)) else { return false };
        *asked + BESIDE >= kept.asked
    }

    /// Writes down what is kept, once the bytes of `new` are sure to be on the disk.
    pub(crate) fn save(&self, new: &Path) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        fs::File::open(new)?.sync_data()?;
        let copies = self.lock().kept.iter().map(|(key, kept)| (key.clone(), kept.copy.clone())).collect();
        let text = serde_json::to_vec(&Index { databases: copies }).expect("texts and numbers are JSON");
        p2p_state::replace(&self.directory.join(INDEX), &text)
    }

    /// Removes what every client has had time to copy, but what is in use.
    pub(crate) fn sweep(&self, now: Instant, in_use: impl Fn(&Path) -> bool) {
        let mut old = Vec::new();
        self.lock().retired.retain(|(path, until)| {
            let stays = now < *until || in_use(path);
            if !stays {
                old.push(path.clone());
            }
            stays
        });
        for path in old {
            // It may never have been written.
            let _ = fs::remove_file(path);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// What has to go where there is too much: the one that came first, but not `newest`.
    fn surplus(&self, newest: &str) -> Option<String> {
        let bytes: u64 = self.kept.values().map(|kept| kept.copy.size).sum();
        if self.kept.len() <= MAX_COPIES && bytes <= MAX_BYTES {
            return None;
        }
        let others = self.kept.iter().filter(|(key, _)| *key != newest);
        others.min_by_key(|(_, kept)| kept.copy.number).map(|(key, _)| key.clone())
    }
}

fn read_index(path: &Path) -> Index {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Index::default(),
        Err(error) => {
            tracing::warn!(%error, "the kept databases cannot be read");
            return Index::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "the index of the kept databases is wrong; they are fetched anew");
        Index::default()
    })
}

fn is_whole(directory: &Path, copy: &Copy) -> bool {
    let metadata = fs::symlink_metadata(path(directory, copy.number));
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == copy.size && copy.size > 0)
}

fn remove_others(directory: &Path, kept: &BTreeSet<u64>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        if name != INDEX && !number.is_some_and(|number: u64| kept.contains(&number)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(number.to_string())
}

#[cfg(test)]
mod tests;
