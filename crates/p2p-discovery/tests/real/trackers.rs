//! opentracker, by UDP and by HTTP.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::SystemTime;

use p2p_discovery::{Activity, Discovery, DiscoveryOptions, Origin, Scope, Search};
use p2p_package::InfoHash;
use tempfile::TempDir;

use crate::parts::{Program, find, options, until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Opentracker {
    port: u16,
    _program: Program,
    _directory: TempDir,
}

/// A port that is free for TCP and UDP; opentracker cannot be asked for any free one.
fn free_port() -> u16 {
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let listeners = std::iter::repeat_with(|| TcpListener::bind((LOCALHOST, 0)).expect("a free port"));
    let both = listeners.map(|tcp| port(&tcp)).find(|port| UdpSocket::bind((LOCALHOST, *port)).is_ok());
    both.expect("an endless iterator")
}

impl Opentracker {
    async fn start(swarm: InfoHash) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // It runs as nobody.
        fs_err::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("our own directory");
        fs_err::write(directory.path().join("swarms"), format!("{swarm}\n")).expect("our own directory");
        let port = free_port();
        let mut command = Command::new("opentracker");
        command.current_dir(directory.path()).args(["-i", "127.0.0.1", "-w", "swarms", "-d", "."]);
        command.args(["-p", &port.to_string(), "-P", &port.to_string()]);
        let program = Program::start(command, &directory.path().join("log"));
        until(10, "opentracker's start", || std::net::TcpStream::connect((LOCALHOST, port)).is_ok()).await;
        Self { port, _program: program, _directory: directory }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/announce", self.port)
    }
}

fn asking(port: u16, tracker: &str) -> Discovery {
    let trackers = vec![tracker.parse().expect("a URL")];
    Discovery::start(DiscoveryOptions { trackers, ..options(port) }).expect("good options")
}

async fn second_finds_first(scheme: &str) {
    let swarm = InfoHash::of(scheme.as_bytes());
    let tracker = Opentracker::start(swarm).await;
    let url = tracker.url(scheme);
    let [first, second] = [1001, 1002].map(|port| asking(port, &url));
    let sought = first.seek(swarm, &[]);
    let is_told = |discovery: &Discovery| {
        let health = discovery.health();
        health.trackers[0].last_error.is_none()
            && health.trackers[0].next.is_some_and(|next| next > std::time::Instant::now())
    };
    until(10, "the first announce", || is_told(&first)).await;
    let mut search = second.seek(swarm, &[]);
    assert_eq!(find(&mut search, LOCALHOST, 1001, 10).await, Origin::Tracker);
    drop((sought, search));

    // Both have left; a third finds the one who offers, and nobody else.
    first.stop().await;
    second.stop().await;
    let [seed, third, fourth] = [1003, 1004, 1005].map(|port| asking(port, &url));
    seed.offer(swarm, SystemTime::now(), &[]);
    until(10, "the offer", || is_told(&seed)).await;
    let mut search = third.seek(swarm, &[]);
    until(10, "the answer", || is_told(&third)).await;
    assert_eq!(others_found(&mut search, 1004).await, [1003]);
    drop(search);
    third.stop().await;

    // Who offered has left as well.
    seed.stop().await;
    let mut search = fourth.seek(swarm, &[]);
    until(10, "the last answer", || is_told(&fourth)).await;
    assert_eq!(others_found(&mut search, 1005).await, [0; 0]);
}

#[tokio::test]
async fn a_restart_announces_again_only_what_is_due() {
    let swarm = InfoHash::of(b"restart");
    let tracker = Opentracker::start(swarm).await;
    let directory = tempfile::tempdir().expect("a directory");
    let announces = Some(directory.path().join("announces"));
    let start = |announces| {
        let trackers = vec![tracker.url("http").parse().expect("a URL")];
        Discovery::start(DiscoveryOptions { trackers, announces, ..options(1001) }).expect("good options")
    };
    let other = InfoHash::of(b"not on the list");
    let first = start(announces.clone());
    first.hold([(swarm, SystemTime::now()), (other, SystemTime::UNIX_EPOCH)]);
    until(10, "the announce", || first.rarity(&swarm) == Some(0)).await;
    until(10, "the refusal", || first.health().trackers[0].last_error.is_some()).await;
    first.stop().await;
    let text = fs_err::read_to_string(directory.path().join("announces")).expect("saved when it stopped");
    assert!(text.contains(&swarm.to_string()) && text.contains(&other.to_string()), "{text}");

    let second = start(announces.clone());
    second.hold([(swarm, SystemTime::now()), (other, SystemTime::UNIX_EPOCH)]);
    // What said farewell is due; what was refused is not.
    until(10, "the announce", || second.health().announcing.due == 0 && second.health().announcing.packets > 0).await;
    assert_eq!(second.health().trackers[0].last_error, None);
    assert_eq!(second.rarity(&swarm), Some(0));
    second.stop().await;

    fs_err::write(directory.path().join("announces"), "nonsense").expect("our own directory");
    let third = start(announces);
    third.hold([(swarm, SystemTime::now())]);
    until(10, "the announce", || third.rarity(&swarm) == Some(0)).await;
}

