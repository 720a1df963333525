//! What a person runs to see and steer the daemon.
//!
//! Exit status: 0 done; 1 not done, or not all of it; 2 wrong usage; 3 the daemon is not running.

mod mktorrent;
mod report;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use p2p_client::{Client, ClientError, socket_path};

use crate::mktorrent::MktorrentOptions;
use crate::report::{complain, hint};
use crate::status::{StatusError, StatusOptions};

const FAILED: u8 = 1;
const NOT_RUNNING: u8 = 3;

/// Shows what p2pd does, and makes torrents for mirrors.
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
    Mktorrent(MktorrentOptions),
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.command {
        Command::Status(status) => show_status(&status, options.socket),
        Command::Mktorrent(options) => match mktorrent::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                FAILED.into()
            }
        },
    }
}

fn show_status(options: &StatusOptions, socket: Option<PathBuf>) -> ExitCode {
    let client = Client::new(socket_path(socket));
    let Err(error) = status::run(options, &client) else { return ExitCode::SUCCESS };
    complain(&error);
    let StatusError::Client(error) = error else { return FAILED.into() };
    let socket = client.socket().display();
    match error {
        ClientError::NotRunning => {
            hint(&format!(
                "nobody listens on {socket}; start it with `systemctl start p2pd` or `rc-service p2pd start`"
            ));
            return NOT_RUNNING.into();
        }
        ClientError::Hung => hint("it may be stopped or stuck: see its log, or restart it"),
        ClientError::Denied => hint(&format!("this user may not connect to {socket}")),
        ClientError::Api(error) => error.hint.iter().for_each(|text| hint(text)),
        ClientError::VersionMismatch { .. } | ClientError::Broken(_) | ClientError::Socket(_) => {}
    }
    FAILED.into()
}
