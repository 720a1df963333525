//! The sync databases: copies that may be refreshed, and what they say of a package.

use std::fs::{FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use p2p_api::PackageClaim;
use p2p_pacman::{Kind, PacmanConf, Repository, Request, SyncDatabases};
use tempfile::TempDir;

/// Only this user may look into it.
const PRIVATE: u32 = 0o700;
/// pacman 7 downloads as its `DownloadUser` where it is root: that user has to get through, and finds nothing secret.
const PASSABLE: u32 = 0o711;
const OPEN: u32 = 0o755;

/// A `DBPath` for this run: the installed packages are the system's, the sync databases are copies of the system's, with
/// their times, so that those that are still the newest need not be downloaded. Gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Copies(TempDir);

impl Copies {
    /// Makes the directory. A database that can't be read is left out: pacman downloads it.
    pub(crate) fn new(conf: &PacmanConf) -> io::Result<Self> {
        let mode = if rustix::process::geteuid().is_root() { PASSABLE } else { PRIVATE };
        let permissions = Permissions::from_mode(mode);
        let directory = tempfile::Builder::new().prefix("p2pctl-prefetch-").permissions(permissions).tempdir()?;
        symlink(std::path::absolute(conf.db_path.join("local"))?, directory.path().join("local"))?;
        let sync = directory.path().join("sync");
        fs::create_dir(&sync)?;
        fs::set_permissions(&sync, Permissions::from_mode(OPEN))?;
        for repository in &conf.repositories {
            for extension in ["db", "db.sig"] {
                let name = format!("{}.{extension}", repository.name);
                copy(&conf.db_path.join("sync").join(&name), sync.join(name))?;
            }
        }
        Ok(Self(directory))
    }

    pub(crate) fn db_path(&self) -> &Path {
        self.0.path()
    }
}

fn copy(from: &Path, to: PathBuf) -> io::Result<()> {
    let Ok(mut source) = fs::File::open(from) else { return Ok(()) };
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    let mut copy = fs::File::create(to)?;
    io::copy(source.file_mut(), copy.file_mut())?;
    copy.file().set_times(FileTimes::new().set_modified(metadata.modified()?))
}

/// What the databases below a `DBPath` say of packages.
#[derive(Debug)]
pub(crate) struct Claims<'a> {
    repositories: &'a [Repository],
    databases: SyncDatabases,
}

impl<'a> Claims<'a> {
    pub(crate) fn new(db_path: &Path, repositories: &'a [Repository]) -> Self {
        let names = repositories.iter().map(|repository| &repository.name);
        Self { repositories, databases: SyncDatabases::new(db_path, names) }
    }

    /// What the repository in which a URL lies says of the package there.
    pub(crate) fn of(&self, request: &Request) -> Option<PackageClaim> {
        let Kind::Package(file_name) = &request.kind else { return None };
        let (repository, _) = request.below(self.repositories)?;
        let known = self.databases.lookup_in(repository, file_name)?;
        Some(PackageClaim { sha256: known.id.sha256.to_string(), size: known.id.size })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn copies_have_the_systems_packages_and_the_times_of_its_databases_and_leave_nothing() {
        let system = tempfile::tempdir().unwrap();
        let root = system.path();
        fs::create_dir_all(root.join("sync")).unwrap();
        fs::create_dir_all(root.join("local/a-1-1")).unwrap();
        fs::write(root.join("sync/core.db"), "old").unwrap();
        fs::create_dir(root.join("sync/extra.db")).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        fs::File::open(root.join("sync/core.db")).unwrap().file().set_modified(then).unwrap();
        let text = format!("[options]\nDBPath = {}\n[core]\n[extra]\n[other]\n", root.display());
        fs::write(root.join("pacman.conf"), text).unwrap();
        let copies = Copies::new(&PacmanConf::load(&root.join("pacman.conf")).unwrap()).unwrap();
        let path = copies.db_path().to_owned();
        assert!(path.join("local/a-1-1").is_dir());
        assert_eq!(fs::read(path.join("sync/core.db")).unwrap(), b"old");
        assert_eq!(fs::metadata(path.join("sync/core.db")).unwrap().modified().unwrap(), then);
        assert_eq!(fs::read_dir(path.join("sync")).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o066, 0, "others may look into it");
        drop(copies);
        assert!(!path.exists());
        assert!(root.join("local/a-1-1").is_dir());
    }
}
