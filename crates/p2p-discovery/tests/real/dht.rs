//! A DHT of our own nodes, and one with transmission's.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;

use p2p_discovery::{Activity, Discovery, DiscoveryOptions, Origin};
use p2p_package::InfoHash;

use crate::namespace::Namespace;
use crate::parts::{Program, dht, find, options, torrent, until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn node(port: u16, address: Ipv4Addr, bootstrap: &[SocketAddrV4], state: &Path) -> (Discovery, SocketAddrV4) {
    fs_err::create_dir_all(state).expect("a writable directory");
    let dht = Some(dht(address, bootstrap, state));
    let discovery = Discovery::start(DiscoveryOptions { dht, ..options(port) }).expect("good options");
    until(10, "the start of a DHT node", || discovery.health().dht == Activity::On).await;
    let dht_port = discovery.health().dht_port;
    (discovery, SocketAddrV4::new(address, dht_port))
}

#[tokio::test]
async fn three_nodes_with_one_known_address_find_each_other_and_again_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = |name: &str| directory.path().join(name);
    let nowhere = [SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9)];
    let (first, known) = node(1001, Ipv4Addr::LOCALHOST, &nowhere, &state("1")).await;
    let (second, _) = node(1002, Ipv4Addr::LOCALHOST, &[known], &state("2")).await;
    let (third, _) = node(1003, Ipv4Addr::LOCALHOST, &[known], &state("3")).await;
    let nodes = |discovery: &Discovery| discovery.health().dht_nodes;
    until(20, "meeting", || nodes(&first) == 2 && nodes(&second) == 2 && nodes(&third) == 2).await;

    let swarm = InfoHash::of(b"an island");
    first.offer(swarm, &[]);
    let mut search = second.seek(swarm, &[]);
    assert_eq!(find(&mut search, LOCALHOST, 1001, 30).await, Origin::Dht);
    let mut search = third.seek(swarm, &[]);
    assert_eq!(find(&mut search, LOCALHOST, 1001, 30).await, Origin::Dht);
    assert_eq!(find(&mut search, LOCALHOST, 1002, 30).await, Origin::Dht);
    let mut search = first.seek(swarm, &[]);
    assert_eq!(find(&mut search, LOCALHOST, 1002, 30).await, Origin::Dht);

    // The second one comes back and knows nobody but those of its last run.
    drop(search);
    second.stop().await;
    let saved = fs_err::read_to_string(state("2").join("dht-nodes")).expect("saved when it stopped");
    assert!(saved.contains(&known.to_string()), "{saved}");
    let (second, _) = node(1002, Ipv4Addr::LOCALHOST, &nowhere, &state("2")).await;
    let mut search = second.seek(swarm, &[]);
    assert_eq!(find(&mut search, LOCALHOST, 1001, 30).await, Origin::Dht);
}

#[tokio::test]
async fn a_taken_port_is_replaced() {
    let taken = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let directory = tempfile::tempdir().expect("a directory");
    let mut dht = dht(Ipv4Addr::LOCALHOST, &[], directory.path());
    dht.listen.set_port(port);
    dht.bootstrap = vec!["127.0.0.1:9".to_owned()];
    let discovery = Discovery::start(DiscoveryOptions { dht: Some(dht), ..options(1) }).expect("good options");
    until(10, "the start of a DHT node", || discovery.health().dht == Activity::On).await;
    assert_ne!(discovery.health().dht_port, port);
}

/// Transmission takes a DHT for usable from some nodes on, so there are a dozen of ours.
#[test]
fn transmissions_dht_and_ours_find_each_other_between_namespaces() {
    let ours: Vec<Ipv4Addr> = (11..23).map(|host| Ipv4Addr::new(203, 0, 113, host)).collect();
    let theirs = Ipv4Addr::new(203, 0, 113, 100);
    let addresses: Vec<String> = ours.iter().map(|address| format!("{address}/24")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let [left, right] = Namespace::pair("dht", &addresses, &[&format!("{theirs}/24")]);
    let directory = tempfile::tempdir().expect("a directory");
    let watched = directory.path().join("watched");
    let swarm = torrent(&watched, "wanted");
    fs_err::create_dir_all(directory.path().join("transmission")).expect("a writable directory");

    let mut command = right.command("transmission-daemon");
    command.arg("--config-dir").arg(directory.path().join("transmission"));
    command.arg("--watch-dir").arg(&watched).arg("--download-dir").arg(directory.path().join("downloads"));
    command.args(["--foreground", "--dht", "--no-lpd", "--no-utp", "--no-portmap", "--peerport", "7000", "--port", "7001"]);
    command.args(["--bind-address-ipv4", &theirs.to_string()]);
    let log = directory.path().join("log");
    let states = directory.path().join("ours");
    let bootstrap = directory.path().join("transmission").join("dht.bootstrap");
    let test = left.run(move || async move {
        let listener = TcpListener::bind((ours[0], 1000)).expect("our own namespace");
        listener.set_nonblocking(true).expect("a socket");
        let nowhere = [SocketAddrV4::new(ours[1], 9)];
        let (first, known) = node(1000, ours[0], &nowhere, &states.join("0")).await;
        let mut others = Vec::new();
        for (number, address) in (1_u16..).zip(&ours[1..]) {
            others.push(node(1000 + number, *address, &[known], &states.join(number.to_string())).await);
        }
        for _ in 0..12 { tokio::time::sleep(std::time::Duration::from_secs(1)).await; eprintln!("{:?} {:?}", first.health().dht_nodes, others.iter().map(|(o,_)| o.health().dht_nodes).collect::<Vec<_>>()); }
        until(60, "meeting", || others.iter().all(|(other, _)| other.health().dht_nodes >= 8)).await;
        let lines: Vec<String> =
            others.iter().map(|(_, address)| format!("{} {}\n", address.ip(), address.port())).collect();
        fs_err::write(&bootstrap, lines.concat()).expect("a writable directory");
        let _transmission = Program::start(command, &log);

        let search = first.seek(swarm, &[]);
        until(150, "a call of transmission at the port that we announced", || listener.accept().is_ok()).await;
        // It has called, so it has announced itself too; the search asks again by itself only after minutes.
        let mut again = others[0].0.seek(swarm, &[]);
        assert_eq!(find(&mut again, IpAddr::V4(theirs), 7000, 90).await, Origin::Dht);
        drop(search);
    });
    test.join().expect("the test on the left");
}
