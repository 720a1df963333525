//! One pass over a package, which has to be the one that the database lists.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fs_err::File;
use p2p_package::{Hashed, Hasher, IndexEntry, PackageId};

/// Bytes in one read.
const READ_BYTES: usize = 1024 * 1024;

/// Why a package is not in the index.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub(super) struct HashFault {
    path: PathBuf,
    #[source]
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("cannot be read")]
    Read(#[source] io::Error),
    #[error("empty, or too large to be shared")]
    Size,
    #[error("not the package that the database lists")]
    Other,
}

/// The package's entry; `advance` hears of bytes as they are read.
pub(super) fn entry(id: &PackageId, path: &Path, advance: impl Fn(u64)) -> Result<IndexEntry, HashFault> {
    hashed(id, path, advance).map_err(|reason| HashFault { path: path.to_owned(), reason })
}

fn hashed(id: &PackageId, path: &Path, advance: impl Fn(u64)) -> Result<IndexEntry, Reason> {
    let mut file = File::open(path).map_err(Reason::Read)?;
    let mut hasher = Hasher::new(id.size).ok_or(Reason::Size)?;
    let mut buffer = vec![0; READ_BYTES];
    while hasher.taken() <= id.size {
        let count = file.read(&mut buffer).map_err(Reason::Read)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        advance(count as u64);
    }
    let Hashed { sha256, info } = hasher.finish(id.file_name.clone()).ok_or(Reason::Other)?;
    if sha256 == id.sha256 { Ok(IndexEntry { sha256, info }) } else { Err(Reason::Other) }
}
