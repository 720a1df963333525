//! `p2pctl doctor`: what is wrong, and what can be done about it.

mod ask;
mod checks;
mod finding;
mod local;

use std::time::SystemTime;

use p2p_client::{Client, ClientError};

use self::checks::{Facts, findings, findings_without_daemon};
use self::finding::{Finding, Health};
use self::local::Local;
use crate::status::StatusError;
use crate::terminal::{Colour, print};

/// Looks for what may be wrong with p2pd on this machine, and says what can be done about it
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorOptions {
    /// Print an array of what was found as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// How it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    Ill,
    /// The daemon is not running.
    Absent,
}

/// Asks the daemon, looks around, and prints what was found.
pub(crate) fn run(options: &DoctorOptions, client: &Client) -> Result<Verdict, StatusError> {
    let (findings, is_running) = match client.status() {
        Ok(status) => {
            let diagnosis = client.diagnosis().map_err(StatusError::Client)?;
            let local = Local::of_running(client.socket(), diagnosis.pacman.xfer_command.as_deref());
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
            (findings(&Facts { status: &status, diagnosis: &diagnosis, local: &local, now }), true)
        }
        Err(ClientError::NotRunning) => (findings_without_daemon(&Local::of_absent(client.socket())), false),
        Err(error) => return Err(StatusError::Client(error)),
    };
    let shown = if options.json {
        serde_json::to_string_pretty(&findings).map_err(|error| StatusError::Print(error.into()))?
    } else {
        finding::text(&findings, Colour::of_output())
    };
    print(&shown).map_err(StatusError::Print)?;
    Ok(verdict(&findings, is_running))
}

fn verdict(findings: &[Finding], is_running: bool) -> Verdict {
    match is_running {
        false => Verdict::Absent,
        true if findings.iter().any(|finding| finding.health == Health::Problem) => Verdict::Ill,
        true => Verdict::Well,
    }
}
