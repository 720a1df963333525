//! A DHT of our own nodes, and one with transmission's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use p2p_discovery::{Activity, Discovery, DiscoveryOptions, Found, Origin};
use p2p_package::InfoHash;

use crate::namespace::Namespace;
use crate::parts::{Program, dht, find, options, torrent, until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const THEIRS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 100);

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
    // An announce may have reached one of two nodes only: the next round is a minute later.
    assert_eq!(find(&mut search, LOCALHOST, 1002, 90).await, Origin::Dht);
    let mut search = first.seek(swarm, &[]);
    assert_eq!(find(&mut search, LOCALHOST, 1002, 90).await, Origin::Dht);

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

/// Looks again and again, because transmission takes its time until it announces.
async fn look_again(nodes: &[(Discovery, SocketAddrV4)], swarm: InfoHash, wanted: SocketAddr) {
    let mut seen = Vec::new();
    for (node, _) in nodes.iter().cycle().take(20) {
        let mut search = node.seek(swarm, &[]);
        let reading = async {
            while let Some(found) = search.next().await {
                seen.push(found);
                if found == (Found { address: wanted, origin: Origin::Dht }) {
                    return;
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(9), reading).await.is_ok() {
            return;
        }
    }
    panic!("{wanted} was not found, only {seen:?}");
}

fn transmission(namespace: &Namespace, directory: &Path) -> Command {
    let mut command = namespace.command("transmission-daemon");
    command.arg("--config-dir").arg(directory.join("config")).arg("--download-dir").arg(directory.join("downloads"));
    command.arg("--watch-dir").arg(directory.join("watched"));
    command.args(["--foreground", "--dht", "--no-lpd", "--no-utp", "--no-portmap"]);
    command.args(["--peerport", "7000", "--port", "7001", "--bind-address-ipv4", &THEIRS.to_string()]);
    command
}

/// Transmission takes a DHT for usable from some nodes on, so there are a dozen of ours.
#[test]
fn transmissions_dht_and_ours_find_each_other_between_namespaces() {
    let ours: Vec<Ipv4Addr> = (11..23).map(|host| Ipv4Addr::new(203, 0, 113, host)).collect();
    let addresses: Vec<String> = ours.iter().map(|address| format!("{address}/24")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let [left, right] = Namespace::pair("dht", &addresses, &[&format!("{THEIRS}/24")]);
    let directory = tempfile::tempdir().expect("a directory");
    let swarm = torrent(&directory.path().join("watched"), "wanted");
    fs_err::create_dir_all(directory.path().join("config")).expect("a writable directory");
    let command = transmission(&right, directory.path());
    let path = directory.path().to_owned();
    let test = left.run(move || async move {
        let listener = TcpListener::bind((ours[0], 1000)).expect("our own namespace");
        listener.set_nonblocking(true).expect("a socket");
        let nowhere = [SocketAddrV4::new(ours[1], 9)];
        let (first, known) = node(1000, ours[0], &nowhere, &path.join("0")).await;
        let mut others = Vec::new();
        for (number, address) in (1_u16..).zip(&ours[1..]) {
            others.push(node(1000 + number, *address, &[known], &path.join(number.to_string())).await);
        }
        until(40, "meeting", || others.iter().all(|(other, _)| other.health().dht_nodes >= 8)).await;
        let bootstrap: Vec<_> =
            others.iter().map(|(_, address)| format!("{} {}\n", address.ip(), address.port())).collect();
        fs_err::write(path.join("config/dht.bootstrap"), bootstrap.concat()).expect("a writable directory");
        let _transmission = Program::start(command, &path.join("log"));

        let search = first.seek(swarm, &[]);
        until(100, "a call of transmission at the port that we announced", || listener.accept().is_ok()).await;
        look_again(&others, swarm, SocketAddr::from((THEIRS, 7000))).await;
        drop(search);
    });
    test.join().expect("the test on the left");
}
