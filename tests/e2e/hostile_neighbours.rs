//! Neighbours that lie, stall and flood: nothing wrong is handed over, and each costs a bounded moment.

mod crowd;
mod databases;
mod lies;

use std::time::Duration;

use p2p_tests::{DaemonOptions, Host, Lie, LyingNeighbour, Mirror, Package, PackageSpec, Payload};

use crate::world::{FETCH_WITHIN, Machine, World};

/// A package that is lent whole, and one that needs a swarm.
const SMALL: u64 = 2_000_000;
const LARGE: u64 = 9_000_000;
/// What a liar may cost a small package, and what a busy machine may add to a fetch.
const COST: Duration = Duration::from_millis(250);
const NOISE: Duration = Duration::from_millis(500);

/// A package that has no `.torrent`, and its honest mirror.
struct Scene {
    world: World,
    package: Package,
    mirror: Mirror,
    url: String,
}

impl Scene {
    fn of(bytes: u64) -> Self {
        let mut world = World::new();
        let package = world.repository.add(&PackageSpec::new("wanted").payload(Payload::Random(bytes)));
        world.repository.write_database();
        let mirror = Mirror::serve(world.directory.path());
        let url = mirror.url(&world.path(&package));
        Self { world, package, mirror, url }
    }

    /// A lie about the pieces: those of a forged package, which the liar really gives.
    fn wrong_info(&self) -> Lie {
        let forgeries = self.world.directory.path().join("forged");
        fs_err::create_dir_all(&forgeries).expect("the world's directory is ours");
        Lie::WrongInfo(Box::new(self.package.forged(&forgeries)))
    }

    /// A machine that has these neighbours.
    #[track_caller]
    fn machine_beside(&self, neighbours: &[std::net::SocketAddr]) -> Machine {
        let machine = self.world.machine(&[self.mirror.server()]);
        let mut machine = machine.daemon(|options| DaemonOptions { peers: neighbours.to_vec(), ..options }).start();
        let wanted = neighbours.len() as u64;
        machine.daemon.wait_for_status("its neighbours", FETCH_WITHIN, |status| status.number("neighbours") == wanted);
        machine
    }

    /// An honest machine that seeds the package.
    #[track_caller]
    fn honest(&self) -> Machine {
        let mut machine = self.machine_beside(&[]);
        machine.fetch_well(&self.url, &self.package);
        machine.wait_seeding(1);
        machine
    }

    /// How long a fresh machine with these neighbours takes for the package.
    #[track_caller]
    fn time_beside(&self, neighbours: &[std::net::SocketAddr]) -> Duration {
        let machine = self.machine_beside(neighbours);
        let ran = machine.fetch(&self.url, &self.package);
        ran.succeeded();
        assert!(self.package.is_at(&machine.out(&self.package)), "another file than asked for");
        ran.elapsed
    }
}

fn liar(lie: Lie) -> LyingNeighbour {
    LyingNeighbour::listen(&Host::loopback(), lie)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
