//! A directory to download into, a mirror, and perhaps a daemon.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::daemon::{Conversation, Daemon};
use crate::mirror::Mirror;

pub(crate) const NAME: &str = "a-1:2.0+r5-1-any.pkg.tar.zst";

/// What a bounded wait is bounded by.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    // Dropped in this order: to wake the daemon's thread takes its socket.
    daemon: Option<Daemon>,
    pub(crate) mirror: Mirror,
    directory: TempDir,
}

impl Scene {
    /// Nobody listens on the socket.
    pub(crate) fn without_daemon() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["cache", "mirror", "store"] {
            fs_err::create_dir(directory.path().join(name)).unwrap();
        }
        let mirror = Mirror::start(directory.path().join("mirror"));
        Self { directory, mirror, daemon: None }
    }

    /// A daemon that converses like this with everyone who asks for a file.
    pub(crate) fn with_daemon(converse: impl Fn(&mut Conversation) + Send + 'static) -> Self {
        let mut scene = Self::without_daemon();
        scene.start_daemon(converse);
        scene
    }

    pub(crate) fn start_daemon(&mut self, converse: impl Fn(&mut Conversation) + Send + 'static) {
        self.daemon = Some(Daemon::start(&self.socket(), converse));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("p2pd.sock")
    }

    /// The `%o` for a file of this name.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.path("cache").join(format!("{name}.part"))
    }

    /// Puts a file on the mirror.
    pub(crate) fn offer(&self, name: &str, bytes: &[u8]) {
        fs_err::write(self.path("mirror").join(name), bytes).unwrap();
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.mirror.url(name)
    }

    /// The program, in the cache directory, with an environment that holds no surprises.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pacman2pacman-get"));
        command
            .current_dir(self.path("cache"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("P2PD_SOCKET", self.socket());
        command
    }

    /// Runs it as pacman does with `%u %o`.
    pub(crate) fn get(&self, name: &str) -> Output {
        self.program().arg(self.url(name)).arg(self.out(name)).output().unwrap()
    }

    /// What lies in the cache, by name.
    pub(crate) fn cache(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.path("cache")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Some bytes that are not the same everywhere.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub(crate) fn succeeded(output: &Output) {
    assert!(output.status.success(), "{:?}: {}", output.status, said(output));
}

/// Waits until something holds, and says what did not.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

/// Seconds since 1970 at which a file was modified.
pub(crate) fn modified(path: &Path) -> i64 {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::metadata(path).unwrap().mtime()
}
