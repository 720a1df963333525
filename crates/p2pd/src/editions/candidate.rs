//! The files that may be the newest database of a repository.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use p2p_package::{Sha256, Sha256Hasher};
use p2p_seeder::FileStamp;

use super::Place;
use crate::fetch::Databases;
use crate::keyring::read_signature;
use crate::knowledge::View;

/// Bytes that are hashed in one go.
const BUFFER: usize = 256 * 1024;

/// A database file, not yet looked into.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    /// In seconds since 1970.
    pub(super) dated: u64,
    pub(super) written: SystemTime,
    pub(super) identity: Identity,
}

/// Two with the same identity are the same file with the same signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) place: Place,
    pub(super) stamp: FileStamp,
    /// Empty where there is none.
    pub(super) signature: Vec<u8>,
}

/// What lies here of this repository's database now. Blocks.
pub(super) fn find(view: &View, databases: &Databases, repository: &str) -> Vec<Candidate> {
    let name = format!("{repository}.db");
    let pacmans = view.conf.db_path.join("sync").join(&name);
    let signature = PathBuf::from(format!("{}.sig", pacmans.display()));
    let pacmans = candidate(pacmans, Place::Pacman, || read_signature(&signature));
    let ours = databases.get(&format!("{repository}/{name}"));
    let ours = ours.and_then(|copy| {
        let found = candidate(databases.path(&copy), Place::Ours, || copy.signature())?;
        Some(Candidate { dated: copy.modified.unwrap_or(found.dated), ..found })
    });
    pacmans.into_iter().chain(ours).collect()
}

/// The file, and its SHA-256. Blocks.
pub(super) fn open(path: &Path, identity: &Identity) -> io::Result<(std::fs::File, Sha256)> {
    let file = fs::OpenOptions::new().read(true).custom_flags(no_link()).open(path)?;
    if FileStamp::of_metadata(&file.metadata()?) != Some(identity.stamp) {
        return Err(io::Error::other("it has just been replaced"));
    }
    let (mut hasher, mut buffer) = (Sha256Hasher::default(), vec![0; BUFFER]);
    loop {
        match file.file().read(&mut buffer)? {
            0 => return Ok((file.into_file(), hasher.finish())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

pub(super) fn stamp(path: &Path) -> io::Result<FileStamp> {
    FileStamp::of_path(path)
}

fn candidate(path: PathBuf, place: Place, signature: impl FnOnce() -> Option<Vec<u8>>) -> Option<Candidate> {
    let stamp = FileStamp::of_path(&path).ok().filter(|stamp| stamp.size > 0)?;
    let written = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    let dated = written.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let signature = signature().unwrap_or_default();
    Some(Candidate { path, dated, written, identity: Identity { place, stamp, signature } })
}

/// Opening a FIFO must not wait for anybody either.
fn no_link() -> i32 {
    (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed()
}
