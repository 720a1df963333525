//! The daemon's own packages: complete ones, and what is on the way. Names tell which package a file belongs to.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use p2p_package::{FileName, Metainfo, PackageId};

use super::plan::Resume;
use super::replicas::{Replicas, mark_of};

/// What an interrupted fetch left is of use for this long.
const LEFTOVER_LIFE: Duration = Duration::from_hours(24);
/// A file that has not changed for so long is neither growing nor being copied.
const SETTLED_AFTER: Duration = Duration::from_mins(10);

/// The directory `store` below the state directory.
///
/// A package lies at `<16 digits of its SHA-256>-<file name>~` from its first byte on: a client that copied from it
/// while it grew need not begin again when it is complete. It has no package's name, because it may be incomplete. Beside
/// one that a swarm fills lies its `.torrent`, and beside one whose signature was asked for that, as `.sig`.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    bytes: AtomicU64,
    /// What `[replicate]` has brought here: its own budget bounds it, and it is swept by its own rules.
    replicas: Replicas,
}

/// A replicated package's file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// What an earlier run left of a package.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) resume: Resume,
    pub(crate) metainfo: Option<Metainfo>,
}

impl Store {
    /// The packages in `directory`; the list of those that are replicated lies beside it.
    pub(crate) fn new(directory: PathBuf) -> Self {
        let replicas = Replicas::load(directory.with_file_name("replicas"));
        Self { directory, bytes: AtomicU64::new(0), replicas }
    }

    /// Which packages are replicated.
    pub(crate) fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// What stands for a package among [the replicated](Self::replicas).
    pub(crate) fn mark(id: &PackageId) -> u64 {
        let first = id.sha256.as_bytes().first_chunk().expect("a SHA-256 has 32 bytes");
        u64::from_be_bytes(*first)
    }

    /// The files that are replicated, by their marks.
    ///
    /// # Errors
    ///
    /// The store cannot be listed: then nothing is known, and nothing may be concluded.
    pub(crate) fn marked(&self) -> io::Result<BTreeMap<u64, Marked>> {
        let marked = |(_, bytes, path): (SystemTime, u64, PathBuf)| {
            let mark = mark_of(&path).filter(|mark| self.replicas.contains(*mark))?;
            Self::package_at(&path).map(|_| (mark, Marked { path, bytes }))
        };
        Ok(self.files()?.into_iter().filter_map(marked).collect())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether this file is one of ours.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        path.parent() == Some(&self.directory)
    }

    /// Where the package lies; every attempt to get it from its first byte on has a file of its own.
    pub(crate) fn path(&self, id: &PackageId, attempt: u32) -> PathBuf {
        let digest = id.sha256.to_string();
        let again = if attempt == 0 { String::new() } else { format!(".{attempt}") };
        self.directory.join(format!("{}{again}-{}~", &digest[..16], id.file_name))
    }

    /// Which package lies at this [path](Self::path), as far as its name tells; none where it is known to be incomplete.
    pub(crate) fn package_at(path: &Path) -> Option<FileName> {
        let name = path.file_name()?.to_str()?.strip_suffix('~')?;
        let (_, name) = name.split_once('-')?;
        name.parse().ok().filter(|_| !torrent_path(path).exists())
    }

    /// What an earlier run left at [`Self::path`].
    pub(crate) fn leftover(&self, id: &PackageId) -> Leftover {
        let nothing = Leftover { resume: Resume::Prefix(0), metainfo: None };
        let path = self.path(id, 0);
        let Ok(length) = fs::metadata(&path).map(|metadata| metadata.len()) else { return nothing };
        if let Some(metainfo) = read_metainfo(&path, id) {
            return Leftover { resume: Resume::Pieces, metainfo: Some(metainfo) };
        }
        if length <= id.size {
            return Leftover { resume: Resume::Prefix(length), metainfo: None };
        }
        Self::discard(&path);
        nothing
    }

    /// Remembers which torrent fills the file at `path`, so that a restarted daemon knows its good pieces.
    pub(crate) fn remember(path: &Path, metainfo: &Metainfo) -> io::Result<()> {
        let torrent = torrent_path(path);
        let draft = torrent.with_extension("draft");
        // Not forced to the disk, as the file is not: a client waits, and after a power cut the pieces are hashed.
        fs::write(&draft, metainfo.encode())?;
        fs::rename(draft, torrent)
    }

