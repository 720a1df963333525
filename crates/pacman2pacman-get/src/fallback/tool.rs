//! curl and wget: how they are called, and what their answers mean.

use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use thiserror::Error;

use crate::interruption::{Interruption, Stop};
use crate::part::Begin;

/// How pacman's own downloader judges a mirror that is silent: 10 s without a byte.
const SILENCE: [&str; 4] = ["--speed-limit", "1", "--speed-time", "10"];

/// Between two looks at whether our parent lives; signals are noticed at once.
const TURN: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// One download.
#[derive(Debug)]
pub(crate) struct Get<'a> {
    pub(crate) url: &'a str,
    pub(crate) to: &'a Path,
    pub(crate) begin: Begin,
    /// Ask only for what is newer than this file.
    pub(crate) newer_than: Option<&'a Path>,
    pub(crate) noise: Noise,
    pub(crate) patience: Patience,
}

/// How long a mirror may take to be found and reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// 10 s, as with pacman's own downloader.
    Usual,
    /// 2.5 s: the daemon has just tried in vain to reach all mirrors. Where it is wrong, or the network is only just back, names,
    /// TCP and TLS still have to be done over a slow link: four round trips by satellite.
    Short,
}

impl Patience {
    const fn seconds(self) -> &'static str {
        match self {
            Self::Usual => "10",
            Self::Short => "2.5",
        }
    }
}

/// How much the tool says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noise {
    /// Progress on a terminal, errors always.
    AsUsual,
    /// Not even errors.
    None,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum ToolFault {
    #[error("stopped")]
    Stopped(Stop),
    #[error("there is neither curl nor wget")]
    NoTool,
    #[error("can't run {0}")]
    Run(&'static str, #[source] std::io::Error),
}

/// What a tool says in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Curl { exit: Option<i32>, http: u16 },
    Wget { exit: Option<i32> },
}

impl Answer {
    /// curl counts 416 as success, as if the file were complete already: that it is, nobody knows.
    pub(crate) const fn is_success(&self) -> bool {
        matches!(self, Self::Curl { exit: Some(0), http: ..=399 } | Self::Wget { exit: Some(0) })
    }

    pub(crate) const fn is_unchanged(&self) -> bool {
        matches!(self, Self::Curl { exit: Some(0), http: 304 })
    }

    /// wget can't tell 404 from 403.
    pub(crate) const fn is_not_found(&self) -> bool {
        matches!(self, Self::Curl { http: 404, .. } | Self::Wget { exit: Some(8) })
    }

    /// The mirror does not continue, or what is there is longer than the file (curl: 33 no ranges, 36 bad resume).
    pub(crate) const fn can_not_resume(&self) -> bool {
        matches!(self, Self::Curl { http: 416, .. } | Self::Curl { exit: Some(33 | 36), .. })
    }
}

/// Downloads with curl, or with wget where there is no curl.
pub(crate) fn get(get: &Get<'_>, interruption: &Interruption) -> Result<Answer, ToolFault> {
    match run("curl", &mut curl(get), interruption)? {
        Some((status, output)) => Ok(Answer::Curl { exit: status.code(), http: output.trim().parse().unwrap_or(0) }),
        None => match run("wget", &mut wget(get), interruption)? {
            Some((status, _)) => Ok(Answer::Wget { exit: status.code() }),
            None => Err(ToolFault::NoTool),
        },
    }
}

fn curl(get: &Get<'_>) -> Command {
    let mut command = Command::new("curl");
    command.args(["--location", "--fail", "--globoff", "--remote-time", "--write-out", "%{http_code}"]);
    command.args(["--connect-timeout", get.patience.seconds()]).args(SILENCE);
    if get.begin == Begin::AtTheEnd {
        command.args(["--continue-at", "-"]);
    }
    if let Some(file) = get.newer_than {
        command.arg("--time-cond").arg(file);
    }
    match get.noise {
        Noise::None => command.arg("--silent"),
        Noise::AsUsual if std::io::stderr().is_terminal() => command.arg("--progress-bar"),
        Noise::AsUsual => command.args(["--silent", "--show-error"]),
    };
    command.arg("--output").arg(get.to).args(["--url", get.url]);
    command
}

/// Only what busybox understands too, such as one number of whole seconds for everything. It always begins afresh: told to continue, wget takes a file that is too long for
/// a complete one.
fn wget(get: &Get<'_>) -> Command {
    let mut command = Command::new("wget");
    if get.noise == Noise::None || !std::io::stderr().is_terminal() {
        command.arg("-q");
    }
    command.args(["-T", get.patience.seconds(), "-O"]).arg(get.to).args(["--", get.url]);
    command
}

/// Runs a tool to its end; None when there is none of that name.
fn run(
    name: &'static str,
    command: &mut Command,
    interruption: &Interruption,
) -> Result<Option<(ExitStatus, String)>, ToolFault> {
    interruption.check().map_err(ToolFault::Stopped)?;
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ToolFault::Run(name, error)),
    };
    let stopped = wait_or_stop(&child, interruption);
    if stopped.is_err() {
        // It may be gone by itself: ^C reaches the whole foreground group.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    }
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Three digits; a tool that writes more is not listened to.
        let _ = stdout.take(64).read_to_string(&mut output);
    }
    let status = child.wait().map_err(|error| ToolFault::Run(name, error))?;
    stopped.map_err(ToolFault::Stopped)?;
    Ok(Some((status, output)))
}

/// Returns when the child has ended, or is to be ended. Without pidfd (Linux before 5.3) only the child's end counts.
fn wait_or_stop(child: &Child, interruption: &Interruption) -> Result<(), Stop> {
    let Ok(descriptor) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return Ok(()) };
    loop {
        interruption.check()?;
        if let Ok(1..) = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&TURN)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_by_satellite_can_be_reached_whatever_the_daemon_says() {
        let round_trip = 0.6;
        for patience in [Patience::Usual, Patience::Short] {
            let seconds: f64 = patience.seconds().parse().expect("seconds");
            assert!(seconds > 4.0 * round_trip, "{patience:?}: the name, TCP and two for TLS");
        }
    }

    #[test]
    fn answers_mean_what_they_mean() {
        let curl = |exit, http| Answer::Curl { exit: Some(exit), http };
        assert!(curl(0, 200).is_success() && curl(0, 206).is_success());
        assert!(curl(0, 0).is_success(), "ftp has no status");
        assert!(!curl(0, 416).is_success() && curl(0, 416).can_not_resume());
        assert!(curl(22, 416).can_not_resume() && curl(33, 200).can_not_resume());
        assert!(curl(22, 404).is_not_found() && !curl(22, 404).can_not_resume());
        assert!(curl(0, 304).is_unchanged());
        assert!(!Answer::Curl { exit: None, http: 200 }.is_success());
        assert!(Answer::Wget { exit: Some(0) }.is_success() && Answer::Wget { exit: Some(8) }.is_not_found());
    }
}
