//! Whether everybody finds neighbours, all of them hang together, and what that costs.

use crate::club::{Announcing, Club, ENOUGH, Full, PLACES, Refill, Rules};
use crate::document::Table;
use crate::share::{number, share};

/// Simulated always.
const SIZES: &[(usize, &str)] = &[(100, "100"), (1_000, "1,000"), (10_000, "10,000"), (30_000, "30,000")];
/// Simulated with `P2P_SCALE=full` besides, which takes minutes: longer than nextest waits.
const LARGE: &[(usize, &str)] = &[(100_000, "100,000"), (300_000, "300,000")];

fn is_full() -> bool {
    std::env::var("P2P_SCALE").is_ok_and(|scale| scale == "full")
}

fn sizes() -> impl Iterator<Item = (usize, &'static str)> {
    SIZES.iter().chain(LARGE.iter().filter(|_| is_full())).copied()
}

#[test]
fn everybody_finds_enough_neighbours_while_few_are_announced() {
    let table = Table::under("Neighbours");
    for (size, row) in sizes() {
        let club = Club::grown(size, Rules::PROPOSED);
        let (degrees, traffic) = (club.graph.degrees(), club.traffic());
        let enough = share(size - degrees.partition_point(|degree| *degree < ENOUGH), size);
        let mean = number(degrees.iter().sum()) / number(size);
        let part = share(club.graph.largest_part(), size);
        eprintln!("{size}: mean {mean:.1}, {}, enough {enough:.4}, part {part:.4}, {traffic:.0?}", degrees[0]);
        assert!(degrees[size - 1] <= PLACES, "more neighbours than places");
        table.says(row, "neighbours, mean", mean, 0.03);
        table.says(row, "fewest", number(degrees[0]), 0.2);
        table.says(row, "have 24 or more", enough, 0.02);
        table.says(row, "in the largest part", part, 0.001);
        table.says(row, "announces", traffic.announces, 0.1);
        table.says(row, "look-ups", traffic.look_ups, 0.1);
    }
}

#[test]
fn other_rules_cost_more() {
    let table = Table::under("Other rules");
    let proposed = Rules::PROPOSED;
    let rules = [
        (proposed, "as proposed"),
        (Rules { refill: Refill::LookUp, ..proposed }, "a look-up for each neighbour that is lost"),
        (Rules { announcing: Announcing::Counted, ..proposed }, "probability 300 / announcers seen"),
    ];
    for (rules, row) in rules {
        let traffic = Club::grown(10_000, rules).traffic();
        eprintln!("rules {row}: {traffic:.0?}");
        table.says(row, "announces", traffic.announces, 0.1);
        table.says(row, "look-ups", traffic.look_ups, 0.1);
        table.says(row, "dials", traffic.dials, 0.1);
    }
}

#[test]
fn a_large_club_falls_apart_where_full_daemons_hang_up_without_a_word() {
    let (table, size) = (Table::under("Full daemons"), 30_000);
    let silent = Rules { full: Full::HangsUp, ..Rules::PROPOSED };
    let searching = Rules { refill: Refill::LookUp, ..silent };
    let rows = [(silent, "hangs up"), (searching, "hangs up, and each lost neighbour is a look-up")];
    for (rules, row) in rows.into_iter().take(if is_full() { 2 } else { 1 }) {
        let part = share(Club::grown(size, rules).graph.largest_part(), size);
        eprintln!("full daemons, {row}: {part:.4}");
        table.says(row, "in the largest part", part, 0.03);
    }
}
