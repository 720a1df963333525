//! `p2pctl neighbours`: the daemons that this one asks first.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use p2p_api::{Neighbour, NeighbourOrigin};
use p2p_client::Client;

use crate::report::{count, plain};
use crate::status::StatusError;
use crate::terminal::print;

/// Shows the daemons that this one is connected with, the nearest first
#[derive(Debug, clap::Args)]
pub(crate) struct NeighboursOptions {
    /// Print what the daemon says as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Asks the daemon and prints what it says.
pub(crate) fn run(options: &NeighboursOptions, client: &Client) -> Result<(), StatusError> {
    let neighbours = client.neighbours().map_err(StatusError::Client)?;
    let text = if options.json {
        serde_json::to_string_pretty(&neighbours).map_err(|error| StatusError::Print(error.into()))?
    } else {
        text(&neighbours)
    };
    print(&text).map_err(StatusError::Print)
}

fn text(neighbours: &[Neighbour]) -> String {
    if neighbours.is_empty() {
        return "no neighbours".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["address", "repository", "known", "answers in", "here for", "program"]);
    for neighbour in neighbours {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(plain(&neighbour.address)),
            Cell::new(neighbour.repository.as_deref().map_or_else(|| "-".to_owned(), plain)),
            Cell::new(origin(neighbour)),
            right(neighbour.round_trip_us.map_or_else(|| "-".to_owned(), milliseconds)),
            right(humantime::format_duration(Duration::from_secs(neighbour.connected_seconds)).to_string()),
            Cell::new(neighbour.version.as_deref().map_or_else(|| "-".to_owned(), plain)),
        ]);
    }
    let table = table.trim_fmt();
    let lines: Vec<&str> = table.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let local = neighbours.iter().filter(|neighbour| neighbour.local).count() as u64;
    let all = count(neighbours.len() as u64, "neighbour");
    format!("{}\n\n{all}, {local} on local networks", lines.join("\n"))
}

fn origin(neighbour: &Neighbour) -> &'static str {
    match neighbour.origin {
        NeighbourOrigin::Configured => "configured",
        NeighbourOrigin::Lan => "local network",
        NeighbourOrigin::Remembered => "from before",
        NeighbourOrigin::Neighbour => "neighbour",
        NeighbourOrigin::Tracker => "tracker",
        NeighbourOrigin::Dht => "DHT",
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{} ms", microseconds / 1000, microseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(address: &str, local: bool) -> Neighbour {
        Neighbour {
            address: address.to_owned(),
            repository: Some("core".to_owned()),
            local,
            origin: if local { NeighbourOrigin::Lan } else { NeighbourOrigin::Dht },
            version: Some("pacman2pacman \u{1b}[31m".to_owned()),
            connected_seconds: 3_725,
            round_trip_us: local.then_some(1_260),
        }
    }

    #[test]
    fn neighbours_are_lines_and_cannot_steer_the_terminal() {
        let shown = text(&[neighbour("192.168.1.2:6881", true), neighbour("[2001:db8::1]:6881", false)]);
        insta::assert_snapshot!(shown, @"
        address             repository  known          answers in  here for  program
        192.168.1.2:6881    core        local network      1.2 ms  1h 2m 5s  pacman2pacman ?[31m
        [2001:db8::1]:6881  core        DHT                     -  1h 2m 5s  pacman2pacman ?[31m

        2 neighbours, 1 on local networks
        ");
        assert_eq!(text(&[]), "no neighbours");
    }
}