/// The ports of all peers that the search has found by now, without our own.
async fn others_found(search: &mut Search, own: u16) -> Vec<u16> {
    let mut found = Vec::new();
    while let Ok(Some(peer)) = tokio::time::timeout(std::time::Duration::ZERO, search.next()).await {
        found.push(peer.address.port());
    }
    found.retain(|port| *port != own);
    found
}

#[tokio::test]
async fn opentracker_brings_two_together_by_udp() {
    second_finds_first("udp").await;
}

#[tokio::test]
async fn opentracker_brings_two_together_by_http() {
    second_finds_first("http").await;
}

#[tokio::test]
async fn a_refusal_is_reported_and_a_dead_tracker_delays_nobody() {
    let tracker = Opentracker::start(InfoHash::of(b"another")).await;
    let silent = UdpSocket::bind((LOCALHOST, 0)).expect("a free port");
    let silent = format!("udp://{}", silent.local_addr().expect("an address"));
    let urls = [tracker.url("http"), silent].map(|url| url.parse().expect("a URL"));
    let configured = vec!["127.0.0.1:9".to_owned(), "localhost:7".to_owned()];
    let options = DiscoveryOptions { trackers: urls.into(), peers: configured, ..options(1001) };
    let discovery = Discovery::start(options).expect("good options");
    let mut search = discovery.seek(InfoHash::of(b"refused"), &[]);
    let first = search.next().await.expect("discovery runs");
    assert_eq!((first.address.port(), first.origin), (9, Origin::Configured));
    let second = search.next().await.expect("discovery runs");
    assert_eq!((second.address.port(), second.origin), (7, Origin::Configured));
    until(10, "the refusal", || discovery.health().trackers[0].last_error.is_some()).await;
    let health = discovery.health();
    let error = health.trackers[0].last_error.as_deref().unwrap_or_default();
    assert!(error.contains("not authorized"), "{error}");
    assert_eq!((health.dht, health.lan), (Activity::Off, Activity::Off));
}

#[tokio::test]
async fn a_udp_tracker_that_passes_over_one_torrent_is_asked_for_others_at_once() {
    let listed = InfoHash::of(b"listed");
    let tracker = Opentracker::start(listed).await;
    let urls = vec![tracker.url("udp").parse().expect("a URL")];
    let discovery = Discovery::start(DiscoveryOptions { trackers: urls, ..options(1001) }).expect("good options");
    let _unlisted = discovery.seek(InfoHash::of(b"unlisted"), &[]);
    until(20, "the silence", || discovery.health().trackers[0].last_error.is_some()).await;
    discovery.offer(listed, SystemTime::now(), &[]);
    until(10, "the announce of another", || discovery.rarity(&listed) == Some(0)).await;
}

#[tokio::test]
async fn within_the_lan_scope_no_tracker_hears_anything() {
    let listener = TcpListener::bind((LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/announce", listener.local_addr().expect("an address"));
    let trackers = vec![url.parse().expect("a URL")];
    let state_dir = tempfile::tempdir().expect("a directory");
    let dht = Some(crate::parts::dht(Ipv4Addr::LOCALHOST, &[], state_dir.path()));
    let peers = vec!["127.0.0.1:9".to_owned()];
    let options = DiscoveryOptions { scope: Scope::Lan, trackers, dht, peers, ..options(1001) };
    let discovery = Discovery::start(options).expect("good options");
    let mut search = discovery.seek(InfoHash::of(b"at home"), &[url]);
    discovery.offer(InfoHash::of(b"at home too"), SystemTime::now(), &[]);
    assert_eq!(find(&mut search, LOCALHOST, 9, 5).await, Origin::Configured);
    let health = discovery.health();
    assert_eq!((health.dht, health.dht_port, health.trackers.len()), (Activity::Off, 0, 0));
    drop(search);
    discovery.stop().await;
    assert!(listener.accept().is_err(), "somebody connected to the tracker");
}
