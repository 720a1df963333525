//! What a person runs to see and steer the daemon.
//!
//! Exit status: 0 done; 1 not done, or not all of it; 2 wrong usage; 3 the daemon is not running.

mod catalog;
mod doctor;
mod explain;
mod forget;
mod list;
mod mktorrent;
mod neighbours;
mod prefetch;
mod publish;
mod publisher_key;
mod publishers;
mod report;
mod rescan;
mod status;
mod terminal;
mod upload;
mod verify;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use p2p_client::{Client, ClientError, socket_path};

use crate::catalog::{CatalogError, Outcome};
use crate::doctor::{DoctorOptions, Verdict};
use crate::explain::ExplainOptions;
use crate::forget::ForgetOptions;
use crate::list::ListOptions;
use crate::mktorrent::MktorrentOptions;
use crate::neighbours::NeighboursOptions;
use crate::prefetch::{PrefetchError, PrefetchOptions};
use crate::publish::{PublishError, PublishOptions};
use crate::publisher_key::PublisherKeyOptions;
use crate::publishers::PublishersOptions;
use crate::report::{complain, hint};
use crate::rescan::RescanOptions;
use crate::status::{StatusError, StatusOptions};
use crate::upload::{LimitOptions, PauseOptions, ResumeOptions, UploadError};
use crate::verify::VerifyOptions;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const NOT_RUNNING: u8 = 3;

/// Shows what p2pd does and which packages it seeds, has it fetch packages ahead, and makes torrents for mirrors.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit status: 0 done; 1 not done; 2 wrong usage; 3 p2pd is not running.")]
struct Options {
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help = "Where p2pd listens [default: $P2PD_SOCKET, else /run/p2pd/p2pd.sock]"
    )]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what is seeded, what goes up and down, and whether others are found
    Status(StatusOptions),
    Doctor(DoctorOptions),
    Explain(ExplainOptions),
    Neighbours(NeighboursOptions),
    List(ListOptions),
    Verify(VerifyOptions),
    Rescan(RescanOptions),
    Forget(ForgetOptions),
    Prefetch(PrefetchOptions),
    Pause(PauseOptions),
    Resume(ResumeOptions),
    Limit(LimitOptions),
    Mktorrent(MktorrentOptions),
    PublisherKey(PublisherKeyOptions),
    Publish(PublishOptions),
    Publishers(PublishersOptions),
}

fn main() -> ExitCode {
    let Options { socket, command } = Options::parse();
    let client = Client::new(socket_path(socket));
    match command {
        Command::Status(options) => {
            status::run(&options, &client).map_or_else(|error| no_status(&error, &client), done)
        }
        Command::Doctor(options) => {
            doctor::run(&options, &client).map_or_else(|error| no_status(&error, &client), examined)
        }
        Command::Explain(options) => {
            explain::run(&options, &client).map_or_else(|error| no_status(&error, &client), told)
        }
        Command::Neighbours(options) => {
            neighbours::run(&options, &client).map_or_else(|error| no_status(&error, &client), done)
        }
        Command::List(options) => ended(list::run(&options, &client), &client),
        Command::Verify(options) => ended(verify::run(&options, &client), &client),
        Command::Rescan(options) => ended(rescan::run(&options, &client), &client),
        Command::Forget(options) => ended(forget::run(&options, &client), &client),
        Command::Prefetch(options) => {
            prefetch::run(&options, &client).map_or_else(|error| no_prefetch(&error, &client), done)
        }
        Command::Pause(options) => limited(upload::pause(&options, &client), &client),
        Command::Resume(options) => limited(upload::resume(&options, &client), &client),
        Command::Limit(options) => limited(upload::limit(&options, &client), &client),
        Command::Mktorrent(options) => mktorrent::run(options).map_or_else(|error| failed(&error), done),
        Command::PublisherKey(options) => publisher_key::run(&options).map_or_else(|error| failed(&error), done),
        Command::Publish(options) => published(publish::run(&options, &client), &client),
        Command::Publishers(options) => {
            publishers::run(&options, &client).map_or_else(|error| no_status(&error, &client), done)
        }
    }
}

const fn done(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn told(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::Incomplete => FAILED.into(),
    }
}

fn examined(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Well => ExitCode::SUCCESS,
        Verdict::Ill => FAILED.into(),
        Verdict::Absent => NOT_RUNNING.into(),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    complain(error);
    FAILED.into()
}

fn no_status(error: &StatusError, client: &Client) -> ExitCode {
    let status = failed(error);
    if let StatusError::Client(error) = error { no_daemon(error, client) } else { status }
}

fn ended(result: Result<Outcome, CatalogError>, client: &Client) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => return FAILED.into(),
        Err(error) => error,
    };
    let status = failed(&error);
    match error {
        CatalogError::Names(_) => WRONG_USAGE.into(),
        CatalogError::Client(error) => no_daemon(&error, client),
        CatalogError::Print(_) => status,
    }
}

fn limited(result: Result<(), UploadError>, client: &Client) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let status = failed(&error);
    if let UploadError::Client(error) = &error { no_daemon(error, client) } else { status }
}

fn published(result: Result<Outcome, PublishError>, client: &Client) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => return FAILED.into(),
        Err(error) => error,
    };
    let status = failed(&error);
    if let PublishError::Client(error) = &error { no_daemon(error, client) } else { status }
}

fn no_prefetch(error: &PrefetchError, client: &Client) -> ExitCode {
    if let PrefetchError::Interrupted(interrupted) = error {
        prefetch::end_by(*interrupted);
        return FAILED.into();
    }
    let status = failed(error);
    match error {
        PrefetchError::Targets(_) => WRONG_USAGE.into(),
        PrefetchError::Client(error) => no_daemon(error, client),
        PrefetchError::Pacman(fault) => {
            fault.hint().iter().for_each(|text| hint(text));
            status
        }
        PrefetchError::Signals(_)
        | PrefetchError::Config(_)
        | PrefetchError::Copies(_)
        | PrefetchError::Incomplete { .. }
        | PrefetchError::Print(_)
        | PrefetchError::Interrupted(_) => status,
    }
}

/// Says what can be done where the daemon was of no help, which has been said.
fn no_daemon(error: &ClientError, client: &Client) -> ExitCode {
    let socket = client.socket().display();
    match error {
        ClientError::NotRunning => {
            hint(&format!(
                "nobody listens on {socket}; start it with `systemctl start p2pd` or `rc-service p2pd start`"
            ));
            return NOT_RUNNING.into();
        }
        ClientError::Hung => hint("it may be stopped or stuck: see its log, or restart it"),
        ClientError::Denied => hint(&format!(
            "this user may not connect to {socket}, or may not fetch: see daemon.fetch_users and daemon.fetch_group"
        )),
        ClientError::Api(error) => error.hint.iter().for_each(|text| hint(text)),
        ClientError::VersionMismatch { .. } | ClientError::Broken(_) | ClientError::Socket(_) => {}
    }
    FAILED.into()
}
