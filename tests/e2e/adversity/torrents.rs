//! `.torrent` files that lie: each costs some time and nothing else.

use p2p_package::{Info, PieceHash, Writer};
use p2p_tests::{DaemonOptions, FakePeer, Fault, Host, Mirror, Package, Temper};

use crate::world::World;

const SIZE: u64 = 3_000_000;

/// Fetches the package where its `.torrent` is `torrent` and the mirror is honest, but slow enough for a swarm.
#[track_caller]
fn fetch_beside(torrent: impl Fn(&Package) -> Vec<u8>) {
    let (world, package) = World::with_package(SIZE);
    world.repository.write_raw_torrent(&package, &torrent(&package));
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(1_500_000));
    let peer = FakePeer::listen(&Host::loopback(), &package, Temper::Honest);
    let machine = world.machine(&[mirror.server()]);
    let machine = machine.daemon(|options| DaemonOptions { peers: vec![peer.address()], ..options }).start();
    machine.fetch_well(&mirror.url(&path), &package);
}

/// A dictionary of these entries as a torrent's `info`.
fn with_info(entries: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.dictionary(|root| {
        root.bytes("info").dictionary(entries);
    });
    writer.finish()
}

#[test]
fn an_honest_mirror_wins_against_a_torrent_with_the_wrong_pieces() {
    fetch_beside(|package| {
        let pieces = vec![PieceHash::of(b"something else"); package.info.pieces().len()];
        let info = Info::canonical(package.id.file_name.clone(), package.size(), pieces);
        p2p_package::Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() }.encode()
    });
}

#[test]
fn an_honest_mirror_wins_against_a_torrent_with_one_wrong_piece() {
    fetch_beside(|package| {
        let mut pieces = package.info.pieces().to_vec();
        pieces[4] = PieceHash::of(b"something else");
        let info = Info::canonical(package.id.file_name.clone(), package.size(), pieces);
        p2p_package::Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() }.encode()
    });
}

#[test]
fn names_with_paths_in_a_torrent_lead_nowhere() {
    for name in ["../../etc/cron.d/evil.pkg.tar.zst", "/etc/passwd", "", "..", "a/../../b.pkg.tar.zst"] {
        fetch_beside(|package| {
            with_info(|info| {
                info.bytes("length").integer(package.size());
                info.bytes("name").bytes(name);
                info.bytes("piece length").integer(262_144);
                info.bytes("pieces").bytes(vec![0; 20 * package.info.pieces().len()]);
            })
        });
    }
}

#[test]
fn absurd_sizes_in_a_torrent_lead_nowhere() {
    for (length, piece_length) in
        [(3_000_000, 0_i64), (3_000_000, -1), (3_000_000, i64::MAX), (i64::MAX, 262_144), (-5, 262_144), (0, 262_144)]
    {
        fetch_beside(|package| {
            with_info(|info| {
                info.bytes("length").integer(if length == 3_000_000 {
                    package.size().into()
                } else {
                    i128::from(length)
                });
                info.bytes("name").bytes(package.file_name());
                info.bytes("piece length").integer(piece_length);
                info.bytes("pieces").bytes(vec![0; 20 * package.info.pieces().len()]);
            })
        });
    }
}

#[test]
fn deep_nesting_and_endless_torrents_lead_nowhere() {
    fetch_beside(|_| b"l".repeat(1_000_000));
    fetch_beside(|_| b"d4:info".repeat(200_000));
    fetch_beside(|_| [b"d4:infod6:pieces99999999999999:", &b"x".repeat(9_000_000)[..]].concat());
    fetch_beside(|_| Vec::new());
    fetch_beside(|_| b"<html>404</html>".to_vec());
}

#[test]
fn a_url_list_is_not_followed_to_other_servers() {
    let (world, package) = World::with_package(SIZE);
    let (mirror, victim) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    let path = world.path(&package);
    let torrent = package.metainfo(&[], &[victim.url(&path), victim.url("/admin?reboot=1")]);
    world.repository.write_torrent(&package, &torrent);
    mirror.fault(&path, Fault::Rate(1_500_000));
    let peer = FakePeer::listen(&Host::loopback(), &package, Temper::Honest);
    let machine = world.machine(&[mirror.server()]);
    let machine = machine.daemon(|options| DaemonOptions { peers: vec![peer.address()], ..options }).start();
    machine.fetch_well(&mirror.url(&path), &package);
    assert_eq!(victim.requests().len(), 0, "{:?}", victim.requests());
}

#[test]
fn trackers_at_private_addresses_are_not_asked_on_a_torrents_word() {
    let (world, package) = World::with_package(SIZE);
    let (mirror, victim) = (Mirror::serve(world.directory.path()), Mirror::serve(world.directory.path()));
    world.repository.write_torrents(&[victim.url("/announce")]);
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(1_500_000));
    let machine = world.machine(&[mirror.server()]).start();
    machine.fetch_well(&mirror.url(&path), &package);
    assert_eq!(victim.requests().len(), 0, "{:?}", victim.requests());
}
