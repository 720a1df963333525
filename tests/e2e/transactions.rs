//! Whole transactions of the real pacman: learned from its first file, fetched side by side, no byte twice.

mod ends;
mod hints;
mod signatures;

use std::path::PathBuf;
use std::time::Duration;

use p2p_tests::{
    DaemonOptions, Fault, Mirror, MirrorRequest, Package, PackageSpec, PacmanRoot, PacmanRootOptions, Payload, Process,
    processes_naming, wait_until,
};

use crate::world::{Machine, World};

/// How long a whole transaction may take, whatever happens to it.
const BOUND: Duration = Duration::from_mins(1);
/// How long after pacman's end somebody may still do something for it.
const IDLE_WITHIN: Duration = Duration::from_secs(15);
/// Bytes of an ordinary package here.
const SIZE: u64 = 300_000;

/// Packages, mirrors that have them, and a machine.
struct Scene {
    packages: Vec<Package>,
    mirrors: Vec<Mirror>,
    machine: Machine,
    world: World,
}

impl Scene {
    /// One mirror and these packages.
    fn new(specs: impl IntoIterator<Item = PackageSpec>) -> Self {
        Self::with(specs, 1, |options| options)
    }

    fn with(
        specs: impl IntoIterator<Item = PackageSpec>,
        mirrors: usize,
        adjust: impl FnOnce(DaemonOptions) -> DaemonOptions,
    ) -> Self {
        let mut world = World::new();
        let packages = specs.into_iter().map(|spec| world.repository.add(&spec)).collect();
        world.repository.write_database();
        let mirrors: Vec<Mirror> = (0..mirrors).map(|_| Mirror::serve(world.directory.path())).collect();
        let servers: Vec<String> = mirrors.iter().map(Mirror::server).collect();
        let machine = world.machine(&servers).daemon(adjust).start();
        Self { packages, mirrors, machine, world }
    }

    fn mirror(&self) -> &Mirror {
        &self.mirrors[0]
    }

    fn path(&self, package: &Package) -> String {
        self.world.path(package)
    }

