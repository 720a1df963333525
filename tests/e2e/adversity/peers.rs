//! Peers that die, stall, trickle and lie.

use std::time::Duration;

use p2p_tests::{DaemonOptions, FakePeer, Fault, Host, Mirror, Package, Temper};

use crate::world::{Machine, World};

/// Two dozen pieces.
const SIZE: u64 = 6_000_000;
/// So slow a mirror that a peer is worth its while: four seconds for the package.
const SLOW: u64 = 1_500_000;

struct Scene {
    _world: World,
    package: Package,
    mirror: Mirror,
    peer: FakePeer,
    machine: Machine,
    url: String,
}

/// A slow mirror, and a peer of this temper that the daemon is told of.
fn scene(temper: Temper, policy: &str) -> Scene {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(SLOW));
    let peer = FakePeer::listen(&Host::loopback(), &package, temper);
    let machine = world.machine(&[mirror.server()]).daemon(|options| DaemonOptions {
        peers: vec![peer.address()],
        policy: policy.into(),
        ..options
    });
    let machine = machine.start();
    Scene { url: mirror.url(&path), _world: world, package, mirror, peer, machine }
}

#[test]
fn a_peer_that_dies_half_way_costs_nothing_but_its_bytes() {
    let scene = scene(Temper::DiesAfter(SIZE / 3), "balanced");
    scene.machine.fetch_well(&scene.url, &scene.package);
    assert!(scene.peer.served() > 0, "the peer was never asked");
}

#[test]
fn a_peer_that_stalls_on_the_only_missing_piece_does_not_stall_the_fetch() {
    let scene = scene(Temper::StallsOn(7), "balanced");
    scene.machine.fetch_well(&scene.url, &scene.package);
    assert!(scene.peer.served() > 0, "the peer was never asked");
}

#[test]
fn a_mute_peer_does_not_stall_the_fetch_even_where_mirrors_are_spared() {
    let scene = scene(Temper::Mute, "spare-mirrors");
    scene.machine.fetch_well(&scene.url, &scene.package);
    assert_eq!(scene.peer.served(), 0);
}

#[test]
fn a_trickling_peer_does_not_stall_the_fetch_even_where_mirrors_are_spared() {
    let scene = scene(Temper::Trickles(2_000), "spare-mirrors");
    scene.machine.fetch_well(&scene.url, &scene.package);
    assert!(scene.peer.connections() > 0, "the peer was never met");
}

#[test]
fn a_corrupt_peer_costs_time_but_never_the_file() {
    let scene = scene(Temper::CorruptsAll, "balanced");
    scene.machine.fetch_well(&scene.url, &scene.package);
    let wasted = scene.peer.served();
    assert!(wasted > 0, "the peer was never asked");
    assert!(wasted < SIZE, "a peer that only lies was asked for {wasted} bytes");
}

#[test]
fn a_peer_alone_delivers_where_the_mirror_lacks_the_package() {
    let scene = scene(Temper::Honest, "balanced");
    scene.mirror.heal(scene.url.strip_prefix(&scene.mirror.url("")).expect("it is the mirror's"));
    let path = scene.url.strip_prefix(&scene.mirror.url("")).expect("it is the mirror's");
    scene.mirror.fault(path, Fault::Status(404));
    scene.machine.fetch_well(&scene.url, &scene.package);
    assert_eq!(scene.machine.daemon.status().from_peers(), scene.package.size());
}

#[test]
fn several_clients_share_one_fetch() {
    let scene = scene(Temper::Honest, "balanced");
    let client = scene.machine.daemon.client();
    let outs: Vec<_> = (0..4).map(|n| scene.machine.out(&scene.package).with_extension(n.to_string())).collect();
    let mut running: Vec<_> = outs.iter().map(|out| client.begin(&scene.url, out)).collect();
    for client in &mut running {
        assert!(client.wait(Duration::from_mins(1)).success(), "{}", client.log());
    }
    assert!(outs.iter().all(|out| scene.package.is_at(out)));
    let status = scene.machine.daemon.status();
    let fetched = status.from_peers() + status.from_mirrors();
    assert!(fetched < scene.package.size() * 5 / 4, "{fetched} bytes for four clients of one file");
}
