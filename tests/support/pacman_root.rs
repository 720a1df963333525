//! A system for the real pacman: root directory, configuration, cache, keyring.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::package::BUILD_DATE;
use crate::repository::ARCH;
use crate::{Host, Keyring, Package, Ran, Repository, run};

/// How long one pacman run may take in a test.
const PACMAN_WITHIN: Duration = Duration::from_mins(5);

/// What `pacman.conf` says.
#[derive(Debug, Clone)]
pub struct PacmanRootOptions {
    /// Repositories with their `Server` lines, `$repo` and `$arch` unreplaced.
    pub repositories: Vec<(String, Vec<String>)>,
    /// `SigLevel`.
    pub sig_level: String,
    /// `XferCommand`.
    pub xfer_command: Option<String>,
    /// Further lines for `[options]`.
    pub lines: Vec<String>,
    /// Where pacman runs.
    pub host: Host,
}

impl PacmanRootOptions {
    /// Unsigned repositories, all with the same servers, and pacman's own downloader.
    #[must_use]
    pub fn new(repositories: &[&Repository], servers: &[&str]) -> Self {
        let servers: Vec<String> = servers.iter().map(|&server| server.to_owned()).collect();
        let repositories = repositories.iter().map(|repository| (repository.name().to_owned(), servers.clone()));
        Self {
            repositories: repositories.collect(),
            sig_level: "Never".into(),
            xfer_command: None,
            lines: Vec::new(),
            host: Host::loopback(),
        }
    }
}

/// An empty system below a temporary directory.
#[derive(Debug)]
pub struct PacmanRoot {
    directory: TempDir,
    host: Host,
}

impl PacmanRoot {
    /// Makes the directories and the configuration; with a keyring, pacman trusts its key.
    #[must_use]
    #[track_caller]
    pub fn new(options: &PacmanRootOptions, keyring: Option<&Keyring>) -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-root-").tempdir().expect("a temporary directory");
        let root = Self { directory, host: options.host.clone() };
        for path in ["db", "cache", "hooks", "gnupg"] {
            fs::create_dir(root.path(path)).expect("a fresh directory can be filled");
        }
        fs::create_dir(root.path("root")).expect("a fresh directory can be filled");
        root.configure(options);
        if let Some(keyring) = keyring {
            keyring.write_pacman_keyring(&root.path("gnupg"));
        }
        root
    }

    /// Writes `pacman.conf` again.
    #[track_caller]
    pub fn configure(&self, options: &PacmanRootOptions) {
        let at = |name: &str| self.path(name).display().to_string();
        let mut text = format!(
            "[options]\nRootDir = {}\nDBPath = {}\nCacheDir = {}\nLogFile = {}\nGPGDir = {}\nHookDir = {}\n\
             Architecture = {ARCH}\nNoProgressBar\nSigLevel = {}\n",
            at("root"),
            at("db"),
            at("cache"),
            at("pacman.log"),
            at("gnupg"),
            at("hooks"),
            options.sig_level,
        );
        let xfer_command = options.xfer_command.iter().map(|command| format!("XferCommand = {command}"));
        for line in xfer_command.chain(options.lines.iter().cloned()) {
            writeln!(text, "{line}").expect("a String takes all");
        }
        for (name, servers) in &options.repositories {
            writeln!(text, "[{name}]").expect("a String takes all");
            for server in servers {
                writeln!(text, "Server = {server}").expect("a String takes all");
            }
        }
        fs::write(self.config(), text).expect("the configuration can be written");
    }

    /// Its `pacman.conf`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("pacman.conf")
    }

    /// Its `CacheDir`.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// Its `DBPath`.
    #[must_use]
    pub fn db_path(&self) -> PathBuf {
        self.path("db")
    }

    /// Its `GPGDir`.
    #[must_use]
    pub fn gpg_dir(&self) -> PathBuf {
        self.path("gnupg")
    }

    /// Its `RootDir`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Where a package lies once pacman has downloaded it.
    #[must_use]
    pub fn cached(&self, package: &Package) -> PathBuf {
        self.cache().join(package.file_name())
    }

    /// Whether the package's file is installed.
    #[must_use]
    pub fn has_installed(&self, package: &Package) -> bool {
        self.root().join("usr/share/p2p-tests").join(package.name()).is_file()
    }

    /// Puts a repository's database where `pacman -Sy` would have put it.
    #[track_caller]
    pub fn place_database(&self, repository: &Repository) {
        let (sync, name) = (self.db_path().join("sync"), format!("{}.db", repository.name()));
        fs::create_dir_all(&sync).expect("the system is ours");
        fs::copy(repository.directory().join(&name), sync.join(name)).expect("the repository has a database");
    }

    /// A repository's database as pacman has it.
    #[must_use]
    #[track_caller]
    pub fn sync_database(&self, repository: &Repository) -> Vec<u8> {
        let path = self.db_path().join("sync").join(format!("{}.db", repository.name()));
        fs::read(path).expect("pacman has a database")
    }

    /// Writes into the local database, as if these packages were installed: names and versions. They have no files.
    #[track_caller]
    pub fn record_installed(&self, packages: impl IntoIterator<Item = (String, String)>) {
        let local = self.db_path().join("local");
        fs::create_dir_all(&local).expect("the system is ours");
        let write = |path: PathBuf, text: &str| fs::write(path, text).expect("the system is ours");
        write(local.join("ALPM_DB_VERSION"), "9\n");
        for (name, version) in packages {
            let entry = local.join(format!("{name}-{version}"));
            fs::create_dir_all(&entry).expect("the system is ours");
            let text = format!(
                "%NAME%\n{name}\n\n%VERSION%\n{version}\n\n%BASE%\n{name}\n\n%DESC%\nA package for tests\n\n\
                 %ARCH%\nany\n\n%BUILDDATE%\n{BUILD_DATE}\n\n%INSTALLDATE%\n{BUILD_DATE}\n\n%SIZE%\n2000\n\n\
                 %VALIDATION%\nnone\n\n"
            );
            write(entry.join("desc"), &text);
            write(entry.join("files"), "%FILES%\n");
        }
    }

    /// Runs pacman without questions; as root, or as what fakeroot makes look like root.
    #[track_caller]
    pub fn pacman(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments), PACMAN_WITHIN)
    }

    /// The command of [`Self::pacman`], for who wants to run it otherwise.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = if rustix::process::geteuid().is_root() {
            self.host.command("pacman")
        } else {
            let mut command = self.host.command("fakeroot");
            command.args(["--", "pacman"]);
            command
        };
        command.arg("--config").arg(self.config()).args(["--noconfirm", "--color", "never"]);
        command.env("LC_ALL", "C").args(arguments);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}
