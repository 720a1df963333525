//! The real pacman, asked what it would download.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::interruption::{Interrupted, Interruption};
use super::program::{RunFault, output};

/// A slow mirror may take this long for all databases.
const REFRESH_WITHIN: Duration = Duration::from_mins(15);
/// Two or three seconds, where thousands of packages are installed.
const LIST_WITHIN: Duration = Duration::from_mins(2);

/// The first with a sandbox for its downloads, which does not work under fakeroot.
const FIRST_WITH_SANDBOX: u32 = 7;

/// The pacman of this machine, with one configuration.
#[derive(Debug)]
pub(crate) struct Pacman<'a> {
    config: &'a Path,
    interruption: &'a Interruption,
    has_sandbox: bool,
}

/// Why pacman did not tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacmanFault {
    #[error("pacman can't be run")]
    Find(#[source] RunFault),
    /// Only root may refresh databases, says pacman; that it is its own copy makes no difference.
    #[error("fakeroot is missing, without which pacman refreshes databases for root only")]
    NoFakeroot,
    #[error("pacman can't refresh the copies of its databases")]
    Refresh(#[source] RunFault),
    #[error("pacman can't say what it would download")]
    List(#[source] RunFault),
}

impl PacmanFault {
    /// The signal, where one came in meanwhile.
    pub(super) const fn interrupted(&self) -> Option<Interrupted> {
        match self {
            Self::Find(fault) | Self::Refresh(fault) | Self::List(fault) => fault.interrupted(),
            Self::NoFakeroot => None,
        }
    }

    /// What can be done about it.
    pub(crate) const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoFakeroot => Some("install fakeroot, or run this as root"),
            Self::Find(_) | Self::Refresh(_) | Self::List(_) => None,
        }
    }
}

impl<'a> Pacman<'a> {
    /// Looks which pacman there is.
    pub(crate) fn find(config: &'a Path, interruption: &'a Interruption) -> Result<Self, PacmanFault> {
        let mut command = Command::new("pacman");
        command.arg("--version");
        let text = output(&mut command, LIST_WITHIN, interruption).map_err(PacmanFault::Find)?;
        let has_sandbox = major(&String::from_utf8_lossy(&text)).is_some_and(|major| major >= FIRST_WITH_SANDBOX);
        Ok(Self { config, interruption, has_sandbox })
    }

    /// Brings the sync databases below this `DBPath`, which is not the system's, up to date.
    pub(crate) fn refresh(&self, db_path: &Path) -> Result<(), PacmanFault> {
        let is_root = rustix::process::geteuid().is_root();
        let mut command = Command::new(if is_root { "pacman" } else { "fakeroot" });
        if !is_root {
            command.args(["--", "pacman"]);
        }
        command.args(["--sync", "--refresh", "--noconfirm", "--logfile", "/dev/null"]);
        if self.has_sandbox && !is_root {
            command.arg("--disable-sandbox");
        }
        self.point(&mut command, db_path);
        match output(&mut command, REFRESH_WITHIN, self.interruption) {
            Ok(_) => Ok(()),
            Err(RunFault::Start(error)) if !is_root && error.kind() == io::ErrorKind::NotFound => {
                Err(PacmanFault::NoFakeroot)
            }
            Err(fault) => Err(PacmanFault::Refresh(fault)),
        }
    }

    /// The URLs of what it would download for an upgrade of the system, and for packages by their names; where it has a
    /// package already, the one of its cache.
    pub(crate) fn list(&self, db_path: &Path, sysupgrade: bool, names: &[String]) -> Result<Vec<String>, PacmanFault> {
        let mut command = Command::new("pacman");
        command.args(["--sync", "--print", "--print-format", "%l"]);
        if sysupgrade {
            command.arg("--sysupgrade");
        }
        self.point(&mut command, db_path).arg("--").args(names);
        let text = output(&mut command, LIST_WITHIN, self.interruption).map_err(PacmanFault::List)?;
        Ok(urls(&String::from_utf8_lossy(&text)))
    }

    fn point<'c>(&self, command: &'c mut Command, db_path: &Path) -> &'c mut Command {
        command.arg("--dbpath").arg(db_path).arg("--config").arg(self.config)
    }
}

/// `6` of `Pacman v6.0.2 - libalpm v13.0.2`.
fn major(version: &str) -> Option<u32> {
    let (_, after) = version.split_once("Pacman v")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// pacman says other things as well, that there is nothing to do say.
fn urls(text: &str) -> Vec<String> {
    let is_url = |line: &&str| line.contains("://") && !line.contains(char::is_whitespace);
    text.lines().map(str::trim).filter(is_url).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let shown = |version| format!("\n .--.                  Pacman v{version} - libalpm v13.0.2\n/ _.-' .-.");
        assert_eq!(major(&shown("6.0.2")), Some(6));
        assert_eq!(major(&shown("7.1.0.r12.gabc")), Some(7));
        assert_eq!(major("pacman-static"), None);
    }

    #[test]
    fn only_urls_are_taken_from_what_pacman_prints() {
        let text = ":: Starting full system upgrade...\n there is nothing to do\nhttp://m/a\nfile:///var/b:c\n";
        assert_eq!(urls(text), ["http://m/a", "file:///var/b:c"]);
    }
}
