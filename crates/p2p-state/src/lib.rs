//! Small files that a program keeps for its next run.

use std::io::{self, Write as _};
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// Replaces the file at `path`, or makes it, for its owner's eyes. Whatever happens meanwhile, a power cut too, what was there stays or
/// the new content is there, and never half of it. Blocks until the disk has it: not for what a client waits for, nor for what changes
/// all the time.
///
/// One writer at a time: what is not whole yet is beside the file, as `.draft`.
///
/// # Errors
///
/// It cannot be written; what was there stays.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    // A rename may be on the disk before the bytes are.
    file.sync_data()?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use fs_err::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("counters.json");
        for content in ["{\"much\":1}", "{}"] {
            replace(&path, content.as_bytes()).expect("room");
            assert_eq!(fs::read_to_string(&path).expect("a file"), content);
        }
        assert_eq!(fs::read_dir(directory.path()).expect("our directory").count(), 1);
    }

    #[test]
    fn what_the_disk_does_not_have_replaces_nothing() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("wishes.json");
        replace(&path, b"a pause").expect("room");
        // It takes all that is written, and cannot be forced to a disk.
        symlink("/dev/null", path.with_extension("draft")).expect("a link");
        replace(&path, b"no pause").expect_err("no disk has it");
        assert_eq!(fs::read(&path).expect("a file"), b"a pause");
    }
}
