//! What a club's key costs the nodes of the DHT that are nearest to it.

use std::time::Duration;

use crate::club::{Club, Rules, STAY, WANTED};
use crate::document::Table;
use crate::rendezvous::REMEMBERED;
use crate::share::number;

/// Packets of one announce (`docs/decisions.md`, "Announcing"), and those that an announce may take in all.
const WALK: f64 = 26.0;

/// Requests a second at each of the nearest nodes: whoever announces asks and tells.
fn requests(announces_in_half_an_hour: f64) -> f64 {
    2.0 * announces_in_half_an_hour / REMEMBERED.as_secs_f64()
}

/// Look-ups a second of those who come, one each.
fn newcomers(members: f64) -> f64 {
    members / (number(STAY) * REMEMBERED.as_secs_f64())
}

#[test]
fn the_load_of_the_nearest_nodes_is_as_the_document_says() {
    let table = Table::under("Load of the nearest nodes");
    for (members, row) in [(1e3, "1,000"), (1e5, "100,000"), (1e6, "1,000,000")] {
        eprintln!("load {row}: {:.3} {:.3} {:.3}", requests(members), requests(WANTED), newcomers(members));
        table.says(row, "everybody announces", requests(members), 0.05);
        table.says(row, "300 announce", requests(WANTED), 0.05);
        table.says(row, "newcomers look up", newcomers(members), 0.05);
        table.says(row, "300 rule, in all", requests(WANTED) + newcomers(members), 0.05);
    }
}

#[test]
fn a_simulated_club_of_10_000_loads_the_nodes_as_the_formula_says() {
    let traffic = Club::grown(10_000, Rules::PROPOSED).traffic();
    let seconds = REMEMBERED.as_secs_f64();
    let simulated = (traffic.look_ups + traffic.announces) / seconds;
    let calculated = requests(WANTED) + newcomers(10_000.0);
    eprintln!("load of 10,000: {simulated:.2} simulated, {calculated:.2} calculated");
    assert!((simulated / calculated - 1.0).abs() < 0.1, "{simulated} instead of {calculated} requests a second");
}

#[test]
fn all_announces_together_are_little_for_a_dht_of_ten_million_nodes() {
    let table = Table::under("Load of the whole DHT");
    for (members, row) in [(1e3, "1,000"), (1e5, "100,000"), (1e6, "1,000,000")] {
        let announces = members * 350.0 / Duration::from_mins(30).as_secs_f64();
        let packets = announces * WALK / 1e7;
        eprintln!("dht {row}: {announces:.0} {packets:.5}");
        table.says(row, "announces a second", announces, 0.05);
        table.says(row, "packets a second and node", packets, 0.05);
    }
}
