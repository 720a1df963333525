//! The package files that the command line names, and what can be wrong with one.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use p2p_package::{FileName, FileNameError};

/// A package file that is there, perhaps by way of a symbolic link, as in the pools of mirrors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackageFile {
    pub(crate) path: PathBuf,
    pub(crate) file_name: FileName,
    pub(crate) stamp: Stamp,
}

/// Two looks at one file that give the same stamp saw the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    modified: (i64, i64),
    /// Moves, too, where a copy brought an old modification time with it.
    changed: (i64, i64),
}

/// Why one package has no torrent.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub(crate) struct PackageFault {
    path: PathBuf,
    #[source]
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("not a package")]
    Name(#[source] FileNameError),
    #[error("neither a file nor a directory")]
    Kind,
    #[error("cannot be read")]
    Read(#[source] io::Error),
    #[error("empty, or too large to be shared")]
    Size,
    #[error("changed while it was read")]
    Changed,
    #[error("its torrent cannot be written")]
    Write(#[source] io::Error),
}

impl PackageFile {
    fn at(path: &Path, file_name: FileName) -> io::Result<Self> {
        let stamp = Stamp::of(&fs_err::metadata(path)?);
        Ok(Self { path: path.to_owned(), file_name, stamp })
    }

    pub(crate) fn size(&self) -> u64 {
        self.stamp.size
    }

    pub(crate) fn torrent_path(&self) -> PathBuf {
        self.path.with_file_name(format!("{}.torrent", self.file_name))
    }

    pub(crate) fn fault(&self, reason: Reason) -> PackageFault {
        PackageFault { path: self.path.clone(), reason }
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether `torrent` was written after the file had changed last.
    pub(crate) fn is_older_than(&self, torrent: &Metadata) -> bool {
        self.modified.max(self.changed) < (torrent.mtime(), torrent.mtime_nsec())
    }
}

/// The package at `path`, or all packages in it where it is a directory, but none in directories below it.
pub(crate) fn packages_at(path: &Path) -> Result<Vec<PackageFile>, PackageFault> {
    let fault = |reason| PackageFault { path: path.to_owned(), reason };
    let metadata = fs_err::metadata(path).map_err(|error| fault(Reason::Read(error)))?;
    if metadata.is_dir() {
        return packages_in(path).map_err(|error| fault(Reason::Read(error)));
    }
    if !metadata.is_file() {
        return Err(fault(Reason::Kind));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file_name = name.parse().map_err(|error| fault(Reason::Name(error)))?;
    let package = PackageFile::at(path, file_name).map_err(|error| fault(Reason::Read(error)))?;
    Ok(vec![package])
}

fn packages_in(directory: &Path) -> io::Result<Vec<PackageFile>> {
    let mut packages = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let Some(file_name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // What went away since, and links to nowhere, are no packages.
        if fs_err::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) {
            packages.extend(PackageFile::at(&entry.path(), file_name).ok());
        }
    }
    Ok(packages)
}
