//! pacman2pacman-get, as pacman runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Binaries, Host, Ran, run};

/// The client of the build under test.
#[derive(Debug, Clone)]
pub struct Client {
    program: PathBuf,
    host: Host,
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(binaries: &Binaries, host: &Host, socket: &Path) -> Self {
        Self { program: binaries.get(), host: host.clone(), socket: socket.to_owned() }
    }

    /// Fetches `url` to `out` (`XferCommand = … %u %o`).
    #[track_caller]
    pub fn fetch(&self, url: &str, out: &Path, bound: Duration) -> Ran {
        run(self.command(url, out), bound)
    }

    /// The command of [`Self::fetch`], for who wants to run it otherwise.
    #[must_use]
    pub fn command(&self, url: &str, out: &Path) -> Command {
        let mut command = self.host.command(&self.program);
        command.arg("--socket").arg(&self.socket).arg(url).arg(out);
        command
    }

    /// Starts [`Self::fetch`] and does not wait for its end.
    #[must_use]
    #[track_caller]
    pub fn begin(&self, url: &str, out: &Path) -> crate::Process {
        let log = PathBuf::from(format!("{}.log", out.display()));
        crate::Process::start("pacman2pacman-get", self.command(url, out), &log)
    }
}
