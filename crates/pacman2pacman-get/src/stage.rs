//! A file that nobody sees until it is complete.
//!
//! What the daemon sends is verified only at the end. So it is written to a file without a name (`O_TMPFILE`), which the
//! kernel drops whatever happens to us, and takes the target's place in one step. An earlier `.part` from a mirror,
//! which curl could resume, stays untouched until then.

use std::fs::{File, FileTimes};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, access, linkat, open, unlink};
use rustix::io::Errno;
use thiserror::Error;

/// As pacman's own files; the umask that pacman runs us with still applies.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH);

/// Why the target could not be written: no download by other means would help.
#[derive(Debug, Error)]
#[error("can't write {}", path.display())]
pub(crate) struct TargetFault {
    path: PathBuf,
    #[source]
    error: std::io::Error,
}

impl TargetFault {
    pub(crate) fn new(path: &Path, error: impl Into<std::io::Error>) -> Self {
        Self { path: path.to_owned(), error: error.into() }
    }
}

/// The file, in the target's directory.
#[derive(Debug)]
pub(crate) struct Stage {
    file: File,
    target: PathBuf,
    /// A name to link to; when the file system can't do without one, the file has it from the beginning.
    scratch: PathBuf,
    is_named: bool,
}

impl Stage {
    /// An empty file that can become `target`.
    pub(crate) fn new(target: &Path) -> Result<Self, TargetFault> {
        let scratch = scratch_path(target);
        let directory = scratch.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let nameless = open(directory, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, MODE);
        let (file, is_named) = match nameless.map(File::from) {
            Ok(file) if access(link_source(&file), Access::EXISTS).is_ok() => (file, false),
            Ok(_) | Err(_) => (create(&scratch).map_err(|error| TargetFault::new(target, error))?, true),
        };
        Ok(Self { file, target: target.to_owned(), scratch, is_named })
    }

    /// Where to write.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Turns an error of writing to [`file`](Self::file) into what to tell the user.
    pub(crate) fn fault(&self, error: impl Into<std::io::Error>) -> TargetFault {
        TargetFault::new(&self.target, error)
    }

    /// Forgets all but the first `length` bytes.
    pub(crate) fn shorten_to(&self, length: u64) -> Result<(), TargetFault> {
        self.file.set_len(length).map_err(|error| self.fault(error))
    }

    /// Takes the target's place, with the time at which the mirror says that it was modified.
    pub(crate) fn publish(mut self, modified: Option<SystemTime>) -> Result<(), TargetFault> {
        if let Some(modified) = modified {
            let times = FileTimes::new().set_accessed(modified).set_modified(modified);
            self.file.set_times(times).map_err(|error| self.fault(error))?;
        }
        if !self.is_named {
            self.link().map_err(|error| self.fault(error))?;
            self.is_named = true;
        }
        rustix::fs::rename(&self.scratch, &self.target).map_err(|error| self.fault(error))?;
        self.is_named = false;
        Ok(())
    }

    /// linkat(2) can't replace, so the file gets a name first.
    fn link(&self) -> Result<(), Errno> {
        let link = || linkat(CWD, link_source(&self.file), CWD, &self.scratch, AtFlags::SYMLINK_FOLLOW);
        match link() {
            Err(Errno::EXIST) => {
                unlink(&self.scratch)?;
                link()
            }
            other => other,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.is_named {
            // Nothing better can be done with a file that can't be removed.
            let _ = unlink(&self.scratch);
        }
    }
}

/// A name in the target's directory for the moment before it becomes the target.
pub(crate) fn scratch_path(target: &Path) -> PathBuf {
    target.with_file_name(format!(".pacman2pacman-{}", std::process::id()))
}

/// Seconds since 1970, as the daemon counts, as a time.
pub(crate) fn from_unix_seconds(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn link_source(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn create(path: &Path) -> Result<File, Errno> {
    let create = || {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        open(path, flags, MODE).map(File::from)
    };
    match create() {
        // An earlier process of our number was killed.
        Err(Errno::EXIST) => {
            unlink(path)?;
            create()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn nothing_is_seen_before_publishing_and_nothing_is_left_after_dropping() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.part");
        let stage = Stage::new(&target).unwrap();
        stage.file().write_all(b"new").unwrap();
        assert!(!target.exists());
        drop(stage);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn publishing_replaces_a_file_and_a_link_but_not_what_the_link_points_to() {
        let directory = tempfile::tempdir().unwrap();
        let (target, other) = (directory.path().join("a.part"), directory.path().join("other"));
        fs_err::write(&other, "untouched").unwrap();
        std::os::unix::fs::symlink(&other, &target).unwrap();
        for _ in 0..2 {
            let stage = Stage::new(&target).unwrap();
            stage.file().write_all(b"new").unwrap();
            stage.publish(from_unix_seconds(1_700_000_000)).unwrap();
        }
        let metadata = fs_err::symlink_metadata(&target).unwrap();
        assert!(metadata.is_file());
        assert_eq!((metadata.mtime(), metadata.nlink(), metadata.mode() & 0o133), (1_700_000_000, 1, 0));
        assert_eq!(fs_err::read(&target).unwrap(), b"new");
        assert_eq!(fs_err::read(&other).unwrap(), b"untouched");
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_directory_that_is_not_there_is_told_with_the_target() {
        let error = Stage::new(Path::new("/nonexistent/a.part")).unwrap_err();
        assert_eq!(error.to_string(), "can't write /nonexistent/a.part");
    }

    #[test]
    fn a_file_system_without_nameless_files_gets_a_named_one_that_goes_too() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = directory.path().join("scratch");
        fs_err::write(&scratch, "of a process that was killed").unwrap();
        let file = create(&scratch).unwrap();
        let target = directory.path().join("a.part");
        let stage = Stage { file, target: target.clone(), scratch: scratch.clone(), is_named: true };
        stage.file().write_all(b"new").unwrap();
        stage.publish(None).unwrap();
        assert_eq!(fs_err::read(&target).unwrap(), b"new");
        drop(Stage { file: create(&scratch).unwrap(), target, scratch: scratch.clone(), is_named: true });
        assert!(!scratch.exists());
    }
}
