//! The daemon finds another client's seed by one method alone, and downloads from it.

use p2p_tests::{
    Aria2, DaemonOptions, DhtNetwork, Libtorrent, LibtorrentOptions, OpenTracker, PeerSources, Transmission,
};

use super::{BOUND, Town, lsd, pex};

#[test]
fn by_a_configured_http_tracker_it_finds_transmission() {
    let mut town = Town::new();
    let (seeder, third) = (town.lan.host(), town.lan.host());
    let tracker = OpenTracker::start(&third, &[&town.package]);
    let transmission = Transmission::start(&seeder, &PeerSources::default());
    transmission.seed(&town.package, &[tracker.http_url()]);
    tracker.wait_for_peers(&town.package, 1, BOUND);
    town.slow_mirror();
    let machine = town.machine(|options| DaemonOptions { trackers: vec![tracker.http_url()], ..options });
    town.fetch_from_peers(&machine);
}

#[test]
fn by_the_udp_tracker_of_the_torrent_it_finds_libtorrent() {
    let mut town = Town::new();
    let (seeder, third) = (town.lan.host(), town.lan.host());
    let tracker = OpenTracker::start(&third, &[&town.package]);
    let trackers = [tracker.udp_url()];
    let _libtorrent = Libtorrent::seed(&seeder, &town.package, &trackers, &LibtorrentOptions::default());
    tracker.wait_for_peers(&town.package, 1, BOUND);
    town.world.repository.write_torrents(&trackers);
    town.slow_mirror();
    let machine = town.machine(|options| options);
    town.fetch_from_peers(&machine);
}

#[test]
fn by_a_private_dht_it_finds_transmission() {
    let mut town = Town::new();
    let (seeder, third) = (town.lan.host(), town.lan.host());
    let dht = DhtNetwork::start(&third);
    let nodes = dht.nodes();
    let transmission = Transmission::start(&seeder, &PeerSources { dht: nodes.clone(), ..PeerSources::default() });
    transmission.seed(&town.package, &[]);
    dht.wait_for_peers(&town.package, 1, BOUND);
    town.slow_mirror();
    let machine = town.machine(|options| DaemonOptions { dht_bootstrap: nodes, ..options });
    town.fetch_from_peers(&machine);
}

#[test]
fn by_local_service_discovery_it_finds_aria2() {
    let mut town = Town::new();
    let seeder = town.lan.host();
    town.slow_mirror();
    let machine = town.machine(|options| DaemonOptions { lan: true, ..options });
    let _aria2 = Aria2::seed(&seeder, &town.package, &[], &lsd());
    town.fetch_from_peers(&machine);
}

#[test]
fn by_local_service_discovery_it_finds_transmission() {
    let mut town = Town::new();
    let seeder = town.lan.host();
    town.slow_mirror();
    let machine = town.machine(|options| DaemonOptions { lan: true, ..options });
    let transmission = Transmission::start(&seeder, &lsd());
    transmission.seed(&town.package, &[]);
    town.fetch_from_peers(&machine);
}

#[test]
fn by_peer_exchange_it_finds_transmission() {
    let mut town = Town::new();
    let (seeder, middle) = (town.lan.host(), town.lan.host());
    let transmission = Transmission::start(&seeder, &pex());
    transmission.seed(&town.package, &[]);
    // The one in the middle is far too slow to be where the package comes from.
    let slow = LibtorrentOptions {
        sources: pex(),
        peers: vec![transmission.listen()],
        upload_limit: 1_000,
        download_limit: 1_000,
        ..LibtorrentOptions::default()
    };
    let middle = Libtorrent::download(&middle, &town.package, &[], &slow);
    town.slow_mirror();
    let machine = town.machine(|options| DaemonOptions { peers: vec![middle.listen()], ..options });
    town.fetch_from_peers(&machine);
    assert_ne!(middle.state()["complete"], true);
}
