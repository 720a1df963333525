//! Reads a package file once, for all its hashes.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use p2p_package::{FileName, Hashed, Hasher, Sha256, Sha256Hasher};
use rustix::fs::{Advice, Mode, OFlags, fadvise};

use crate::FileStamp;

/// Large reads cost few system calls and keep a disk streaming.
const READ_BYTES: usize = 1024 * 1024;
/// A file younger than this is about to be read by pacman: its pages stay in the page cache.
const HOT: Duration = Duration::from_mins(10);

/// Two changes within one tick of the kernel's clock (at most 10 ms) leave the same times behind.
const TICK: Duration = Duration::from_millis(20);

/// Why a file has no hashes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashFault {
    /// It cannot be opened or read.
    #[error("the package cannot be read")]
    Read(#[source] io::Error),
    /// It is not the file that was meant, or changed meanwhile.
    #[error("the package changed while it was read")]
    Changed,
    /// Empty, or larger than anything that is shared.
    #[error("a file of this size is no package")]
    Size,
    /// Whoever asked no longer wants to know.
    #[error("hashing was stopped")]
    Stopped,
}

/// Hashes the file at `path`, which must have this stamp before and after; `go_on` is asked after every read.
pub(crate) fn hash_file(
    path: &Path,
    name: &FileName,
    stamp: &FileStamp,
    go_on: impl FnMut() -> bool,
) -> Result<Hashed, HashFault> {
    let mut hasher = Hasher::new(stamp.size).ok_or(HashFault::Size)?;
    read_file(path, stamp, |bytes| hasher.update(bytes), go_on)?;
    hasher.finish(name.clone()).ok_or(HashFault::Changed)
}

/// The same without the pieces, which are half the work: for a file of which a torrent is at hand.
pub(crate) fn digest_file(path: &Path, stamp: &FileStamp, go_on: impl FnMut() -> bool) -> Result<Sha256, HashFault> {
    let mut sha256 = Sha256Hasher::default();
    read_file(path, stamp, |bytes| sha256.update(bytes), go_on)?;
    Ok(sha256.finish())
}

/// Reads exactly the file that has this stamp.
fn read_file(
    path: &Path,
    stamp: &FileStamp,
    mut take: impl FnMut(&[u8]),
    mut go_on: impl FnMut() -> bool,
) -> Result<(), HashFault> {
    let mut file = open_file(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound { HashFault::Changed } else { HashFault::Read(error) }
    })?;
    let unchanged = |file: &fs_err::File| stamp_of(file).map_err(HashFault::Read).map(|now| now == Some(*stamp));
    // A change after this wait shows in the stamp.
    std::thread::sleep(TICK.saturating_sub(age(stamp.changed_ns)));
    if !unchanged(&file)? {
        return Err(HashFault::Changed);
    }
    let mut buffer = vec![0; READ_BYTES];
    let mut taken = 0;
    loop {
        let read = file.read(&mut buffer).map_err(HashFault::Read)?;
        if read == 0 {
            break;
        }
        take(&buffer[..read]);
        taken += read as u64;
        if taken > stamp.size {
            return Err(HashFault::Changed);
        }
        if !go_on() {
            return Err(HashFault::Stopped);
        }
    }
    if taken != stamp.size || !unchanged(&file)? {
        return Err(HashFault::Changed);
    }
    forget_pages(&file, stamp);
    Ok(())
}

/// Opens a package to read it; never through a symbolic link.
pub(crate) fn open_file(path: &Path) -> io::Result<fs_err::File> {
    // NONBLOCK: a FIFO of that name must not stop us; it has no effect on a regular file.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(fs_err::File::from_parts(file.into(), path))
}

/// The stamp of an open file; none where it is not a regular one.
pub(crate) fn stamp_of(file: &fs_err::File) -> io::Result<Option<FileStamp>> {
    file.metadata().map(|metadata| FileStamp::of_metadata(&metadata))
}

/// A scan over a whole cache must not push everything else out of the page cache.
fn forget_pages(file: &fs_err::File, stamp: &FileStamp) {
    if age(stamp.modified_ns) > HOT {
        // Only advice: a file system may not know it.
        let _ = fadvise(file, 0, None, Advice::DontNeed);
    }
}

/// How long ago a time of a stamp is; zero for one to come.
pub(crate) fn age(nanoseconds: i64) -> Duration {
    let then = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    SystemTime::now().duration_since(then).unwrap_or_default()
}
