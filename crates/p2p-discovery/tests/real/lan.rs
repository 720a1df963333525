//! Local service discovery between network namespaces, among ourselves and with other clients.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use p2p_discovery::{Activity, Discovery, DiscoveryOptions, LanSearch, Origin, Scope};
use p2p_package::InfoHash;
use tokio::sync::Barrier;

use crate::namespace::Namespace;
use crate::parts::{Program, find, options, torrent, until};

const LEFT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

async fn local(port: u16) -> Discovery {
    let options = DiscoveryOptions { scope: Scope::Lan, lan: true, ..options(port) };
    let discovery = Discovery::start(options).expect("good options");
    until(10, "local search", || discovery.health().lan == Activity::On).await;
    discovery
}

#[test]
fn neighbours_in_two_namespaces_hear_each_other_and_two_on_one_machine_do_too() {
    let [left, right] = Namespace::pair("lan", &["10.77.0.1/24"], &["10.77.0.2/24"]);
    let swarm = InfoHash::of(b"next door");
    let barrier = Arc::new(Barrier::new(2));
    let (started, over) = (Arc::clone(&barrier), Arc::new(Barrier::new(2)));
    let left_over = Arc::clone(&over);
    let left = left.run(move || async move {
        let silent = local(1000).await;
        let mut heard = silent.lan_searches();
        let seeking = local(1001).await;
        started.wait().await;
        let mut search = seeking.seek(swarm, &[]);
        assert_eq!(find(&mut search, RIGHT.into(), 1002, 10).await, Origin::Lan);
        let mut wanted = vec![LanSearch { info_hash: swarm, address: (LEFT, 1001).into() }];
        wanted.push(LanSearch { info_hash: swarm, address: (RIGHT, 1002).into() });
        while !wanted.is_empty() {
            let search = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
            let search = search.unwrap_or_else(|_| panic!("not heard: {wanted:?}")).expect("discovery runs");
            wanted.retain(|wanted| *wanted != search);
        }
        left_over.wait().await;
    });
    let right = right.run(move || async move {
        let seeking = local(1002).await;
        barrier.wait().await;
        let mut search = seeking.seek(swarm, &[]);
        assert_eq!(find(&mut search, LEFT.into(), 1001, 10).await, Origin::Lan);
        over.wait().await;
    });
    left.join().expect("the test on the left");
    right.join().expect("the test on the right");
}

#[test]
fn a_network_that_comes_later_is_searched_too() {
    let pair = Namespace::apart("lanl");
    let swarm = InfoHash::of(b"later");
    let (started, ready) = std::sync::mpsc::channel();
    let over = Arc::new(Barrier::new(2));
    let sides = [(&pair[0], 1001, (RIGHT, 1002)), (&pair[1], 1002, (LEFT, 1001))].map(|(namespace, port, other)| {
        let (started, over) = (started.clone(), Arc::clone(&over));
        namespace.run(move || async move {
            let discovery = local(port).await;
            let mut search = discovery.seek(swarm, &[]);
            started.send(()).expect("the test runs");
            // Links are read every 10 seconds.
            assert_eq!(find(&mut search, other.0.into(), other.1, 40).await, Origin::Lan);
            over.wait().await;
        })
    });
    for _ in 0..2 {
        ready.recv_timeout(Duration::from_secs(30)).expect("both sides start");
    }
    Namespace::connect(&pair, "lanl", &["10.77.0.1/24"], &["10.77.0.2/24"]);
    for side in sides {
        side.join().expect("one side");
    }
}

#[test]
fn searches_of_many_packages_share_datagrams_both_ways_and_what_is_held_is_not_said() {
    let [left, right] = Namespace::pair("lanm", &["10.77.0.1/24"], &["10.77.0.2/24"]);
    let hashes = |from: u8| (from..from + 40).map(|byte| InfoHash::of(&[byte])).collect::<Vec<_>>();
    let (over, right_over) = tokio::sync::oneshot::channel();
    let (tell_ready, ready) = tokio::sync::oneshot::channel();
    let right = right.run(move || async move {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 6771)).expect("our own namespace");
        socket.join_multicast_v4(p2p_wire::LOCAL_SEARCH_V4.ip(), &RIGHT).expect("a link");
        socket.set_nonblocking(true).expect("a socket");
        let socket = tokio::net::UdpSocket::from_std(socket).expect("a socket");
        tell_ready.send(()).expect("the test runs");
        let (mut missing, mut datagrams, mut buffer) = (hashes(0), 0, [0; 2000]);
        while !missing.is_empty() {
            let receiving = tokio::time::timeout(Duration::from_secs(10), socket.recv_from(&mut buffer)).await;
            let (length, _) = receiving.unwrap_or_else(|_| panic!("not heard: {missing:?}")).expect("a socket");
            let search = p2p_wire::LocalSearch::decode(&buffer[..length]).expect("a search");
            assert!(search.info_hashes.iter().all(|hash| hashes(0).contains(hash)), "{search:?}");
            missing.retain(|hash| !search.info_hashes.contains(hash));
            datagrams += 1;
        }
        assert!(datagrams <= 12, "{datagrams} datagrams for 40 hashes");
        let search = p2p_wire::LocalSearch { port: 1002, info_hashes: hashes(100), cookie: None };
        for datagram in search.encode(p2p_wire::LOCAL_SEARCH_V4.into()) {
            socket.send_to(&datagram, p2p_wire::LOCAL_SEARCH_V4).await.expect("a link");
        }
        right_over.await.expect("the test on the left");
    });
    let left = left.run(move || async move {
        ready.await.expect("the test on the right");
        let discovery = local(1001).await;
        let mut heard = discovery.lan_searches();
        discovery.hold(hashes(150).into_iter().map(|hash| (hash, std::time::SystemTime::now())));
        let _searches: Vec<_> = hashes(0).iter().map(|hash| discovery.seek(*hash, &[])).collect();
        let mut missing = hashes(100);
        while !missing.is_empty() {
            let search = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await;
            let search = search.unwrap_or_else(|_| panic!("not heard: {missing:?}")).expect("discovery runs");
            assert_eq!(search.address, (RIGHT, 1002).into());
            missing.retain(|hash| *hash != search.info_hash);
        }
        over.send(()).expect("the test runs");
    });
    left.join().expect("the test on the left");
    right.join().expect("the test on the right");
}

