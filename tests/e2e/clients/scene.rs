//! A daemon with packages in its pacman's cache, and the clients far away that want them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use p2p_tests::{
    Connecting, DaemonOptions, FixedTracker, Host, Lan, LibtorrentOptions, Package, PackageSpec, Payload, Transport,
    wait_until,
};

use crate::world::{Machine, World};

/// A client's patience; on an idle machine it needs a third of that at most.
pub(super) const BOUND: Duration = Duration::from_secs(90);
/// Networks that count as public: the daemon's, and the address of the clients.
const HERE: [u8; 3] = [203, 0, 113];
const THERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Twelve pieces, the last one short.
const PACKAGE_BYTES: u64 = 3_000_000;
/// What the daemon logs about a caller who begins with encryption.
const REFUSED: &str = "the peer does not speak plain BitTorrent";

/// A daemon with two packages, and a machine far away for the clients.
pub(super) struct Scene {
    pub(super) machine: Machine,
    /// For those who have its `.torrent`.
    pub(super) first: Package,
    /// For those who have only a magnet link.
    pub(super) second: Package,
    pub(super) by_ipv4: Way,
    pub(super) by_ipv6: Way,
    _world: World,
    // Dropped last: everything else runs in its namespaces.
    _lan: Lan,
}

/// The clients' machine, and the daemon, at addresses of one family.
pub(super) struct Way {
    pub(super) host: Host,
    daemon: SocketAddr,
}

impl Scene {
    /// What comes to the daemon by another transport is lost.
    pub(super) fn new(transport: Transport) -> Self {
        let mut lan = Lan::new(HERE);
        let (here, there) = (lan.host(), lan.stranger(THERE));
        let (here6, there6, mut world) = (here.ipv6(), there.ipv6(), World::new());
        let mut add = |name| world.repository.add(&PackageSpec::new(name).payload(Payload::Random(PACKAGE_BYTES)));
        let (first, second) = (add("first"), add("second"));
        world.repository.write_database();
        let machine = seeding_machine(&world, &here, &[&first, &second]);
        here.admit_only(transport);
        let port = machine.daemon.listen().port();
        let way = |host, here: &Host| Way { host, daemon: SocketAddr::new(here.address(), port) };
        let (by_ipv4, by_ipv6) = (way(there, &here), way(there6, &here6));
        Self { machine, first, second, by_ipv4, by_ipv6, _world: world, _lan: lan }
    }

    pub(super) fn ways(&self) -> [&Way; 2] {
        [&self.by_ipv4, &self.by_ipv6]
    }

    /// That the daemon has given both packages on both ways.
    #[track_caller]
    pub(super) fn assert_all_uploaded(&self) {
        let uploaded = self.machine.daemon.status().number("uploaded_bytes");
        assert!(uploaded >= 2 * (self.first.size() + self.second.size()), "only {uploaded} bytes came from the daemon");
    }

    /// Waits until so many connections that began with encryption have been refused.
    #[track_caller]
    pub(super) fn wait_refused(&self, connections: usize) {
        wait_until("encryption to be refused", BOUND, || self.refused() >= connections);
    }

    /// How many connections that began with encryption have been refused.
    pub(super) fn refused(&self) -> usize {
        self.machine.daemon.log().matches(REFUSED).count()
    }
}

/// A daemon at both families' addresses, with these packages in its pacman's cache.
fn seeding_machine(world: &World, host: &Host, packages: &[&Package]) -> Machine {
    let listen = Some(IpAddr::from(Ipv6Addr::UNSPECIFIED));
    let machine = world.machine(&["http://127.0.0.1:9".to_owned()]);
    let mut machine = machine.daemon(|options| DaemonOptions { host: host.clone(), listen, ..options }).start();
    for package in packages {
        fs_err::copy(&package.path, machine.pacman.cached(package)).expect("the package can be copied");
    }
    machine.wait_seeding(packages.len() as u64);
    machine
}

impl Way {
    /// The daemon as libtorrent's only peer.
    pub(super) fn libtorrent_options(&self, connecting: Connecting) -> LibtorrentOptions {
        LibtorrentOptions { peers: vec![self.daemon], connecting, ..LibtorrentOptions::default() }
    }

    /// A tracker that knows the daemon and nobody else, for clients that cannot be told a peer.
    pub(super) fn tracker(&self) -> FixedTracker {
        FixedTracker::start(&self.host, &[self.daemon])
    }
}
