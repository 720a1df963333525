//! `p2pctl status`: the daemon at a glance.

mod overview;

use std::io::{self, IsTerminal as _, Write as _};

use p2p_client::{Client, ClientError};
use thiserror::Error;

use self::overview::{Colour, overview};

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusOptions {
    /// Print what the daemon says as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Why there is nothing to see.
#[derive(Debug, Error)]
pub(crate) enum StatusError {
    /// The daemon did not tell.
    #[error(transparent)]
    Client(ClientError),
    /// Standard output did not take it.
    #[error("the status can't be printed")]
    Print(#[source] io::Error),
}

/// Asks the daemon and prints what it says.
pub(crate) fn run(options: &StatusOptions, client: &Client) -> Result<(), StatusError> {
    let status = client.status().map_err(StatusError::Client)?;
    let text = if options.json {
        serde_json::to_string_pretty(&status).map_err(|error| StatusError::Print(error.into()))?
    } else {
        overview(&status, colour())
    };
    match writeln!(io::stdout(), "{text}") {
        // `p2pctl status | head -1` is a good use of it.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(StatusError::Print(error)),
        _ => Ok(()),
    }
}

/// Colours are for eyes, and for those who did not decline them (no-color.org).
fn colour() -> Colour {
    let is_declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    if io::stdout().is_terminal() && !is_declined && !is_dumb { Colour::On } else { Colour::Off }
}
