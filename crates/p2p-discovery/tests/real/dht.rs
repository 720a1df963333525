//! A DHT of our own nodes, and one with transmission's.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use mainline::async_dht::AsyncDht;
use p2p_discovery::{Activity, Discovery, DiscoveryOptions, Found, Origin};
use p2p_package::InfoHash;

use crate::namespace::Namespace;
use crate::parts::{Program, dht, find, find_each, options, torrent, until};

/// Of nodes with one address `mainline` trusts only some.
const ISLAND: [Ipv4Addr; 3] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
const THEIRS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 100);

async fn node(port: u16, address: Ipv4Addr, bootstrap: &[SocketAddrV4], state: &Path) -> (Discovery, SocketAddrV4) {
    fs_err::create_dir_all(state).expect("a writable directory");
    let dht = Some(dht(address, bootstrap, state));
    let discovery = Discovery::start(DiscoveryOptions { dht, ..options(port) }).expect("good options");
    until(10, "the start of a DHT node", || discovery.health().dht == Activity::On).await;
    let dht_port = discovery.health().dht_port;
    (discovery, SocketAddrV4::new(address, dht_port))
}

/// Three nodes that have met; the second and the third knew the address of the first, which is returned.
async fn island(state: &Path) -> ([Discovery; 3], SocketAddrV4) {
    let (first, known) = node(1001, ISLAND[0], &[NOWHERE], &state.join("1")).await;
    let (second, _) = node(1002, ISLAND[1], &[known], &state.join("2")).await;
    let (third, _) = node(1003, ISLAND[2], &[known], &state.join("3")).await;
    let nodes = [first, second, third];
    until(20, "meeting", || nodes.iter().all(|node| node.health().dht_nodes == 2)).await;
    (nodes, known)
}

fn peer(number: u16) -> SocketAddr {
    SocketAddr::from((ISLAND[usize::from(number - 1001)], number))
}

#[tokio::test]
async fn three_nodes_with_one_known_address_find_each_other_and_again_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let ([first, second, third], known) = island(directory.path()).await;
    let swarm = InfoHash::of(b"an island");
    let mut at_first = first.seek(swarm, &[]);
    let mut at_second = second.seek(swarm, &[]);
    assert_eq!(find_each(&mut at_second, [peer(1001)], 30).await, [Origin::Dht]);
    let mut at_third = third.seek(swarm, &[]);
    // Who announced itself in the same moment is found by the next round only, up to a minute later.
    assert_eq!(find_each(&mut at_third, [peer(1001), peer(1002)], 90).await, [Origin::Dht; 2]);
    assert_eq!(find_each(&mut at_first, [peer(1002)], 90).await, [Origin::Dht]);

    // The second one comes back and knows nobody but those of its last run.
    drop(at_second);
    second.stop().await;
    let state = directory.path().join("2");
    let saved = fs_err::read_to_string(state.join("dht-nodes")).expect("saved when it stopped");
    assert!(saved.contains(&known.to_string()), "{saved}");
    let (second, _) = node(1002, ISLAND[1], &[NOWHERE], &state).await;
    let mut search = second.seek(swarm, &[]);
    assert_eq!(find_each(&mut search, [peer(1001)], 30).await, [Origin::Dht]);
}

#[tokio::test]
async fn on_an_island_who_only_offers_is_found_and_a_late_search_of_its_finds_all_who_seek() {
    let directory = tempfile::tempdir().expect("a directory");
    let ([first, second, third], _) = island(directory.path()).await;
    let swarm = InfoHash::of(b"an island");
    first.offer(swarm, SystemTime::now(), &[]);
    let mut at_second = second.seek(swarm, &[]);
    assert_eq!(find_each(&mut at_second, [peer(1001)], 30).await, [Origin::Dht]);
    let mut at_third = third.seek(swarm, &[]);
    assert_eq!(find_each(&mut at_third, [peer(1001), peer(1002)], 90).await, [Origin::Dht; 2]);
    let mut late = first.seek(swarm, &[]);
    assert_eq!(find_each(&mut late, [peer(1002), peer(1003)], 90).await, [Origin::Dht; 2]);
}

