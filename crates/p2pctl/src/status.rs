//! `p2pctl status`: the daemon at a glance.

mod overview;

use std::io;

use p2p_client::{Client, ClientError};
use thiserror::Error;

use self::overview::overview;
use crate::terminal::{Colour, print};

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
    #[error("the answer can't be printed")]
    Print(#[source] io::Error),
}

/// Asks the daemon and prints what it says.
pub(crate) fn run(options: &StatusOptions, client: &Client) -> Result<(), StatusError> {
    let status = client.status().map_err(StatusError::Client)?;
    let text = if options.json {
        serde_json::to_string_pretty(&status).map_err(|error| StatusError::Print(error.into()))?
    } else {
        overview(&status, Colour::of_output())
    };
    print(&text).map_err(StatusError::Print)
}