    /// The file is complete: its `.torrent` is of no more use here.
    pub(crate) fn forget(path: &Path) {
        remove(&torrent_path(path));
    }

    /// Lays its detached signature beside the package at `path`.
    pub(crate) fn keep_signature(path: &Path, signature: &[u8]) -> io::Result<()> {
        fs::write(signature_path(path), signature)
    }

    /// Drops a file that is of no use.
    pub(crate) fn discard(path: &Path) {
        remove(path);
        remove(&torrent_path(path));
        remove(&signature_path(path));
    }

    /// Drops what nobody came back for, then the oldest packages until `most` bytes are left; `seeded` tells which files the
    /// catalog serves. What is in use stays, and what is replicated.
    pub(crate) fn sweep(
        &self,
        now: SystemTime,
        most: u64,
        seeded: impl Fn(&Path) -> bool,
        in_use: impl Fn(&Path) -> bool,
    ) {
        let mut files = match self.files() {
            Ok(files) => files,
            Err(error) => return tracing::warn!(%error, "the store cannot be listed"),
        };
        files.retain(|(_, _, path)| {
            let package = package_of_signature(path);
            if package.as_ref().is_some_and(|package| !package.exists()) {
                remove(path);
            }
            package.is_none()
        });
        files.retain(|(_, _, path)| mark_of(path).is_none_or(|mark| !self.replicas.contains(mark)));
        files.retain(|(changed, _, path)| {
            let leftover = age(*changed, now) > LEFTOVER_LIFE && !seeded(path) && !in_use(path);
            if leftover {
                remove(path);
            }
            !leftover
        });
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, length, path) in files.iter().filter(|(changed, ..)| age(*changed, now) > SETTLED_AFTER) {
            if bytes > most && !in_use(path) {
                Self::discard(path);
                bytes -= length;
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The bytes of all files in the store but the replicated ones, at the last sweep and what has come since.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A package has come.
    pub(crate) fn grown_by(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// When each file's content or name last changed, its length, and its path.
    fn files(&self) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // It has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let changed = Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or_default());
            files.push((SystemTime::UNIX_EPOCH + changed, metadata.len(), entry.path()));
        }
        Ok(files)
    }
}

fn age(changed: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(changed).unwrap_or_default()
}

fn torrent_path(path: &Path) -> PathBuf {
    beside(path, ".torrent")
}

fn signature_path(path: &Path) -> PathBuf {
    beside(path, ".sig")
}

/// The package that this file is the signature of, by its name.
fn package_of_signature(path: &Path) -> Option<PathBuf> {
    (path.extension()? == "sig")
        .then(|| path.with_extension(""))
        .filter(|package| package.to_str().is_some_and(|path| path.ends_with('~')))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

fn read_metainfo(path: &Path, id: &PackageId) -> Option<Metainfo> {
    let metainfo = Metainfo::read(&fs::read(torrent_path(path)).ok()?).ok()?;
    metainfo.info.clone().expect(id).ok()?;
    Some(metainfo)
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a file cannot be removed from the store");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::{Hasher, Sha256};

    use super::*;

    const BYTES: &[u8] = b"a package";

    fn store() -> (tempfile::TempDir, Store, PackageId) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(directory.path().to_owned());
        let file_name = "a-1-1-any.pkg.tar".parse().expect("a package's name");
        (directory, store, PackageId { file_name, size: BYTES.len() as u64, sha256: Sha256::of(BYTES) })
    }

    fn metainfo(id: &PackageId) -> Metainfo {
        let mut hasher = Hasher::new(id.size).expect("a small package");
        hasher.update(BYTES);
        let info = hasher.finish(id.file_name.clone()).expect("all bytes").info;
        Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() }
    }

    #[test]
    fn what_was_streamed_is_resumed_by_its_length() {
        let (_directory, store, id) = store();
        assert_eq!(store.leftover(&id).resume, Resume::Prefix(0));
        fs::write(store.path(&id, 0), &BYTES[..4]).expect("a file in the store");
        assert_eq!(store.leftover(&id).resume, Resume::Prefix(4));
    }

