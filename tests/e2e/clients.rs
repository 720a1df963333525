//! Other people's clients complete packages from the daemon's pacman cache, each from far away: by every transport and
//! address family that they know, with the metadata from a `.torrent` file or from the daemon itself.
//!
//! A packet filter in front of the daemon loses what comes by another transport than the one that a test is about. The
//! clients know no other peer than the daemon, at an address of one family. In network namespaces: needs root.

mod scene;

use p2p_tests::{Aria2, Connecting, Encryption, Libtorrent, PeerSources, Transmission, Transport};

use scene::{BOUND, Scene, Way};

/// As clients come: encryption is tried first, and they must go on without.
fn over(transport: Transport) -> Connecting {
    Connecting { transport, encryption: Encryption::Preferred }
}

#[test]
fn in_namespaces_libtorrent_completes_over_tcp() {
    libtorrent_completes(Transport::Tcp);
}

#[test]
fn in_namespaces_libtorrent_completes_over_utp() {
    libtorrent_completes(Transport::Utp);
}

#[track_caller]
fn libtorrent_completes(transport: Transport) {
    let scene = Scene::new(transport);
    let mut sessions = Vec::new();
    for way in scene.ways() {
        let options = way.libtorrent_options(over(transport));
        sessions.push((Libtorrent::download(&way.host, &scene.first, &[], &options), &scene.first));
        let link = scene.second.magnet(&[]);
        sessions.push((Libtorrent::download_magnet(&way.host, &link, &options), &scene.second));
    }
    for (session, package) in &mut sessions {
        session.wait_complete(package, BOUND);
    }
    scene.assert_all_uploaded();
    assert!(scene.refused() >= sessions.len(), "{}", scene.machine.daemon.log());
}

#[test]
fn in_namespaces_transmission_completes_over_tcp() {
    let scene = Scene::new(Transport::Tcp);
    transmission_completes(&scene, over(Transport::Tcp));
    assert!(scene.refused() >= 4, "{}", scene.machine.daemon.log());
}

/// With encryption tried first it would take a peer that refuses it for one without uTP, and go on over TCP; its version
/// 3.00 hangs up before it has said anything there.
#[test]
fn in_namespaces_transmission_completes_over_utp() {
    let connecting = Connecting { transport: Transport::Utp, encryption: Encryption::Avoided };
    transmission_completes(&Scene::new(Transport::Utp), connecting);
}

#[track_caller]
fn transmission_completes(scene: &Scene, connecting: Connecting) {
    let start = |way: &Way| {
        let (tracker, transmission) = (way.tracker(), transmission(way, connecting));
        transmission.download(&scene.first, &[tracker.url()]);
        transmission.add(&scene.second.magnet(&[tracker.url()]));
        (transmission, tracker)
    };
    for (transmission, _tracker) in &scene.ways().map(start) {
        transmission.wait_complete(&scene.first, BOUND);
        transmission.wait_complete(&scene.second, BOUND);
    }
    scene.assert_all_uploaded();
}

#[test]
fn in_namespaces_aria2_completes_over_tcp() {
    let scene = Scene::new(Transport::Tcp);
    let (trackers, mut downloads) = (scene.ways().map(Way::tracker), Vec::new());
    for (way, tracker) in scene.ways().iter().zip(&trackers) {
        let trackers = [tracker.url()];
        downloads.push((Aria2::download(&way.host, &scene.first, &trackers, &PeerSources::default()), &scene.first));
        downloads.push((aria2(way, &scene.second.magnet(&trackers), Encryption::Preferred), &scene.second));
    }
    for (aria2, package) in &mut downloads {
        aria2.wait_complete(package, BOUND);
    }
    scene.assert_all_uploaded();
    assert!(scene.refused() >= downloads.len(), "{}", scene.machine.daemon.log());
}

#[test]
fn in_namespaces_clients_that_insist_on_encryption_are_refused_and_others_served() {
    let scene = Scene::new(Transport::Any);
    let (way, link) = (&scene.by_ipv4, scene.second.magnet(&[]));
    let tracker = way.tracker();
    let insisting = |transport| Connecting { transport, encryption: Encryption::Required };
    let transmission = transmission(way, insisting(Transport::Any));
    transmission.download(&scene.first, &[tracker.url()]);
    scene.wait_refused(1);
    let aria2 = aria2(way, &scene.second.magnet(&[tracker.url()]), Encryption::Required);
    scene.wait_refused(2);
    let over_tcp = Libtorrent::download_magnet(&way.host, &link, &way.libtorrent_options(insisting(Transport::Tcp)));
    scene.wait_refused(3);
    let over_utp = Libtorrent::download_magnet(&way.host, &link, &way.libtorrent_options(insisting(Transport::Utp)));
    scene.wait_refused(4);
    let options = way.libtorrent_options(over(Transport::Any));
    let mut other = Libtorrent::download(&way.host, &scene.first, &[], &options);
    other.wait_complete(&scene.first, BOUND);
    // One client has had one package, and nobody else anything.
    let uploaded = scene.machine.daemon.status().number("uploaded_bytes");
    assert!(uploaded < scene.first.size() * 3 / 2, "{uploaded} bytes were uploaded");
    assert!(over_tcp.state()["done"] == 0 && over_utp.state()["done"] == 0);
    assert!(!aria2.path(&scene.second).exists() && !transmission.downloads().join(scene.first.file_name()).exists());
}

fn transmission(way: &Way, connecting: Connecting) -> Transmission {
    Transmission::connecting(&way.host, &PeerSources::default(), connecting)
}

fn aria2(way: &Way, link: &str, encryption: Encryption) -> Aria2 {
    Aria2::download_magnet(&way.host, link, &PeerSources::default(), encryption)
}
