//! `p2pctl explain`: who has a package, and how it came last.

mod text;

use std::time::SystemTime;

use p2p_api::Explanation;
use p2p_client::Client;

use crate::catalog::Outcome;
use crate::explain::text::text;
use crate::status::StatusError;
use crate::terminal::print;

/// Says of one package who lists it and who has it, what each source gave at its last fetch, and why
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainOptions {
    /// The package: its name, its file's name, either after `repository/`, or a URL
    #[arg(value_name = "PACKAGE")]
    package: String,
    /// Print an array of what the daemon says as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Asks the daemon and prints what it says; incomplete where it knows nothing of such a package.
pub(crate) fn run(options: &ExplainOptions, client: &Client) -> Result<Outcome, StatusError> {
    let explanations = client.explanations(&options.package).map_err(StatusError::Client)?;
    let shown = if options.json {
        serde_json::to_string_pretty(&explanations).map_err(|error| StatusError::Print(error.into()))?
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let texts: Vec<String> = explanations.iter().map(|explanation| text(explanation, now)).collect();
        texts.join("\n\n")
    };
    print(&shown).map_err(StatusError::Print)?;
    Ok(if explanations.iter().any(is_known) { Outcome::Done } else { Outcome::Incomplete })
}

fn is_known(explanation: &Explanation) -> bool {
    !explanation.listings.is_empty() || explanation.held.is_some() || explanation.last_fetch.is_some()
}