    #[test]
    fn a_signature_stays_as_long_as_its_package() {
        let (directory, store, id) = store();
        let path = store.path(&id, 0);
        fs::write(&path, BYTES).expect("a file in the store");
        Store::keep_signature(&path, b"signed").expect("a file in the store");
        let sweep = || store.sweep(SystemTime::now() + LEFTOVER_LIFE * 2, u64::MAX, |_| true, |_| false);
        sweep();
        let files = || fs::read_dir(directory.path()).expect("the store").count();
        assert_eq!((store.bytes(), files()), (BYTES.len() as u64, 2));
        fs::remove_file(&path).expect("a file in the store");
        sweep();
        assert_eq!(files(), 0);
        fs::write(&path, BYTES).expect("a file in the store");
        Store::keep_signature(&path, b"signed").expect("a file in the store");
        Store::discard(&path);
        assert_eq!(files(), 0);
    }

    #[test]
    fn what_a_swarm_filled_is_resumed_by_its_torrent() {
        let (_directory, store, id) = store();
        let path = store.path(&id, 0);
        fs::write(&path, BYTES).expect("a file in the store");
        Store::remember(&path, &metainfo(&id)).expect("room for a torrent");
        let leftover = store.leftover(&id);
        assert_eq!((leftover.resume, leftover.metainfo), (Resume::Pieces, Some(metainfo(&id))));
        Store::forget(&path);
        assert_eq!(store.leftover(&id).resume, Resume::Prefix(id.size));
    }

    #[test]
    fn a_file_that_is_too_long_is_dropped() {
        let (_directory, store, id) = store();
        let path = store.path(&id, 0);
        fs::write(&path, [0; 100]).expect("a file in the store");
        assert_eq!(store.leftover(&id).resume, Resume::Prefix(0));
        assert!(!path.exists());
    }

    #[test]
    fn leftovers_go_after_a_day_and_packages_when_there_are_too_many_unless_in_use() {
        let (_directory, store, id) = store();
        let paths = [0, 1].map(|attempt| store.path(&id, attempt));
        for path in &paths {
            fs::write(path, BYTES).expect("a file in the store");
        }
        let later = |hours| SystemTime::now() + Duration::from_hours(hours);
        store.sweep(later(1), u64::MAX, |_| false, |_| false);
        assert!(paths.iter().all(|path| path.exists()), "too young");
        store.sweep(later(25), u64::MAX, |path| path == paths[0], |_| false);
        assert!(paths[0].exists() && !paths[1].exists(), "only what is seeded stays");
        store.sweep(later(25), 0, |_| true, |_| true);
        assert!(paths[0].exists(), "a client may be copying it");
        assert_eq!(store.bytes(), BYTES.len() as u64);
        store.sweep(later(25), 0, |_| true, |_| false);
        assert!(!paths[0].exists() && store.bytes() == 0);
    }

    #[test]
    fn what_is_replicated_is_neither_swept_nor_counted() {
        let (directory, store, id) = store();
        let store = Store::new(store.directory.join("store"));
        fs::create_dir(directory.path().join("store")).expect("room");
        let path = store.path(&id, 1);
        fs::write(&path, BYTES).expect("a file in the store");
        assert_eq!(store.marked().expect("a directory"), BTreeMap::new());
        store.replicas().add(Store::mark(&id));
        let marked = Marked { path: path.clone(), bytes: id.size };
        assert_eq!(store.marked().expect("a directory"), BTreeMap::from([(Store::mark(&id), marked)]));
        let later = SystemTime::now() + Duration::from_hours(25);
        store.sweep(later, 0, |_| false, |_| false);
        assert!(path.exists() && store.bytes() == 0);
        store.replicas().remove(Store::mark(&id));
        store.sweep(later, 0, |_| true, |_| false);
        assert!(!path.exists());
    }

    #[test]
    fn the_name_of_a_file_in_the_store_is_no_packages_name() {
        let (_directory, store, id) = store();
        let path = store.path(&id, 0);
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        assert!(name.parse::<FileName>().is_err());
        assert!(format!("{name}.torrent").parse::<FileName>().is_err());
        for attempt in [0, 1] {
            let path = store.path(&id, attempt);
            assert_eq!(Store::package_at(&path), Some(id.file_name.clone()));
            Store::remember(&path, &metainfo(&id)).expect("room for a torrent");
            assert_eq!(Store::package_at(&path), None, "incomplete");
        }
    }
}
