use p2p_api::{Calls, CallsBack, Diagnosis, MappingState, Scope, ServiceState, Status, UploadReason};

use super::*;
use crate::doctor::finding::{Health, text};
use crate::doctor::local::SocketFacts;
use crate::terminal::Colour;

const STATUS: &str = include_str!("../../../../../tests/golden/api/status.json");
const DIAGNOSIS: &str = include_str!("../../../../../tests/golden/api/diagnosis.json");
const NOW: u64 = 1_700_007_200;

fn status() -> Status {
    let mut status: Status = serde_json::from_str(STATUS).expect("the golden file");
    status.discovery.dht = ServiceState::On;
    status
}

fn diagnosis() -> Diagnosis {
    serde_json::from_str(DIAGNOSIS).expect("the golden file")
}

fn local() -> Local {
    let socket = SocketFacts { path: "/run/p2pd/p2pd.sock".into(), is_there: true, is_open: true, closed: None };
    Local { socket, has_alpm: true, ..Local::default() }
}

fn calls(remote: [u64; 4], local: [u64; 4]) -> CallsBack {
    let calls = |[connected, asked, reached, failed]: [u64; 4]| Calls { connected, asked, reached, failed };
    CallsBack { asked: true, remote: calls(remote), local: calls(local) }
}

#[test]
fn a_healthy_daemon_is_a_list_of_lines_without_a_hint() {
    let (status, diagnosis, local) = (status(), diagnosis(), local());
    let status = Status { discovery: p2p_api::Discovery { trackers: Vec::new(), ..status.discovery }, ..status };
    let findings = findings(&Facts { status: &status, diagnosis: &diagnosis, local: &local, now: NOW });
    insta::assert_snapshot!(text(&findings, Colour::Off), @"
    ok       daemon         p2pd 0.1.0 has been running for 1day 2h 3m 4s
    ok       socket         every user may connect to /run/p2pd/p2pd.sock
    ok       pacman         /etc/pacman.conf has our XferCommand
    ok       access         alpm may fetch, and so may the members of p2pd
    ok       databases      1 database; of those that are shared, the oldest is 2h old
    ok       signatures     core signed 3h ago, extra not signed
    ok       seeding        1204 packages, 6.0 GiB
    ok       cache          412 packages in /var/cache/pacman/pkg/
    ok       disk           50.0 GiB free below /var/lib/p2pd
    ok       store          300.0 MiB of 10.0 GiB in p2pd's own store
    ok       upload         at most 200.0 KiB/s beyond the local network, by the schedule; 3.2 GiB of 100.0 GiB this month
    ok       neighbours     6 neighbours: 1 on local networks, 5 farther away
    ok       local network  1 neighbour was found there
    ok       DHT            214 nodes
    ok       trackers       none was asked lately
    ok       port           6881 is open: 2 neighbours far away came in

    0 problems, 0 warnings
    ");
}

#[test]
fn the_port_is_open_where_somebody_far_away_came_in_and_closed_where_none_did() {
    let status = status();
    let health = |remote, local| away::port(&status, &calls(remote, local)).health;
    assert_eq!(health([5, 3, 1, 2], [0; 4]), Health::Ok);
    assert_eq!(health([5, 3, 0, 2], [1, 1, 1, 0]), Health::Warning, "nothing must be open for downloading");
    assert_eq!(health([0; 4], [2, 2, 0, 2]), Health::Problem, "a firewall on this machine");
    let nobody = away::port(&status, &calls([0; 4], [0; 4]));
    assert_eq!(nobody.health, Health::Warning);
    assert!(nobody.text.contains("can't be told: no neighbour far away is connected"), "{}", nobody.text);
    let silent = away::port(&status, &calls([3, 3, 0, 0], [1, 1, 1, 0]));
    assert!(silent.text.ends_with("have not answered; on the local network it is open"), "{}", silent.text);
    let not_asked = away::port(&status, &CallsBack::default());
    assert!(not_asked.hint.is_some_and(|hint| hint.contains("as root")));
}

#[test]
fn only_the_local_network_counts_where_nobody_else_is_met() {
    let mut status = status();
    status.discovery.scope = Scope::Lan;
    assert_eq!(away::port(&status, &calls([0; 4], [1, 1, 1, 0])).health, Health::Ok);
    assert_eq!(found::dht(&status).health, Health::Ok);
    assert_eq!(found::trackers(&status.discovery).health, Health::Ok);
}

#[test]
fn neighbours_are_counted_for_those_too_who_may_not_ask_where_they_are() {
    let mut status = status();
    assert_eq!(found::neighbours(&status, &CallsBack::default()).text, "3 neighbours");
    assert_eq!(found::neighbours(&status, &CallsBack::default()).health, Health::Ok);
    status.neighbours = 0;
    assert_eq!(found::neighbours(&status, &CallsBack::default()).health, Health::Warning);
    let hint = |status: &Status| found::neighbours(status, &calls([0; 4], [0; 4])).hint.expect("a hint");
    assert!(hint(&status).contains("may take minutes"), "{}", hint(&status));
    (status.discovery.lan, status.discovery.dht) = (ServiceState::Off, ServiceState::Off);
    status.discovery.trackers.clear();
    assert!(hint(&status).contains("only those of discovery.peers"), "{}", hint(&status));
}

#[test]
fn a_router_that_is_behind_another_one_is_no_door() {
    let mapping = |state, external: Option<&str>| {
        let mapping = p2p_api::PortMapping { state, external: external.map(str::to_owned), gateway: None, error: None };
        away::router(&mapping).map(|finding| finding.health)
    };
    assert_eq!(mapping(MappingState::Off, None), None);
    assert_eq!(mapping(MappingState::Mapped, Some("203.0.113.7")), Some(Health::Ok));
    for behind in ["192.168.0.2", "10.0.0.2", "100.64.0.9", "100.127.255.1"] {
        assert_eq!(mapping(MappingState::Mapped, Some(behind)), Some(Health::Warning), "{behind}");
    }
    assert_eq!(mapping(MappingState::Mapped, Some("100.128.0.1")), Some(Health::Ok));
    assert_eq!(mapping(MappingState::Failed, None), Some(Health::Warning));
}

#[test]
fn pacman_has_to_come_and_its_user_has_to_be_let_in() {
    let (diagnosis, local) = (diagnosis(), local());
    let usage = |xfer_command: Option<&str>, served_repositories| {
        let xfer_command = xfer_command.map(str::to_owned);
        let pacman = p2p_api::PacmanUse { xfer_command, served_repositories, ..diagnosis.pacman.clone() };
        let without = Local { lacks: Some("/usr/bin/pacman2pacman-get".into()), ..Local::default() };
        (pacman::usage(&pacman, &local).health, pacman::usage(&pacman, &without).health)
    };
    let ours = Some("/usr/bin/pacman2pacman-get %u %o");
    assert_eq!(usage(ours, 0), (Health::Ok, Health::Problem), "its program is gone");
    assert_eq!(usage(None, 3), (Health::Ok, Health::Ok));
    assert_eq!(usage(ours, 3).0, Health::Warning);
    assert_eq!(usage(None, 0).0, Health::Problem);
    assert_eq!(usage(Some("/usr/bin/curl -o %o %u"), 0).0, Health::Problem);
    let access = |users: &[&str], user: Option<&str>, local: &Local| {
        let mut diagnosis = diagnosis.clone();
        diagnosis.access.users = users.iter().map(|user| (*user).to_owned()).collect();
        diagnosis.pacman.download_user = user.map(str::to_owned);
        pacman::access(&diagnosis, local).health
    };
    assert_eq!(access(&["root", "alpm"], Some("alpm"), &local), Health::Ok);
    assert_eq!(access(&["root"], Some("alpm"), &local), Health::Problem);
    assert_eq!(access(&["root"], None, &local), Health::Ok);
    assert_eq!(access(&["root", "alpm"], Some("alpm"), &Local::default()), Health::Problem, "no such user");
}

#[test]
fn old_missing_and_broken_databases_are_named() {
    let fresh = &diagnosis().databases[0];
    let health = |change: fn(&mut p2p_api::DatabaseHealth)| {
        let mut database = fresh.clone();
        change(&mut database);
        packages::databases(&[database], NOW)[0].health
    };
    assert_eq!(health(|_| {}), Health::Ok);
    assert_eq!(health(|database| database.modified = Some(NOW - 15 * 86_400)), Health::Warning);
    let unshared = |database: &mut p2p_api::DatabaseHealth| {
        (database.modified, database.shared) = (Some(NOW - 15 * 86_400), false);
    };
    assert_eq!(health(unshared), Health::Warning, "nothing is shared at all");
    assert_eq!(health(|database| database.modified = None), Health::Problem);
    assert_eq!(health(|database| database.fault = Some("it ends early".to_owned())), Health::Problem);
    assert_eq!(packages::databases(&[], NOW)[0].health, Health::Problem);
}

#[test]
fn a_keyring_that_cannot_be_read_is_found() {
    let mut status = status();
    status.keyring_fault = Some("there are no keys to verify with".to_owned());
    assert_eq!(packages::signatures(&status).map(|finding| finding.health), Some(Health::Warning));
    (status.keyring_fault, status.databases) = (None, Some(Vec::new()));
    assert_eq!(packages::signatures(&status), None);
}

#[test]
fn that_nothing_is_seeded_has_a_reason() {
    let (mut status, mut diagnosis) = (status(), diagnosis());
    assert_eq!(packages::seeding(&status, &diagnosis).health, Health::Ok);
    status.packages_seeded = 0;
    let why = |diagnosis: &Diagnosis| packages::seeding(&status, diagnosis).text;
    assert!(why(&diagnosis).contains("none of the 412 packages in the cache is listed"), "{}", why(&diagnosis));
    diagnosis.cache[0].packages = 0;
    assert!(why(&diagnosis).contains("no packages in pacman's cache"));
    diagnosis.scan.waiting = 3;
    assert!(why(&diagnosis).contains("3 files wait to be hashed"));
}

#[test]
fn a_full_disk_a_pause_and_a_closed_way_to_the_socket_are_found() {
    let diagnosis = diagnosis();
    let space = |free_bytes| home::space(&p2p_api::StateHealth { free_bytes, ..diagnosis.state.clone() }).health;
    assert_eq!(space(Some(1 << 20)), Health::Problem);
    assert_eq!(space(Some(1 << 29)), Health::Warning);
    assert_eq!(space(Some(1 << 31)), Health::Ok);
    let mut upload = status().upload.expect("the golden file");
    upload.reason = UploadReason::Cap;
    assert_eq!(home::upload(&upload).health, Health::Warning);
    let closed = SocketFacts { closed: Some("/run/p2pd".into()), ..local().socket };
    assert_eq!(home::socket(&closed).health, Health::Problem);
}

#[test]
fn without_a_daemon_what_can_be_seen_is_said() {
    let local = Local {
        socket: SocketFacts { path: "/run/p2pd/p2pd.sock".into(), ..SocketFacts::default() },
        service: Some("failed".to_owned()),
        config_fault: Some("p2pd.toml:3:1: unknown key \"uplod\" in [network]".to_owned()),
        pacman: Some(Ok(None)),
        ..Local::default()
    };
    insta::assert_snapshot!(text(&findings_without_daemon(&local), Colour::Off), @r#"
    problem  daemon         p2pd is not running: there is no socket /run/p2pd/p2pd.sock; the service manager says: failed
                            hint: start it with `systemctl start p2pd` or `rc-service p2pd start`, and read its log
    problem  configuration  p2pd.toml:3:1: unknown key "uplod" in [network]
                            hint: `p2pd --check-config --config /etc/p2pd/p2pd.toml` says all that is wrong with it
    warning  pacman         /etc/pacman.conf has no XferCommand of ours
                            hint: put `XferCommand = /usr/bin/pacman2pacman-get %u %o` below [options]

    2 problems, 1 warning
    "#);
}
