//! What tells whether a file is still the one that was hashed.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The identity of a file's content, as far as the kernel tells without reading it.
///
/// The change time is part of it because a modification time can be set back; it also moves when a link goes away, so
/// that a removed file shows on its open descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// The file system.
    pub device: u64,
    /// The file on it.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was modified last, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// When its content or its inode changed last, in nanoseconds since 1970.
    pub changed_ns: i64,
}

impl FileStamp {
    /// The stamp of the regular file at `path`.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be looked at; a symbolic link counts as no file.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        let metadata = fs_err::symlink_metadata(path)?;
        Self::of_metadata(&metadata).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }

    /// The stamp of a regular file; none for anything else.
    #[must_use]
    pub fn of_metadata(metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Saturates in the year 2262: two such files then still differ in inode or size.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