#[test]
fn where_ipv4_cannot_be_heard_ipv6_is_enough() {
    let [left, _right] = Namespace::pair("lan6", &["10.77.0.1/24"], &["10.77.0.2/24"]);
    let test = left.run(|| async {
        // Who does not share the group's port keeps everybody else from it.
        let _selfish = UdpSocket::bind(p2p_wire::LOCAL_SEARCH_V4).expect("our own namespace");
        drop(local(1001).await);
    });
    test.join().expect("the test on the left");
}

/// Another client on the right must say that it is in the swarm, and call us when we say that we look for it.
fn client_hears_us_and_we_hear_it(test: &str, program: &str, arguments: impl Fn(&mut Command, &Path, &Path)) {
    let [left, right] = Namespace::pair(test, &["10.77.0.1/24"], &["10.77.0.2/24"]);
    let directory = tempfile::tempdir().expect("a directory");
    let torrents = directory.path().join("torrents");
    let swarm = torrent(&torrents, "wanted");
    let mut command = right.command(program);
    arguments(&mut command, &torrents, &directory.path().join("state"));
    let log = directory.path().join("log");
    let test = left.run(move || async move {
        let listener = TcpListener::bind((LEFT, 1001)).expect("our own namespace");
        listener.set_nonblocking(true).expect("a socket");
        let discovery = local(1001).await;
        let mut heard = discovery.lan_searches();
        let _program = Program::start(command, &log);
        let said = LanSearch { info_hash: swarm, address: (RIGHT, 7000).into() };
        let hearing = async { while heard.recv().await.expect("discovery runs") != said {} };
        let outcome = tokio::time::timeout(Duration::from_secs(90), hearing).await;
        assert!(outcome.is_ok(), "not heard; {}", fs_err::read_to_string(&log).unwrap_or_default());
        let _search = discovery.seek(swarm, &[]);
        until(60, "a call at the port that we announced", || listener.accept().is_ok()).await;
    });
    test.join().expect("the test on the left");
}

#[test]
fn transmission_and_we_hear_each_other_between_namespaces() {
    client_hears_us_and_we_hear_it("lant", "transmission-daemon", |command, torrents, state| {
        command.arg("--config-dir").arg(state.join("config")).arg("--watch-dir").arg(torrents);
        command.arg("--download-dir").arg(state.join("downloads"));
        command.args(["--foreground", "--lpd", "--no-dht", "--no-utp", "--no-portmap", "--peerport", "7000"]);
        command.args(["--port", "7001"]);
    });
}

#[test]
fn aria2_and_we_hear_each_other_between_namespaces() {
    client_hears_us_and_we_hear_it("lana", "aria2c", |command, torrents, state| {
        command.arg("--dir").arg(state).arg("--no-conf").arg(torrents.join("wanted.torrent"));
        command.args(["--bt-enable-lpd=true", "--enable-dht=false", "--listen-port=7000", "--seed-time=10"]);
    });
}

#[tokio::test]
async fn a_machine_without_any_network_hears_itself_by_loopback() {
    let [first, second] = [local(1001).await, local(1002).await];
    let swarm = InfoHash::of(b"at home");
    let _first = first.seek(swarm, &[]);
    let mut search = second.seek(swarm, &[]);
    let peer = tokio::time::timeout(Duration::from_secs(10), search.next()).await;
    let peer = peer.expect("found in time").expect("discovery runs");
    let own: IpAddr = peer.address.ip();
    assert_eq!((peer.address.port(), peer.origin), (1001, Origin::Lan), "{own}");
}
