//! Reads a package again: is it still what it was?

use std::io;

use rustix::fs::{Advice, fadvise};

use crate::hash::{HashFault, hash_file, open_file};
use crate::{FileStamp, Row};

/// A file that changes again and again is not waited for.
const ATTEMPTS: usize = 3;

/// What reading a package again has shown.
#[derive(Debug)]
pub enum Verification {
    /// Its bytes are those of the row.
    Good,
    /// Whoever asked no longer wants to know.
    Stopped,
    /// It must not be served any more.
    Bad(RowFault),
}

/// Why a package must not be served any more.
#[derive(Debug, thiserror::Error)]
pub enum RowFault {
    /// Other bytes than when it was hashed.
    #[error("the file is not what the sync database said: its SHA-256 is another")]
    Wrong,
    /// Nothing is there.
    #[error("the file is gone")]
    Gone,
    /// Something is there that cannot be read, or not as a package.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
}

impl Row {
    /// Reads the whole file, from the disk where the system allows, and compares all its hashes; a changed stamp alone is no
    /// fault. Blocks; `go_on` is asked about every mebibyte.
    pub fn verify(&self, mut go_on: impl FnMut() -> bool) -> Verification {
        let mut changed = "the file changes while it is read";
        for _ in 0..ATTEMPTS {
            let stamp = match FileStamp::of_path(&self.path) {
                Ok(stamp) => stamp,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Verification::Bad(RowFault::Gone),
                Err(error) => return Verification::Bad(RowFault::Unreadable(error)),
            };
            if stamp.size != self.id.size {
                return Verification::Bad(RowFault::Wrong);
            }
            drop_pages(self);
            match hash_file(&self.path, &self.id.file_name, &stamp, &mut go_on) {
                Ok(hashed) if hashed.sha256 == self.id.sha256 && hashed.info == self.info => {
                    return Verification::Good;
                }
                Ok(_) => return Verification::Bad(RowFault::Wrong),
                Err(HashFault::Stopped) => return Verification::Stopped,
                Err(HashFault::Read(error)) => return Verification::Bad(RowFault::Unreadable(error)),
                Err(HashFault::Size) => changed = "a file of this size is no package",
                Err(HashFault::Changed) => {}
            }
        }
        Verification::Bad(RowFault::Unreadable(io::Error::other(changed)))
    }
}

/// What lies in memory may be better than what lies on the disk.
fn drop_pages(row: &Row) {
    if let Ok(file) = open_file(&row.path) {
        // Only advice: a file system may not know it.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use p2p_package::PackageId;

    use super::*;
    use crate::hash::hash_file;

    fn row(directory: &Path) -> Row {
        let (file_name, path) = ("a-1-1-any.pkg.tar".parse().unwrap(), directory.join("a-1-1-any.pkg.tar"));
        fs_err::write(&path, vec![7; 300_000]).unwrap();
        let stamp = FileStamp::of_path(&path).unwrap();
        let hashed = hash_file(&path, &file_name, &stamp, || true).unwrap();
        let id = PackageId { file_name, size: stamp.size, sha256: hashed.sha256 };
        Row::new(id, hashed.info, path, stamp, Arc::from("core"))
    }

    #[test]
    fn a_good_file_is_good_even_where_it_was_touched() {
        let directory = tempfile::tempdir().unwrap();
        let row = row(directory.path());
        fs_err::write(&row.path, vec![7; 300_000]).unwrap();
        assert!(matches!(row.verify(|| true), Verification::Good));
        assert!(matches!(row.verify(|| false), Verification::Stopped));
    }

    #[test]
    fn other_bytes_another_size_and_no_file_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let row = row(directory.path());
        let mut bytes = vec![7; 300_000];
        bytes[280_000] = 8;
        fs_err::write(&row.path, bytes).unwrap();
        assert!(matches!(row.verify(|| true), Verification::Bad(RowFault::Wrong)));
        fs_err::write(&row.path, b"7").unwrap();
        assert!(matches!(row.verify(|| true), Verification::Bad(RowFault::Wrong)));
        fs_err::remove_file(&row.path).unwrap();
        assert!(matches!(row.verify(|| true), Verification::Bad(RowFault::Gone)));
        fs_err::create_dir(&row.path).unwrap();
        assert!(matches!(row.verify(|| true), Verification::Bad(RowFault::Unreadable(_))));
    }
}
