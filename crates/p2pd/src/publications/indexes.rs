//! One index on the disk: in memory is only where each package stands in it.

use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err as fs;
use p2p_package::{Index, IndexEntry, Info, InfoHash, MAX_INDEX_BYTES, PackageId, Sha256};
use p2p_wire::club_id;

use super::file_of;

#[derive(Debug)]
pub(crate) struct IndexFile {
    path: PathBuf,
    sha256: Sha256,
    index: Index,
}

impl IndexFile {
    /// The index with this SHA-256, where it is there, whole and of the right form. Reads all of it once.
    pub(super) fn open(directory: &Path, sha256: &Sha256) -> Option<Self> {
        let path = file_of(directory, sha256);
        let mut text = Vec::new();
        fs::File::open(&path).ok()?.take(MAX_INDEX_BYTES + 1).read_to_end(&mut text).ok()?;
        if Sha256::of(&text) != *sha256 {
            return None;
        }
        match Index::read(&text) {
            Ok(index) => Some(Self { path, sha256: *sha256, index }),
            Err(error) => {
                tracing::warn!(%sha256, error = %p2p_api::Report(&error), "a published index cannot be read");
                None
            }
        }
    }

    pub(super) fn sha256(&self) -> &Sha256 {
        &self.sha256
    }

    pub(super) fn packages(&self) -> usize {
        self.index.packages()
    }

    /// Whether it is the index of this club's repository.
    pub(super) fn is_of(&self, club: &InfoHash) -> bool {
        club_id(&self.index.repository, &self.index.architecture) == *club
    }

    pub(super) fn has(&self, sha256: &Sha256) -> bool {
        self.index.place(sha256).is_some()
    }

    /// The `info` of exactly this package. Blocks.
    pub(super) fn info(&self, id: &PackageId) -> Option<Info> {
        let text = read_part(&self.path, self.index.place(&id.sha256)?).ok()??;
        let entry = IndexEntry::read(&text).ok()?;
        (entry.id() == *id).then_some(entry.info)
    }
}

/// As many of these bytes as there are; none where the file is gone, or shorter.
pub(super) fn read_part(path: &Path, range: Range<u64>) -> io::Result<Option<Bytes>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let end = range.end.min(file.metadata()?.len());
    if range.start >= end {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(end - range.start).map_err(io::Error::other)?];
    file.file().read_exact_at(&mut bytes, range.start)?;
    Ok(Some(bytes.into()))
}
