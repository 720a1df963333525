//! The chance that a neighbour has what is wanted.

use rand::rngs::SmallRng;
use rand::seq::{SliceRandom, index};
use rand::{RngExt, SeedableRng};

use crate::club::{Club, ENOUGH, Rules};
use crate::document::Table;
use crate::graph::Graph;
use crate::installed::{PACKAGES, fetched, installed, of_one_user};
use crate::share::{number, share};

/// Of `asked` daemons, each of which has it with probability `has`, at least one has it.
fn chance(has: f64, asked: f64) -> f64 {
    1.0 - (1.0 - has).powf(asked)
}

/// The same for a new version, if the share `installed` fetches it once, each at a moment of its own: the mean of
/// `chance(installed × x, asked)` over all x from 0, nobody has it yet, to 1.
fn chance_of_new(installed: f64, asked: f64) -> f64 {
    1.0 - (1.0 - (1.0 - installed).powf(asked + 1.0)) / ((asked + 1.0) * installed)
}

/// The mean of `chance_of_new` over packages of these ranks, each as often as it is fetched.
fn chance_of_upgrade(ranks: std::ops::RangeInclusive<usize>, asked: f64) -> f64 {
    let found: f64 = ranks.clone().map(|rank| installed(rank) * chance_of_new(installed(rank), asked)).sum();
    found / of_one_user(ranks)
}

fn club() -> Graph {
    Club::grown(10_000, Rules::PROPOSED).graph
}

/// The first 24 neighbours: those that a daemon would have if nobody had called it.
fn asked(graph: &Graph, member: usize) -> &[usize] {
    &graph.of(member)[..graph.of(member).len().min(ENOUGH)]
}

/// The share of those who fetch it that find it, when each that wants the new version fetches it, in any order.
fn found_of_new(graph: &Graph, installed: f64, rng: &mut SmallRng) -> f64 {
    let mut who: Vec<usize> = (0..graph.members()).filter(|_| rng.random_bool(installed)).collect();
    who.shuffle(rng);
    let mut have = vec![false; graph.members()];
    let mut found = 0;
    for member in &who {
        found += usize::from(asked(graph, *member).iter().any(|one| have[*one]));
        have[*member] = true;
    }
    share(found, who.len())
}

/// How often a package that each daemon has with probability `has` is found by 24 neighbours, by all, and by theirs too.
fn found(graph: &Graph, has: f64, rng: &mut SmallRng) -> [f64; 3] {
    let (placements, sample) = (20, 250);
    let mut found = [0; 3];
    for _ in 0..placements {
        let have: Vec<bool> = (0..graph.members()).map(|_| rng.random_bool(has)).collect();
        for member in index::sample(rng, graph.members(), sample) {
            let any = |of: &[usize]| usize::from(of.iter().any(|one| have[*one]));
            found[0] += any(asked(graph, member));
            found[1] += any(graph.of(member));
            found[2] += any(&graph.within_two(member));
        }
    }
    found.map(|found| share(found, placements * sample))
}

#[test]
fn neighbours_have_a_package_as_often_as_the_formula_says() {
    let (table, graph, mut rng) = (Table::under("One package"), club(), SmallRng::seed_from_u64(3));
    let all = number(graph.degrees().iter().sum()) / number(graph.members());
    let two: usize = (0..1_000).map(|member| graph.within_two(member).len()).sum();
    for (has, row) in [(0.001, "0.1 %"), (0.01, "1 %"), (0.05, "5 %"), (0.1, "10 %"), (0.3, "30 %")] {
        let simulated = found(&graph, has, &mut rng);
        let calculated = [number(ENOUGH), all, share(two, 1_000)].map(|asked| chance(has, asked));
        eprintln!("p {row}: {calculated:.4?} {simulated:.4?}, all {all:.1}, two {}", share(two, 1_000));
        let columns = ["24 neighbours", "all neighbours", "neighbours of theirs too"];
        for ((column, calculated), simulated) in columns.into_iter().zip(calculated).zip(simulated) {
            assert!((simulated - calculated).abs() < 0.04, "{row}: {simulated} instead of {calculated}");
            table.says(row, column, calculated, 0.02);
        }
    }
}

#[test]
fn a_new_version_is_found_as_often_as_the_formula_says() {
    let (table, graph, mut rng) = (Table::under("A new version"), club(), SmallRng::seed_from_u64(4));
    for (installed, row) in [(0.01, "1 %"), (0.05, "5 %"), (0.1, "10 %"), (0.3, "30 %"), (1.0, "100 %")] {
        let runs: Vec<f64> = (0..20).map(|_| found_of_new(&graph, installed, &mut rng)).collect();
        let simulated = runs.iter().sum::<f64>() / 20.0;
        let calculated = chance_of_new(installed, number(ENOUGH));
        eprintln!("new {row}: {calculated:.4} ({simulated:.4})");
        assert!((simulated - calculated).abs() < 0.02, "{row}: {simulated} instead of {calculated}");
        table.says(row, "found", calculated, 0.005);
    }
}

#[test]
fn neighbours_have_most_of_an_upgrade_and_little_of_what_is_rare() {
    let (table, graph, mut rng) = (Table::under("An upgrade"), club(), SmallRng::seed_from_u64(6));
    let all = of_one_user(1..=PACKAGES);
    let bands = [(1..=150, "1 to 150"), (151..=1_000, "151 to 1,000"), (1_001..=5_000, "1,001 to 5,000")];
    for (ranks, row) in bands.into_iter().chain([(5_001..=PACKAGES, "5,001 to 15,000"), (1..=PACKAGES, "all")]) {
        let (part, found) = (of_one_user(ranks.clone()) / all, chance_of_upgrade(ranks, number(ENOUGH)));
        eprintln!("upgrade {row}: {part:.3} of {all:.0}, {found:.3}");
        table.says(row, "of the upgrade", part, 0.01);
        table.says(row, "from neighbours", found, 0.01);
    }
    let runs = 300;
    let found = |_| found_of_new(&graph, installed(fetched(&mut rng)), &mut rng);
    let simulated = (0..runs).map(found).sum::<f64>() / f64::from(runs);
    let calculated = chance_of_upgrade(1..=PACKAGES, number(ENOUGH));
    eprintln!("upgrade: {simulated:.3} simulated, {calculated:.3} calculated");
    assert!((simulated - calculated).abs() < 0.05, "{simulated} instead of {calculated}");
}
