//! Neighbours by IPv6, and by uTP where TCP does not get through.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use p2p_tests::{DaemonOptions, Host, Lan, Mirror, Package, PackageSpec, Payload, Transport};

use crate::world::{FETCH_WITHIN, Machine, World};

const HERE: [u8; 3] = [192, 168, 74];

/// Two machines on one network, of which the first seeds a package of 200 KB.
struct Scene {
    world: World,
    package: Package,
    mirror: Mirror,
    first: Machine,
    hosts: [Host; 2],
    // Dropped last: everything else runs in its namespaces.
    _lan: Lan,
}

impl Scene {
    fn new() -> Self {
        let mut lan = Lan::new(HERE);
        let [mirror, here, there] = std::array::from_fn(|_| lan.host());
        let mut world = World::new();
        let package = world.repository.add(&PackageSpec::new("lent").payload(Payload::Random(200_000)));
        world.repository.write_database();
        let mirror = Mirror::serve_on(&mirror, world.directory.path());
        let mut first = machine(&world, &mirror, &here, None);
        first.fetch_well(&mirror.url(&world.path(&package)), &package);
        first.wait_seeding(1);
        Self { world, package, mirror, first, hosts: [here, there], _lan: lan }
    }

    /// The second machine meets the first one at this address, and gets the package from it alone.
    fn meet_at(self, address: IpAddr) {
        let address = SocketAddr::new(address, self.first.daemon.listen().port());
        let mut second = machine(&self.world, &self.mirror, &self.hosts[1], Some(address));
        second.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
        let listed = second.daemon.p2pctl(&["neighbours"]);
        assert!(listed.succeeded().stdout.lines().any(|line| line.starts_with(&address.to_string())), "{listed}");
        let url = self.mirror.url(&self.world.path(&self.package));
        drop(self.mirror);
        second.fetch_well(&url, &self.package);
        let status = second.daemon.status();
        assert_eq!((status.from_peers(), status.from_mirrors()), (self.package.size(), 0), "{}", status.json());
    }
}

fn machine(world: &World, mirror: &Mirror, host: &Host, neighbour: Option<SocketAddr>) -> Machine {
    let machine = world.machine(&[mirror.server()]);
    let host = host.clone();
    let peers = neighbour.into_iter().collect();
    let listen = Some(Ipv6Addr::UNSPECIFIED.into());
    machine.daemon(|options| DaemonOptions { host, listen, peers, ..options }).start()
}

#[test]
fn a_neighbour_is_met_by_ipv6_and_lends_a_package() {
    let scene = Scene::new();
    let [here, _] = scene.hosts.each_ref().map(Host::ipv6);
    scene.meet_at(here.address());
}

#[test]
fn a_neighbour_is_met_by_utp_where_tcp_does_not_get_through() {
    let scene = Scene::new();
    scene.hosts[0].admit_only(Transport::Utp);
    let address = scene.hosts[0].address();
    scene.meet_at(address);
}
