//! `p2pctl doctor` and `p2pctl explain`: what is wrong, and how a package came.

use std::time::Duration;

use p2p_tests::{Daemon, DaemonOptions, Lan, Mirror, wait_until};
use serde_json::Value;

use crate::world::{FETCH_WITHIN, neighbours, without_torrents};

/// The only explanation of this name.
fn explained(daemon: &Daemon, name: &str) -> Value {
    let said = daemon.p2pctl(&["explain", name, "--json"]);
    let mut explanations: Vec<Value> = serde_json::from_str(&said.succeeded().stdout).expect("JSON");
    assert_eq!(explanations.len(), 1, "{said}");
    explanations.remove(0)
}

/// What came from a source of this kind and name, and why.
fn source<'a>(explanation: &'a Value, kind: &str, name: &str) -> (u64, &'a str) {
    let sources = explanation["last_fetch"]["sources"].as_array().expect("a fetch");
    let source = sources.iter().find(|source| source["kind"] == kind && source["name"] == name);
    let source = source.unwrap_or_else(|| panic!("no {kind} {name:?} in {sources:?}"));
    (source["bytes"].as_u64().expect("bytes"), source["why"].as_str().expect("a reason"))
}

/// What was found of this check.
fn finding(findings: &[Value], check: &str) -> Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} in {findings:?}")).clone()
}

fn diagnosed(daemon: &Daemon) -> Vec<Value> {
    let said = daemon.p2pctl(&["doctor", "--json"]);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn what_came_from_a_mirror_and_what_from_a_neighbour_is_told_and_why() {
    let (world, package, mirror) = without_torrents(200_000);
    let url = mirror.url(&world.path(&package));
    let [first, second] = neighbours(&world, &mirror, &package);
    let told = explained(&first.daemon, &url);
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a URL");
    assert_eq!(source(&told, "mirror", host), (package.size(), "sent all of it"));
    assert_eq!(source(&told, "neighbour", ""), (0, "none was connected"));
    assert_eq!(source(&told, "peer", "").1, "no swarm: a package of one piece stays with its mirror");
    assert_eq!((&told["reach"], &told["held"]["where"]), (&"public".into(), &"store".into()), "{told}");
    assert_eq!(told["info_hash"], package.info.info_hash().to_string());

    second.fetch_well(&url, &package);
    let told = explained(&second.daemon, "lent");
    let listen = first.daemon.listen().to_string();
    assert_eq!(source(&told, "neighbour", &listen), (package.size(), "has it, and sent it whole"));
    assert_eq!(source(&told, "mirror", host).0, 0);
    let answers = told["neighbours"].as_array().expect("answers");
    assert!(answers.iter().any(|answer| answer["address"] == listen && answer["answer"] == "here"), "{told}");
    let said = second.daemon.p2pctl(&["explain", package.file_name()]);
    assert!(said.succeeded().stdout.contains("has it, and sent it whole"), "{said}");
}

#[test]
fn a_mirror_that_fails_says_why_and_a_file_that_no_database_lists_what_follows() {
    let (world, package, mirror) = without_torrents(200_000);
    let machine = world.machine(&[mirror.server()]).start();
    let url = mirror.url(&world.path(&package));
    drop(mirror);
    machine.fetch(&url, &package).failed();
    let told = explained(&machine.daemon, package.file_name());
    assert_eq!(told["last_fetch"]["end"], "failed", "{told}");
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a URL");
    assert!(source(&told, "mirror", host).1.starts_with("failed: "), "{told}");
    let custom = "http://127.0.0.1:9/custom/tool-1-1-any.pkg.tar.zst";
    machine.daemon.client().fetch(custom, &machine.out(&package), Duration::from_mins(1)).failed();
    let told = explained(&machine.daemon, custom);
    assert_eq!((&told["reach"], &told["reason"]), (&"nobody".into(), &"unlisted".into()));
    assert_eq!(source(&told, "peer", "").1, "no swarm: no sync database lists this file");
    let said = machine.daemon.p2pctl(&["explain", "there-is-no-such-package"]);
    assert_eq!(said.status.code(), Some(1), "{said}");
}

#[test]
fn nobody_hears_a_question_about_a_package_that_is_excluded() {
    let (world, package, mirror) = without_torrents(200_000);
    let [_first, mut second] = neighbours(&world, &mirror, &package);
    second.daemon.reconfigure(|options| options.exclude = vec!["lent".into()]);
    let is_excluded = || explained(&second.daemon, "lent")["reason"] == "excluded";
    wait_until("the exclusion", FETCH_WITHIN, is_excluded);
    let told = explained(&second.daemon, "lent");
    assert_eq!((&told["pattern"], &told["neighbours"]), (&"lent".into(), &Value::Array(Vec::new())), "{told}");
}

#[test]
fn on_a_local_network_neighbours_tell_that_the_port_is_open() {
    let (world, package, _mirror) = without_torrents(200_000);
    let mut lan = Lan::new([192, 168, 75]);
    let mirror_host = lan.host();
    let mirror = Mirror::serve_on(&mirror_host, world.directory.path());
    let [first, second] = [lan.host(), lan.host()];
    let start = |host| {
        let machine = world.machine(&[mirror.server()]);
        machine.daemon(|options| DaemonOptions { host, lan: true, ..options }).start()
    };
    let mut machines = [start(first), start(second)];
    for machine in &mut machines {
        machine.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    }
    machines[0].fetch_well(&mirror.url(&world.path(&package)), &package);
    machines[0].wait_seeding(1);
    let findings = diagnosed(&machines[0].daemon);
    let port = finding(&findings, "port");
    assert!(port["text"].as_str().is_some_and(|text| text.ends_with("on the local network it is open")), "{port}");
    for check in ["daemon", "neighbours", "local network", "pacman", "databases", "seeding"] {
        assert_eq!(finding(&findings, check)["result"], "ok", "{}", finding(&findings, check));
    }
    let has_problem = findings.iter().any(|finding| finding["result"] == "problem");
    let said = machines[0].daemon.p2pctl(&["doctor"]);
    assert_eq!(said.status.code(), Some(has_problem.into()), "{said}");
    assert!(machines[1].daemon.process().stop().success());
    let said = machines[1].daemon.p2pctl(&["doctor"]);
    assert_eq!(said.status.code(), Some(3), "{said}");
    assert!(said.stdout.contains("p2pd is not running"), "{said}");
}

#[test]
fn what_came_through_a_swarm_is_told_by_peer() {
    let (world, package, mirror) = without_torrents(9_000_000);
    let url = mirror.url(&world.path(&package));
    let [first, second] = neighbours(&world, &mirror, &package);
    drop(mirror);
    second.fetch_well(&url, &package);
    let told = explained(&second.daemon, package.file_name());
    let (from_swarm, why) = source(&told, "peer", "");
    assert_eq!(from_swarm, package.size(), "{told}");
    assert!(why.starts_with("the swarm was joined after"), "{why}");
    let listen = first.daemon.listen().to_string();
    assert!(source(&told, "peer", &listen).0 >= package.size(), "{told}");
    assert_eq!(source(&told, "neighbour", &listen).1, "has it, and was in the swarm");
    let said = second.daemon.p2pctl(&["explain", "lent"]);
    assert!(said.succeeded().stdout.contains("the swarm is joined"), "{said}");
}
