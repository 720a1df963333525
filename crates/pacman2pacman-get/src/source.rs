//! The daemon's file, of which no path is trusted.
//!
//! We may be root, and the daemon is not. So what it names is looked at before it is opened for reading, and read only
//! when it is its own, or what everybody may read in pacman's cache anyway.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, open, openat, statat};
use rustix::io::Errno;
use thiserror::Error;

use crate::job::Job;

/// Where pacman keeps packages unless it is configured otherwise.
const CACHE: &str = "/var/cache/pacman/pkg";

/// Whose files are read.
#[derive(Debug)]
pub(crate) struct Trust {
    daemon_user: u32,
    directories: Vec<PathBuf>,
}

/// Why the daemon's file is not used.
#[derive(Debug, Error)]
pub(crate) enum SourceFault {
    #[error("p2pd named a file that can't be opened ({0})")]
    Unreadable(Errno),
    #[error("p2pd named a file that is not its own")]
    NotItsOwn,
    #[error("p2pd's file is not what p2pd said")]
    Contradicts,
    #[error("p2pd's file can't be read")]
    Unread(#[source] std::io::Error),
}

impl Trust {
    /// Trusts files of `daemon_user`, and files of root that lie directly in the job's directory or in pacman's cache.
    pub(crate) fn new(daemon_user: u32, job: &Job) -> Self {
        Self { daemon_user, directories: vec![job.target.home(), CACHE.into()] }
    }

    /// Opens what the daemon named. `O_PATH` first: to open a device or a FIFO for reading can do things by itself.
    pub(crate) fn open(&self, path: &Path) -> Result<File, SourceFault> {
        let parent = path.parent().ok_or(SourceFault::NotItsOwn)?;
        let name = path.file_name().ok_or(SourceFault::NotItsOwn)?;
        let directory = open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(SourceFault::Unreadable)?;
        let found = openat(&directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(SourceFault::Unreadable)?;
        let stat = fstat(&found).map_err(SourceFault::Unreadable)?;
        if !self.accepts(&stat, directory.as_fd()) {
            return Err(SourceFault::NotItsOwn);
        }
        let same_file = format!("/proc/self/fd/{}", found.as_raw_fd());
        open(same_file, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map(File::from)
            .map_err(SourceFault::Unreadable)
    }

    /// A hard link could be another user's secret under the daemon's name for it.
    fn accepts(&self, file: &Stat, directory: impl AsFd) -> bool {
        let is_plain = FileType::from_raw_mode(file.st_mode) == FileType::RegularFile && file.st_nlink == 1;
        let is_the_daemons = file.st_uid == self.daemon_user;
        let is_everybodys = file.st_uid == 0 && Mode::from_raw_mode(file.st_mode).contains(Mode::ROTH);
        is_plain && (is_the_daemons || is_everybodys && self.includes(directory))
    }

    /// Compared by what the directories are: a path may lead through the daemon's own links.
    fn includes(&self, directory: impl AsFd) -> bool {
        let Ok(wanted) = fstat(directory) else { return false };
        self.directories
            .iter()
            .filter_map(|trusted| statat(CWD, trusted, AtFlags::empty()).ok())
            .any(|trusted| (trusted.st_dev, trusted.st_ino) == (wanted.st_dev, wanted.st_ino))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const NOBODY: u32 = 65534;

    fn trusting(daemon_user: u32, directory: &Path) -> Trust {
        Trust { daemon_user, directories: vec![directory.to_owned()] }
    }

    fn our_user() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[test]
    fn a_plain_file_of_the_daemons_user_is_opened_wherever_it_lies() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs_err::write(&path, "a").unwrap();
        assert!(trusting(our_user(), Path::new("/nonexistent")).open(&path).is_ok());
    }

    #[test]
    fn links_directories_and_fifos_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs_err::write(path("twice"), "a").unwrap();
        fs_err::hard_link(path("twice"), path("hard")).unwrap();
        fs_err::write(path("file"), "a").unwrap();
        symlink(path("file"), path("soft")).unwrap();
        fs_err::create_dir(path("directory")).unwrap();
        rustix::fs::mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let trust = trusting(our_user(), directory.path());
        for name in ["twice", "hard", "soft", "directory", "fifo", ".."] {
            assert!(matches!(trust.open(&path(name)), Err(SourceFault::NotItsOwn)), "{name}");
        }
        assert!(matches!(trust.open(Path::new("/dev/null")), Err(SourceFault::NotItsOwn)));
        assert!(matches!(trust.open(&path("missing")), Err(SourceFault::Unreadable(Errno::NOENT))));
    }

    #[test]
    fn a_file_of_root_is_opened_only_directly_in_a_trusted_directory_and_when_everybody_may_read_it() {
        assert_eq!(our_user(), 0, "this test makes files of root");
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs_err::create_dir(path("below")).unwrap();
        fs_err::write(path("below/a"), "a").unwrap();
        fs_err::write(path("a"), "a").unwrap();
        symlink(path("below"), path("link")).unwrap();
        fs_err::write(path("secret"), "s").unwrap();
        fs_err::set_permissions(path("secret"), PermissionsExt::from_mode(0o600)).unwrap();
        let trust = trusting(NOBODY, directory.path());
        assert!(trust.open(&path("a")).is_ok());
        assert!(matches!(trust.open(&path("secret")), Err(SourceFault::NotItsOwn)));
        assert!(trust.open(&path("below/../a")).is_ok());
        assert!(matches!(trust.open(&path("below/a")), Err(SourceFault::NotItsOwn)));
        assert!(matches!(trust.open(&path("link/a")), Err(SourceFault::NotItsOwn)));
        assert!(matches!(trust.open(Path::new("/etc/passwd")), Err(SourceFault::NotItsOwn)));
    }
}
