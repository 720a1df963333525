//! The overview as text.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use p2p_api::{
    ActiveFetch, Announcing, DatabaseSource, Discovery, Freshness, Replicate, Scope, ServiceState, Status, Tracker,
};

use crate::report::{age, count, percent, plain};
use crate::terminal::Colour;
use crate::upload::summary;

/// What a person wants to know of the daemon.
pub(crate) fn overview(status: &Status, colour: Colour) -> String {
    let up = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    let title = format!("p2pd {}, up {up}, listening on {}", plain(&status.version), plain(&status.listen));
    let mut text = format!("{title}\n\n{}", trimmed(&numbers(status, colour)));
    if !status.fetches.is_empty() {
        text.push_str("\n\nfetching now\n");
        text.push_str(&trimmed(&fetches(&status.fetches, colour)));
    }
    text
}

fn numbers(status: &Status, colour: Colour) -> Table {
    let mut table = table(colour);
    let mut row = |name: &str, value: Cell| {
        table.add_row([Cell::new(name), value]);
    };
    row("seeding", Cell::new(seeding(status)));
    row("uploaded", Cell::new(format!("{}, now {}", size(status.uploaded_bytes), rate(status.upload_rate))));
    if let Some(upload) = &status.upload {
        row("upload", Cell::new(summary(upload, SystemTime::now())));
    }
    row("downloaded", Cell::new(downloaded(status)));
    let (neighbours, peers) = (count(status.neighbours, "neighbour"), count(status.peers, "peer"));
    row("connected", Cell::new(format!("{neighbours}, {peers}, {}", count(status.dht_nodes, "DHT node"))));
    for known in status.databases.iter().flatten() {
        row("database", Cell::new(database(known)));
    }
    if let Some(fault) = &status.keyring_fault {
        row("signatures", Cell::new(format!("none is taken from neighbours: {}", plain(fault))).fg(Color::Red));
    }
    row("discovery", discovery(&status.discovery));
    for known in &status.discovery.trackers {
        row("tracker", tracker(known));
    }
    if let Some(announcing) = &status.announcing {
        row("announcing", Cell::new(announced(announcing)));
    }
    if let Some(replicate) = &status.replicate {
        row("replicating", Cell::new(replicating(replicate)));
    }
    if let Some(address) = &status.cache_server {
        row("pacman", Cell::new(format!("CacheServer = http://{}/$repo/os/$arch", plain(address))));
    }
    table
}

fn seeding(status: &Status) -> String {
    let packages = count(status.packages_seeded, "package");
    format!("{packages}, {}; own store {}", size(status.bytes_seeded), size(status.store_bytes))
}

fn downloaded(status: &Status) -> String {
    let (peers, mirrors) = (status.downloaded_from_peers_bytes, status.downloaded_from_mirrors_bytes);
    let share = percent(peers, peers.saturating_add(mirrors));
    let now = rate(status.download_rate);
    format!("{} from peers ({share}), {} from mirrors, now {now}", size(peers), size(mirrors))
}

fn database(known: &Freshness) -> String {
    let signed =
        known.signed_age_seconds.map_or("not signed".to_owned(), |seconds| format!("signed {} ago", age(seconds)));
    let came = age(known.age_seconds);
    let source = match known.source {
        DatabaseSource::Mirror => format!("from a mirror {came} ago"),
        DatabaseSource::Neighbour => format!("from {} {came} ago", count(known.neighbours, "neighbour")),
        DatabaseSource::Pacman => format!("as pacman has it, {came} old"),
    };
    format!("{}: {signed}, {source}", plain(&known.repository))
}

fn announced(announcing: &Announcing) -> String {
    if announcing.budget == 0 {
        return "nothing of what is held".to_owned();
    }
    let (packages, packets) = (count(announcing.offers, "package"), count(announcing.budget, "packet"));
    format!("{packages}, {} due; at most {packets}/s", announcing.due)
}

