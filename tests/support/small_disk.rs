//! A file system of a few megabytes, to be filled up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::run;

/// A mounted tmpfs. Needs root.
#[derive(Debug)]
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts one that holds so many bytes.
    #[must_use]
    #[track_caller]
    pub fn mount(bytes: u64) -> Self {
        assert!(rustix::process::geteuid().is_root(), "mounting needs root");
        let directory = tempfile::Builder::new().prefix("p2pt-disk-").tempdir().expect("a temporary directory");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0755"), "p2pt"]).arg(directory.path());
        run(command, Duration::from_secs(10)).succeeded();
        Self { directory }
    }

    /// A path on it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy: a process that is about to end may still have a file open there.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.directory.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.directory.path().display());
        }
    }
}