/// All three start at once and know one address: the first round of each finds nobody.
#[tokio::test]
async fn on_an_island_all_who_meet_in_a_club_find_each_other_within_seconds() {
    let directory = tempfile::tempdir().expect("a directory");
    let club = InfoHash::of(b"a club");
    let (first, known) = node(1001, ISLAND[0], &[NOWHERE], &directory.path().join("1")).await;
    let mut at_first = first.meet(club);
    let (second, _) = node(1002, ISLAND[1], &[known], &directory.path().join("2")).await;
    let mut at_second = second.meet(club);
    let (third, _) = node(1003, ISLAND[2], &[known], &directory.path().join("3")).await;
    let mut at_third = third.meet(club);
    let started = Instant::now();
    let (at_first, at_second, at_third) = tokio::join!(
        find_each(&mut at_first, [peer(1002), peer(1003)], 60),
        find_each(&mut at_second, [peer(1001), peer(1003)], 60),
        find_each(&mut at_third, [peer(1001), peer(1002)], 60),
    );
    println!("all have found all after {:?}", started.elapsed());
    assert_eq!([at_first, at_second, at_third], [[Origin::Dht; 2]; 3]);
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

/// Packets that have left this namespace by its cable.
fn packets_sent() -> u64 {
    let devices = fs_err::read_to_string("/proc/thread-self/net/dev").expect("the kernel tells");
    let cable = devices.lines().find_map(|line| line.trim().strip_prefix("p2pt")).expect("there is a cable");
    let (_, counts) = cable.split_once(':').expect("counts");
    counts.split_whitespace().nth(9).and_then(|packets| packets.parse().ok()).expect("packets sent")
}

/// A network of other nodes on the right; the one to begin with.
async fn strangers(address: Ipv4Addr, number: usize) -> (Vec<AsyncDht>, SocketAddrV4) {
    let mut nodes: Vec<AsyncDht> = Vec::new();
    let mut known: Vec<SocketAddrV4> = Vec::new();
    for _ in 0..number {
        let mut builder = mainline::Dht::builder();
        builder.server_mode().bootstrap(&known).bind_address(address).port(0);
        let node = builder.build().expect("our own namespace").as_async();
        if known.is_empty() {
            known.push(node.info().await.local_addr());
        }
        nodes.push(node);
    }
    (nodes, known[0])
}

/// What is counted is what is sent, and it is little; and strangers find us by it.
#[test]
fn an_announce_of_what_is_held_takes_few_packets_and_each_is_counted() {
    const NODES: usize = 40;
    const SWARMS: usize = 30;
    let (left_address, right_address) = (Ipv4Addr::new(10, 78, 0, 1), Ipv4Addr::new(10, 78, 0, 2));
    let [left, right] = Namespace::pair("dhtc", &["10.78.0.1/24"], &["10.78.0.2/24"]);
    let (tell_known, known) = tokio::sync::oneshot::channel();
    let (tell_done, done) = tokio::sync::oneshot::channel();
    let swarms: Vec<_> = (0..SWARMS).map(|number| InfoHash::of(&number.to_be_bytes())).collect();
    let wanted = swarms.clone();
    let right = right.run(move || async move {
        let (nodes, first) = strangers(right_address, NODES).await;
        tell_known.send(first).expect("the test runs");
        done.await.expect("the test on the left");
        let seeker = &nodes[NODES - 1];
        for swarm in &wanted {
            let mut peers = seeker.get_peers(mainline::Id::from(*swarm.as_bytes()));
            let ours = SocketAddrV4::new(left_address, 1001);
            let looking = async { while !peers.next().await.is_none_or(|some| some.contains(&ours)) {} };
            assert!(tokio::time::timeout(Duration::from_secs(20), looking).await.is_ok(), "{swarm} was not found");
        }
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_owned();
    let left = left.run(move || async move {
        let known = known.await.expect("the test on the right");
        let (discovery, _) = node(1001, left_address, &[known], &path).await;
        until(60, "meeting", || discovery.health().dht_nodes >= 8).await;
        let before = packets_sent();
        let now = SystemTime::now();
        discovery.hold(swarms.iter().map(|swarm| (*swarm, now)));
        until(120, "all announces", || swarms.iter().all(|swarm| discovery.rarity(swarm).is_some())).await;
        let sent = packets_sent() - before;
        let counted = discovery.health().announcing.packets;
        println!(
            "{SWARMS} announces in a DHT of {NODES} nodes: {counted} packets counted, {sent} sent by the node in all"
        );
        // Our own node answers, and looks after its table; when it is near to a hash it is told too, over loopback.
        assert!((counted - 60..counted + 300).contains(&sent), "{counted} counted, {sent} sent");
        assert!(counted <= 30 * SWARMS as u64, "{counted}");
        tell_done.send(()).expect("the test runs");
        discovery
    });
    drop(left.join().expect("the test on the left"));
    right.join().expect("the test on the right");
}

/// A minute's packets, in a fifth of it or as long as it takes to announce something. All that leaves counts: meeting others, announces,
/// answers.
#[test]
fn from_the_start_on_no_more_packets_leave_than_the_budget_allows() {
    const BUDGET: u32 = 25;
    const TIME: Duration = Duration::from_secs(12);
    const ANNOUNCES: u64 = 30;
    let (left_address, right_address) = (Ipv4Addr::new(10, 79, 0, 1), Ipv4Addr::new(10, 79, 0, 2));
    let [left, right] = Namespace::pair("dhtb", &["10.79.0.1/24"], &["10.79.0.2/24"]);
    let (tell_known, known) = tokio::sync::oneshot::channel();
    let (tell_done, done) = tokio::sync::oneshot::channel::<()>();
    let right = right.run(move || async move {
        let (_nodes, first) = strangers(right_address, 40).await;
        tell_known.send(first).expect("the test runs");
        done.await.expect("the test on the left");
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_owned();
    let left = left.run(move || async move {
        let known = known.await.expect("the test on the right");
        // A first start, and one with the nodes of the last run.
        for run in ["first", "second"] {
            let (before, started, now) = (packets_sent(), Instant::now(), SystemTime::now());
            let dht = Some(dht(left_address, &[known], &path));
            let options = DiscoveryOptions { dht, announce_budget: BUDGET, ..options(1001) };
            let discovery = Discovery::start(options).expect("good options");
            discovery.hold((0..2000_u32).map(|number| (InfoHash::of(&number.to_be_bytes()), now)));
            let announced = || discovery.health().announcing.packets;
            until(90, "announces", || started.elapsed() >= TIME && announced() >= ANNOUNCES).await;
            let (sent, elapsed) = (packets_sent() - before, started.elapsed());
            println!("{run} run: {sent} packets within {elapsed:?}, {} of them for announces", announced());
            let allowed = u64::from(BUDGET) * elapsed.as_secs();
            assert!(sent <= allowed, "{run} run: {sent} of {allowed}");
            discovery.stop().await;
        }
        tell_done.send(()).expect("the test runs");
    });
    left.join().expect("the test on the left");
    right.join().expect("the test on the right");
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
        // Enough to look further; who came first asks again a minute later only.
        until(100, "meeting", || others.iter().all(|(other, _)| other.health().dht_nodes >= 4)).await;
        let bootstrap: Vec<_> =
            others.iter().map(|(_, address)| format!("{} {}\n", address.ip(), address.port())).collect();
        fs_err::write(path.join("config/dht.bootstrap"), bootstrap.concat()).expect("a writable directory");
        // Transmission looks once, when it knows nine nodes (for which it takes its time: a minute or two), and again
        // after 25 minutes: so by then the nodes must know us, however slow this machine is.
        let search = first.seek(swarm, &[]);
        find(&mut others[0].0.seek(swarm, &[]), ours[0].into(), 1000, 60).await;
        let _transmission = Program::start(command, &path.join("log"));
        until(180, "a call of transmission at the port that we announced", || listener.accept().is_ok()).await;
        look_again(&others, swarm, SocketAddr::from((THEIRS, 7000))).await;
        drop(search);
    });
    test.join().expect("the test on the left");
}
