//! Another client finds the daemon by one method alone, and downloads from it.

use p2p_tests::{
    Aria2, DaemonOptions, DhtNetwork, Libtorrent, LibtorrentOptions, OpenTracker, PeerSources, Transmission,
};

use super::{BOUND, Town, lsd, pex};

#[test]
fn by_an_http_tracker_aria2_finds_it() {
    let mut town = Town::new();
    let (leecher, third) = (town.lan.host(), town.lan.host());
    let tracker = OpenTracker::start(&third, &[&town.package]);
    let trackers = [tracker.http_url()];
    let machine = town.seeding_machine(|options| DaemonOptions { trackers: trackers.to_vec(), ..options });
    tracker.wait_for_peers(&town.package, 1, BOUND);
    let mut aria2 = Aria2::download(&leecher, &town.package, &trackers, &PeerSources::default());
    aria2.wait_complete(&town.package, BOUND);
    assert!(machine.daemon.status().number("uploaded_bytes") >= town.package.size());
}

#[test]
fn by_a_udp_tracker_and_a_magnet_link_libtorrent_finds_it() {
    let mut town = Town::new();
    let (leecher, third) = (town.lan.host(), town.lan.host());
    let tracker = OpenTracker::start(&third, &[&town.package]);
    let trackers = [tracker.udp_url()];
    let _machine = town.seeding_machine(|options| DaemonOptions { trackers: trackers.to_vec(), ..options });
    tracker.wait_for_peers(&town.package, 1, BOUND);
    let link = town.package.magnet(&trackers);
    let mut libtorrent = Libtorrent::download_magnet(&leecher, &link, &LibtorrentOptions::default());
    libtorrent.wait_complete(&town.package, BOUND);
}

#[test]
fn by_a_private_dht_transmission_finds_it() {
    let mut town = Town::new();
    let (leecher, third) = (town.lan.host(), town.lan.host());
    let dht = DhtNetwork::start(&third);
    let nodes = dht.nodes();
    let _machine = town.seeding_machine(|options| DaemonOptions { dht_bootstrap: nodes.clone(), ..options });
    dht.wait_for_peers(&town.package, 1, BOUND);
    let transmission = Transmission::start(&leecher, &PeerSources { dht: nodes, ..PeerSources::default() });
    transmission.download(&town.package, &[]);
    transmission.wait_complete(&town.package, BOUND);
}

#[test]
fn by_local_service_discovery_transmission_finds_it() {
    let mut town = Town::new();
    let leecher = town.lan.host();
    let _machine = town.seeding_machine(|options| DaemonOptions { lan: true, ..options });
    let transmission = Transmission::start(&leecher, &lsd());
    transmission.download(&town.package, &[]);
    transmission.wait_complete(&town.package, BOUND);
}

#[test]
fn by_local_service_discovery_aria2_finds_it() {
    let mut town = Town::new();
    let leecher = town.lan.host();
    let _machine = town.seeding_machine(|options| DaemonOptions { lan: true, ..options });
    let mut aria2 = Aria2::download(&leecher, &town.package, &[], &lsd());
    aria2.wait_complete(&town.package, BOUND);
}

#[test]
fn by_peer_exchange_transmission_finds_it() {
    let mut town = Town::new();
    let (leecher, middle) = (town.lan.host(), town.lan.host());
    let machine = town.seeding_machine(|options| options);
    let transmission = Transmission::start(&leecher, &pex());
    transmission.download(&town.package, &[]);
    let slow = LibtorrentOptions {
        sources: pex(),
        peers: vec![machine.daemon.listen(), transmission.listen()],
        upload_limit: 1_000,
        download_limit: 1_000,
        ..LibtorrentOptions::default()
    };
    let middle = Libtorrent::download(&middle, &town.package, &[], &slow);
    transmission.wait_complete(&town.package, BOUND);
    assert_ne!(middle.state()["complete"], true);
}

#[test]
fn by_local_service_discovery_a_second_daemon_finds_it() {
    let mut town = Town::new();
    let host = town.lan.host();
    let _first = town.seeding_machine(|options| DaemonOptions { lan: true, ..options });
    // Only the `.torrent` is left: the package itself has to come from the first.
    town.mirror.fault(&town.world.path(&town.package), p2p_tests::Fault::Status(404));
    let second = town.world.machine(&[town.mirror.server()]);
    let second = second.daemon(|options| DaemonOptions { host, lan: true, ..options }).start();
    second.fetch_well(&town.url(), &town.package);
    let status = second.daemon.status();
    // More than once, perhaps: the neighbour may lend it whole while the swarm begins.
    assert!(status.from_mirrors() == 0 && status.from_peers() >= town.package.size(), "{}", status.json());
}

#[test]
fn a_second_daemon_takes_from_the_first_and_from_the_mirror() {
    let mut town = Town::new();
    let first = town.seeding_machine(|options| options);
    let host = town.lan.host();
    let path = town.world.path(&town.package);
    town.mirror.fault(&path, p2p_tests::Fault::Rate(300_000));
    let peers = vec![first.daemon.listen()];
    let second = town.world.machine(&[town.mirror.server()]);
    let upload_limited = |options| DaemonOptions { host, peers, ..options };
    let second = second.daemon(upload_limited).start();
    second.fetch_well(&town.url(), &town.package);
    assert!(second.daemon.status().from_peers() > 0);
}
