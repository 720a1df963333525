//! `p2pctl publishers`: whom the daemon follows, and what they said last.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use p2p_api::Published;
use p2p_client::Client;
use std::time::{Duration, SystemTime};

use crate::report::plain;
use crate::status::StatusError;
use crate::terminal::print;

/// Shows the publishers that p2pd follows, and who publishes through it
#[derive(Debug, clap::Args)]
pub(crate) struct PublishersOptions {
    /// Print what the daemon says as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Asks the daemon and prints what it says.
pub(crate) fn run(options: &PublishersOptions, client: &Client) -> Result<(), StatusError> {
    let publishers = client.publications().map_err(StatusError::Client)?;
    let text = if options.json {
        serde_json::to_string_pretty(&publishers).map_err(|error| StatusError::Print(error.into()))?
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        text(&publishers, now)
    };
    print(&text).map_err(StatusError::Print)
}

fn text(publishers: &[Published], now: Duration) -> String {
    if publishers.is_empty() {
        return "no publishers: [[publishers]] in p2pd's configuration names them".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["repository", "published", "packages", "role", "key"]);
    for publisher in publishers {
        let packages = publisher.packages.map_or_else(|| "-".to_owned(), |packages| packages.to_string());
        let role = match (publisher.own, publisher.followed) {
            (true, true) => "here, followed",
            (true, false) => "here",
            (false, _) => "followed",
        };
        table.add_row([
            Cell::new(plain(&publisher.repository)),
            Cell::new(publisher.published.map_or_else(|| "-".to_owned(), |at| age(at, now))),
            Cell::new(packages).set_alignment(CellAlignment::Right),
            Cell::new(role),
            Cell::new(plain(&publisher.key)),
        ]);
    }
    let table = table.trim_fmt();
    let lines: Vec<&str> = table.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

/// To the minute: nobody needs it finer.
fn age(published: i64, now: Duration) -> String {
    let published = Duration::from_secs(u64::try_from(published).unwrap_or_default());
    let minutes = now.saturating_sub(published).as_secs() / 60;
    if minutes == 0 {
        return "just now".to_owned();
    }
    format!("{} ago", humantime::format_duration(Duration::from_mins(minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_are_lines() {
        let heard = Published {
            repository: "core".to_owned(),
            key: "0f".repeat(32),
            followed: true,
            own: false,
            published: Some(1_700_000_000),
            database: Some("aa".repeat(32)),
            packages: Some(271),
        };
        let silent = Published { published: None, packages: None, database: None, ..heard.clone() };
        let own = Published { own: true, followed: false, published: Some(1_700_007_170), ..heard.clone() };
        let shown = text(&[heard, silent, own], Duration::from_secs(1_700_007_200));
        insta::assert_snapshot!(shown, @"
        repository  published  packages  role      key
        core        2h ago          271  followed  0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
        core        -                 -  followed  0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
        core        just now        271  here      0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
        ");
        assert!(text(&[], Duration::ZERO).starts_with("no publishers"));
    }
}