fn replicating(replicate: &Replicate) -> String {
    let packages = count(replicate.wanted_packages, "package");
    let (held, budget) = (size(replicate.held_bytes), size(replicate.budget));
    format!("{} of {packages}, {held} of {budget}", replicate.held_packages)
}

fn discovery(discovery: &Discovery) -> Cell {
    let scope = match discovery.scope {
        Scope::Public => "public",
        Scope::Lan => "local networks only",
    };
    let text = format!("{scope}; LAN {}, DHT {}", state(discovery.lan), state(discovery.dht));
    let has_failed = [discovery.lan, discovery.dht].contains(&ServiceState::Failed);
    if has_failed { Cell::new(text).fg(Color::Red) } else { Cell::new(text) }
}

const fn state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::On => "on",
        ServiceState::Off => "off",
        ServiceState::Failed => "failed",
    }
}

fn tracker(tracker: &Tracker) -> Cell {
    let url = plain(&tracker.url);
    match &tracker.last_error {
        Some(error) => Cell::new(format!("{url}: {}", plain(error))).fg(Color::Red),
        None => Cell::new(format!("{url}: {}", count(tracker.peers, "peer"))),
    }
}

fn fetches(fetches: &[ActiveFetch], colour: Colour) -> Table {
    let mut table = table(colour);
    for fetch in fetches {
        let (done, of) = match fetch.total {
            Some(total) => (percent(fetch.done, total), format!("{} of {}", size(fetch.done), size(total))),
            None => (String::new(), size(fetch.done)),
        };
        let share = format!("{} from peers", percent(fetch.from_peers, fetch.done));
        let right = |text| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(plain(&fetch.file_name)),
            right(done),
            right(of),
            right(share),
            right(rate(fetch.rate)),
        ]);
    }
    table
}

/// No lines around the cells; as wide as the terminal at most.
fn table(colour: Colour) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    match colour {
        Colour::On => table.enforce_styling(),
        Colour::Off => table.force_no_tty(),
    };
    table
}

/// Without the blanks that fill the last column.
fn trimmed(table: &Table) -> String {
    table.trim_fmt()
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

fn rate(bytes: u64) -> String {
    format!("{}/s", size(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Status {
        serde_json::from_str(include_str!("../../../../tests/golden/api/status.json")).unwrap()
    }

    #[test]
    fn a_busy_daemon_is_shown_with_its_fetches_and_trackers() {
        insta::assert_snapshot!(overview(&golden(), Colour::Off));
    }

    #[test]
    fn an_idle_daemon_on_a_lan_is_shown_in_a_few_lines() {
        let status = Status {
            uptime_seconds: 0,
            packages_seeded: 1,
            upload_rate: 0,
            download_rate: 0,
            downloaded_from_peers_bytes: 0,
            downloaded_from_mirrors_bytes: 0,
            peers: 1,
            active_fetches: 0,
            fetches: Vec::new(),
            replicate: None,
            port_mapping: None,
            discovery: Discovery {
                scope: Scope::Lan,
                lan: ServiceState::On,
                dht: ServiceState::Off,
                trackers: Vec::new(),
            },
            ..golden()
        };
        insta::assert_snapshot!(overview(&status, Colour::Off));
    }

    #[test]
    fn what_has_failed_is_red_where_there_are_colours() {
        let coloured = overview(&golden(), Colour::On);
        let red: Vec<&str> = coloured.lines().filter(|line| line.contains("\u{1b}[38;5;9m")).collect();
        assert!(red.len() == 2 && red[0].contains("DHT failed") && red[1].contains("connection refused"), "{red:?}");
        assert!(!overview(&golden(), Colour::Off).contains('\u{1b}'));
    }

    #[test]
    fn a_trackers_words_do_not_reach_the_terminal_as_they_are() {
        let mut status = golden();
        status.discovery.trackers[1].last_error = Some("\u{1b}]0;owned\u{7}\nbye".to_owned());
        let text = overview(&status, Colour::Off);
        assert!(text.contains("http://old.example/announce: ?]0;owned??bye"), "{text}");
    }
}
