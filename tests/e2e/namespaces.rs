//! Tests in network namespaces: with addresses that count as public, multicast, and lines of a known speed.

mod finding;
mod found;
mod parts;
mod redirects;

use std::time::Duration;

use p2p_tests::{DaemonOptions, Fault, Host, Lan, Mirror, PeerSources};

use crate::world::{Machine, World};

/// A network that counts as public.
const PUBLIC: [u8; 3] = [203, 0, 113];
/// How long a discovery method may take, and the download after it.
const BOUND: Duration = Duration::from_secs(110);

/// What a [`Town::slow_mirror`] gives in a second: an eighth of the package within [`BOUND`].
const TRICKLE: u64 = 2_000;

/// A package of half a dozen pieces, its mirror on a host of the network, and a machine on another.
struct Town {
    world: World,
    package: p2p_tests::Package,
    mirror: Mirror,
    machine_host: Host,
    // Dropped last: everything else runs in its namespaces.
    lan: Lan,
}

impl Town {
    fn new() -> Self {
        let mut lan = Lan::new(PUBLIC);
        let (mirror_host, machine_host) = (lan.host(), lan.host());
        let (world, package) = World::with_package(1_500_000);
        let mirror = Mirror::serve_on(&mirror_host, world.directory.path());
        Self { world, package, mirror, machine_host, lan }
    }

    fn url(&self) -> String {
        self.mirror.url(&self.world.path(&self.package))
    }

    /// The mirror has the `.torrent`, and gives the package so slowly that peers must be found.
    fn slow_mirror(&self) {
        self.mirror.fault(&self.world.path(&self.package), Fault::Rate(TRICKLE));
    }

    fn machine(&self, adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Machine {
        let host = self.machine_host.clone();
        let machine = self.world.machine(&[self.mirror.server()]);
        machine.daemon(|options| adjust(DaemonOptions { host, ..options })).start()
    }

    /// A machine that already seeds the package.
    fn seeding_machine(&self, adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Machine {
        let mut machine = self.machine(adjust);
        machine.fetch_well(&self.url(), &self.package);
        machine.wait_seeding(1);
        machine
    }

    /// Fetches the package on a machine that can have it in time from peers only.
    #[track_caller]
    fn fetch_from_peers(&self, machine: &Machine) {
        let out = machine.out(&self.package);
        let ran = machine.daemon.client().fetch(&self.url(), &out, BOUND);
        assert!(ran.status.success(), "{ran}");
        assert!(self.package.is_at(&out), "another file than asked for");
        let status = machine.daemon.status();
        assert!(status.from_peers() > self.package.size() / 2, "{}", status.json());
    }
}

fn lsd() -> PeerSources {
    PeerSources { lsd: true, ..PeerSources::default() }
}

fn pex() -> PeerSources {
    PeerSources { pex: true, ..PeerSources::default() }
}