    /// Starts pacman and does not wait for its end.
    fn begin(&self, arguments: &[&str]) -> Process {
        Process::start("pacman", self.machine.pacman.command(arguments), &self.log("pacman"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.world.directory.path().join(format!("{name}.log"))
    }

    /// All mirrors send no more than half of this package.
    fn stall(&self, package: &Package) {
        for mirror in &self.mirrors {
            mirror.fault(&self.path(package), Fault::StallAt(package.size() / 2));
        }
    }

    fn heal(&self, package: &Package) {
        for mirror in &self.mirrors {
            mirror.heal(&self.path(package));
        }
    }

    /// Bytes of a package that all mirrors have sent.
    fn served(&self, package: &Package) -> u64 {
        self.mirrors.iter().map(|mirror| mirror.served(&self.path(package))).sum()
    }

    /// Whether a mirror hangs with this stalled package.
    fn hangs(&self, package: &Package) -> bool {
        self.served(package) >= package.size() / 2
    }

    /// What the first mirror was asked for, packages only, each once, in the order of the first requests.
    fn order(&self) -> Vec<String> {
        let mut names = Vec::new();
        for MirrorRequest { path, .. } in self.mirror().requests() {
            let name = path.rsplit('/').next().expect("there is a last part").to_owned();
            if name.ends_with(".pkg.tar.zst") && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    #[track_caller]
    fn assert_installed(&self, packages: &[Package]) {
        for package in packages {
            let cached = self.machine.pacman.cached(package);
            assert!(package.is_at(&cached), "{} is not in the cache", package.file_name());
            assert!(self.machine.pacman.has_installed(package), "{} is not installed", package.name());
        }
    }

    /// pacman has ended: nobody fetches any more, and no process of its client is left.
    #[track_caller]
    fn assert_nothing_is_left(&mut self) {
        self.machine
            .daemon
            .wait_for_status("an idle daemon", IDLE_WITHIN, |status| status.number("active_fetches") == 0);
        let root = self.machine.pacman.db_path().parent().expect("it is below the root").to_owned();
        let socket = self.machine.daemon.socket();
        let left = || [processes_naming(&root), processes_naming(&socket)].concat();
        wait_until("the end of clients, learners and pacmans", IDLE_WITHIN, || left().is_empty());
    }

    /// No byte of these packages has come twice.
    #[track_caller]
    fn assert_fetched_once(&self, packages: &[Package]) {
        for package in packages {
            let (served, size) = (self.served(package), package.size());
            assert!(served <= size, "{served} bytes of {}, which has {size}", package.file_name());
        }
    }
}

/// `package-0` depends on `package-1`, and so on: so pacman asks for the last one first.
fn chain(length: usize) -> impl Iterator<Item = PackageSpec> {
    let name = |n: usize| format!("package-{n}");
    (0..length).map(move |n| {
        let spec = PackageSpec::new(&name(n)).payload(Payload::Random(SIZE));
        if n + 1 < length { spec.depends(&name(n + 1)) } else { spec }
    })
}

#[test]
fn dependencies_are_fetched_while_pacman_waits_for_its_first_file() {
    let mut scene = Scene::new(chain(8));
    let (first, others) = scene.packages.split_last().expect("there are packages");
    scene.stall(first);
    let mut pacman = scene.begin(&["-S", "package-0"]);
    pacman.wait_for("all others", BOUND, |_| {
        others.iter().all(|package| scene.served(package) == package.size()).then_some(())
    });
    scene.heal(first);
    assert!(pacman.wait(BOUND).success(), "{}", pacman.log());
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
    scene.assert_nothing_is_left();
}

#[test]
fn a_large_package_among_small_ones_is_not_left_for_the_end() {
    let small = |n| PackageSpec::new(&format!("small-{n:02}")).payload(Payload::Random(SIZE));
    let large = PackageSpec::new("z-large").payload(Payload::Random(60_000_000));
    let scene = Scene::new((0..30).map(small).chain([large]));
    // Six connections of a tenth of a second for each small package: pacman alone would need three seconds for them.
    scene.mirror().fault("*", Fault::Rate(3_000_000));
    let large = scene.packages.last().expect("there are packages");
    scene.mirror().fault(&scene.path(large), Fault::Rate(30_000_000));
    let names: Vec<&str> = ["-S"].into_iter().chain(scene.packages.iter().map(Package::name)).collect();
    scene.machine.pacman.pacman(&names).succeeded();
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
    assert_ne!(scene.order().last().map(String::as_str), Some(large.file_name()), "{:?}", scene.order());
}

#[test]
fn two_pacmans_at_once_get_the_same_packages_and_the_mirror_sends_them_once() {
    let scene = Scene::new(chain(8));
    let first = scene.packages.last().expect("there are packages");
    let options = PacmanRootOptions {
        xfer_command: Some(scene.machine.daemon.xfer_command()),
        ..PacmanRootOptions::new(&[&scene.world.repository], &[&scene.mirror().server()])
    };
    let other = PacmanRoot::new(&options, None);
    other.place_database(&scene.world.repository);
    scene.stall(first);
    let mut here = scene.begin(&["-S", "package-0"]);
    here.wait_for("half of the first package", BOUND, |_| scene.hangs(first).then_some(()));
    let mut there = Process::start("pacman there", other.command(&["-S", "package-0"]), &scene.log("there"));
    there.wait_for("its first question", BOUND, |process| process.log().contains("etrieving packages").then_some(()));
    scene.heal(first);
    for pacman in [&mut here, &mut there] {
        assert!(pacman.wait(BOUND).success(), "{}", pacman.log());
    }
    scene.assert_installed(&scene.packages);
    assert!(scene.packages.iter().all(|package| other.has_installed(package)));
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn a_transaction_goes_on_where_it_was_after_the_daemon_was_started_again() {
    let mut scene = Scene::new(chain(8));
    let (first, others) = scene.packages.split_last().expect("there are packages");
    scene.stall(first);
    let mut pacman = scene.begin(&["-S", "package-0"]);
    scene.machine.wait_seeding(7);
    let daemon = &mut scene.machine.daemon;
    assert!(daemon.process().stop().success(), "{}", daemon.log());
    daemon.restart();
    scene.heal(first);
    assert!(pacman.wait(BOUND).success(), "{}", pacman.log());
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(others);
}
