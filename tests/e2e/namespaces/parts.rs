//! The parts by themselves: each way to find a peer works between foreign clients, before ours is blamed.

use p2p_tests::{
    Aria2, DhtNetwork, FakePeer, Lan, Libtorrent, LibtorrentOptions, OpenTracker, Package, PackageSpec, Payload,
    PeerSources, Temper, Transmission,
};
use tempfile::TempDir;

use super::{BOUND, PUBLIC, lsd, pex};

/// A package of a few pieces, not in any repository.
fn package() -> (TempDir, Package) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let package = PackageSpec::new("swarm").payload(Payload::Random(1_500_000)).build(directory.path());
    (directory, package)
}

#[test]
fn aria2_finds_transmission_by_a_tracker_alone() {
    let mut lan = Lan::new(PUBLIC);
    let (seeder, leecher, third) = (lan.host(), lan.host(), lan.host());
    let (_directory, package) = package();
    let tracker = OpenTracker::start(&third, &[&package]);
    let transmission = Transmission::start(&seeder, &PeerSources::default());
    transmission.seed(&package, &[tracker.http_url()]);
    let mut aria2 = Aria2::download(&leecher, &package, &[tracker.http_url()], &PeerSources::default());
    aria2.wait_complete(&package, BOUND);
}

#[test]
fn libtorrent_finds_transmission_by_a_udp_tracker_alone() {
    let mut lan = Lan::new(PUBLIC);
    let (seeder, leecher, third) = (lan.host(), lan.host(), lan.host());
    let (_directory, package) = package();
    let tracker = OpenTracker::start(&third, &[&package]);
    let transmission = Transmission::start(&seeder, &PeerSources::default());
    transmission.seed(&package, &[tracker.udp_url()]);
    let options = LibtorrentOptions::default();
    let mut libtorrent = Libtorrent::download(&leecher, &package, &[tracker.udp_url()], &options);
    libtorrent.wait_complete(&package, BOUND);
}

#[test]
fn libtorrent_finds_transmission_by_a_private_dht_alone() {
    let mut lan = Lan::new(PUBLIC);
    let (seeder, leecher, third) = (lan.host(), lan.host(), lan.host());
    let (_directory, package) = package();
    let dht = DhtNetwork::start(&third);
    let sources = PeerSources { dht: dht.nodes(), ..PeerSources::default() };
    let transmission = Transmission::start(&seeder, &sources);
    transmission.seed(&package, &[]);
    dht.wait_for_peers(&package, 1, BOUND);
    let options = LibtorrentOptions { sources, ..LibtorrentOptions::default() };
    let mut libtorrent = Libtorrent::download(&leecher, &package, &[], &options);
    libtorrent.wait_complete(&package, BOUND);
}

#[test]
fn transmission_finds_aria2_by_local_service_discovery_alone() {
    let mut lan = Lan::new(PUBLIC);
    let (seeder, leecher) = (lan.host(), lan.host());
    let (_directory, package) = package();
    let transmission = Transmission::start(&leecher, &lsd());
    transmission.download(&package, &[]);
    let _aria2 = Aria2::seed(&seeder, &package, &[], &lsd());
    transmission.wait_complete(&package, BOUND);
}

#[test]
fn libtorrent_finds_transmission_by_peer_exchange_alone() {
    let mut lan = Lan::new(PUBLIC);
    let (seeder, leecher, middle) = (lan.host(), lan.host(), lan.host());
    let (_directory, package) = package();
    let transmission = Transmission::start(&seeder, &pex());
    transmission.seed(&package, &[]);
    let options = LibtorrentOptions { sources: pex(), ..LibtorrentOptions::default() };
    let mut libtorrent = Libtorrent::download(&leecher, &package, &[], &options);
    let peers = vec![transmission.listen(), libtorrent.listen()];
    // The one in the middle knows both, and is far too slow to be where the package comes from.
    let slow = LibtorrentOptions { peers, upload_limit: 1_000, download_limit: 1_000, ..options };
    let middle = Libtorrent::download(&middle, &package, &[], &slow);
    libtorrent.wait_complete(&package, BOUND);
    assert_ne!(middle.state()["complete"], true);
}

#[test]
fn libtorrent_downloads_from_an_honest_fake_peer_and_not_from_a_corrupt_one() {
    let mut lan = Lan::new(PUBLIC);
    let (seeder, leecher) = (lan.host(), lan.host());
    let (_directory, package) = package();
    let corrupt = FakePeer::listen(&seeder, &package, Temper::Corrupts(1));
    let options = LibtorrentOptions { peers: vec![corrupt.address()], ..LibtorrentOptions::default() };
    let mut libtorrent = Libtorrent::download(&leecher, &package, &[], &options);
    // It bans whoever sent a wrong piece, however many it has by then.
    let in_vain = |state: &serde_json::Value| {
        let number = |key: &str| state[key].as_u64().unwrap_or_default();
        number("downloaded") >= number("done") + 262_144
    };
    libtorrent.wait("a piece in vain", BOUND, in_vain);
    assert_eq!(libtorrent.state()["complete"], false);
    let honest = FakePeer::listen(&seeder, &package, Temper::Honest);
    let options = LibtorrentOptions { peers: vec![honest.address()], ..options };
    let mut libtorrent = Libtorrent::download(&leecher, &package, &[], &options);
    libtorrent.wait_complete(&package, BOUND);
    assert_eq!(honest.served(), package.size());
}
