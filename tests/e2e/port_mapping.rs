//! `network.port_mapping`: a router is asked to forward our port, and to forget it at the end.

use std::net::Ipv4Addr;
use std::time::Duration;

use p2p_tests::{Daemon, DaemonOptions, InternetGateway, Lan, Manners, Mapping};
use serde_json::Value;

use crate::world::{Machine, World};

const HOME: [u8; 3] = [192, 168, 76];
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// How long a router may take.
const BOUND: Duration = Duration::from_secs(30);

/// A router of this kind, and a machine that asks it.
fn at_home(manners: Manners, outside: Ipv4Addr, scope: &str) -> (Lan, InternetGateway, Machine) {
    let mut lan = Lan::new(HOME);
    let [router, host] = [lan.host(), lan.host()];
    let router = InternetGateway::start(&router, outside, manners);
    let world = World::new();
    world.repository.write_database();
    let machine = world.machine(&[]).daemon(|options| {
        let scope = scope.to_owned();
        DaemonOptions { host, network: "port_mapping = true".into(), scope, ..options }
    });
    (lan, router, machine.start())
}

fn wait_for_state(daemon: &mut Daemon, state: &str) -> Value {
    let is_so = |status: &p2p_tests::Status| status.json()["port_mapping"]["state"] == state;
    daemon.wait_for_status(state, BOUND, is_so).json()["port_mapping"].clone()
}

/// What the doctor says of the router.
fn diagnosed(daemon: &Daemon) -> Value {
    let said = daemon.p2pctl(&["doctor", "--json"]);
    let findings: Vec<Value> = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    findings.into_iter().find(|finding| finding["check"] == "router").unwrap_or_else(|| panic!("no router: {said}"))
}

fn wanted(daemon: &Daemon, lease: u32) -> Vec<Mapping> {
    let port = daemon.listen().port();
    let mapping = |protocol: &str| Mapping {
        protocol: protocol.to_owned(),
        port,
        client: daemon.listen().ip().to_string(),
        lease,
    };
    vec![mapping("TCP"), mapping("UDP")]
}

#[test]
fn tcp_and_udp_are_forwarded_while_the_daemon_runs() {
    let (_lan, router, mut machine) = at_home(Manners::Obliging, OUTSIDE, "public");
    let told = wait_for_state(&mut machine.daemon, "mapped");
    assert_eq!(told["external"], OUTSIDE.to_string());
    assert_eq!(router.mappings(), wanted(&machine.daemon, 3_600));
    assert_eq!(diagnosed(&machine.daemon)["result"], "ok");
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    assert_eq!(router.mappings(), []);
}

#[test]
fn a_router_without_leases_keeps_the_mapping_for_ever_and_one_behind_another_is_told_of() {
    let (_lan, router, mut machine) = at_home(Manners::PermanentOnly, Ipv4Addr::new(100, 64, 0, 9), "public");
    wait_for_state(&mut machine.daemon, "mapped");
    assert_eq!(router.mappings(), wanted(&machine.daemon, 0));
    let said = diagnosed(&machine.daemon);
    assert_eq!(said["result"], "warning");
    assert!(said["text"].as_str().is_some_and(|text| text.contains("behind another router")), "{said}");
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    assert_eq!(router.mappings(), []);
}

#[test]
fn a_router_that_refuses_is_told_of_and_stops_nothing() {
    let (_lan, router, mut machine) = at_home(Manners::Taken, OUTSIDE, "public");
    let told = wait_for_state(&mut machine.daemon, "failed");
    assert_eq!(told["error"], "the router forwards this port to another machine");
    assert_eq!(diagnosed(&machine.daemon)["result"], "warning");
    assert_eq!(router.mappings(), []);
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
}

#[test]
fn no_router_is_asked_where_nobody_outside_is_to_come() {
    let (_lan, router, mut machine) = at_home(Manners::Obliging, OUTSIDE, "lan");
    assert_eq!(wait_for_state(&mut machine.daemon, "not-needed")["gateway"], Value::Null);
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    assert_eq!((router.searches(), router.mappings()), (0, Vec::new()));
}
