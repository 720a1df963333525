//! How it ended, and how that is told.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use crate::interruption::Stop;

/// The exit status after a usage error.
pub(crate) const USAGE: u8 = 2;

const FAILED: u8 = 1;

/// How it ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The file is complete; without OUT it may also be unchanged.
    Done,
    /// The file could not be had. The reason has been told.
    Failed,
    /// What we were called with makes no sense. The reason has been told.
    Misused,
    /// Somebody stopped us.
    Stopped(Stop),
}

impl Outcome {
    /// Tells the reason and fails.
    pub(crate) fn failed(reason: &dyn Display) -> Self {
        say(&format!("pacman2pacman-get: {reason}"));
        Self::Failed
    }

    /// Tells what is wrong with the command line.
    pub(crate) fn misused(reason: &dyn Display) -> Self {
        say(&format!("pacman2pacman-get: {reason}"));
        Self::Misused
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(FAILED),
            Outcome::Misused => Self::from(USAGE),
            Outcome::Stopped(stop) => Self::from(stop.status()),
        }
    }
}

/// Says one line to the user. pacman may run us with closed or full streams: that is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints what was asked for.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
