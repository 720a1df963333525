//! `[replicate]`: a machine that keeps packages for others, though nobody installs them there.

use std::time::{Duration, Instant};

use fs_err as fs;
use p2p_tests::{DaemonOptions, Fault, Mirror, Package, PackageSpec, Payload, SmallDisk, Status, wait_until};

use crate::world::{Machine, World};

const BOUND: Duration = Duration::from_mins(2);
/// Twelve packages of about this size; the later, the larger.
const SIZE: u64 = 300_000;
const LISTED: usize = 12;
/// Room for eight of them, and for one to grow.
const BUDGET: u64 = 2_700_000;

/// A repository, and a helper with a mirror of its own.
struct Scene {
    world: World,
    packages: Vec<Package>,
    mirror: Mirror,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let packages = (0..LISTED).map(|number| world.repository.add(&spec(number))).collect();
        publish(&world);
        let mirror = Mirror::serve(world.directory.path());
        Self { world, packages, mirror }
    }

    fn helper(&self, replicate: &str, adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Machine {
        let replicate = format!("repositories = [\"core\"]\nspread = \"16s\"\n{replicate}");
        let machine = self.world.machine(&[self.mirror.server()]);
        machine.daemon(|options| adjust(DaemonOptions { replicate, ..options })).start()
    }

    /// How often the helper's mirror was asked for the package itself.
    fn requests(&self, package: &Package) -> usize {
        self.mirror.requests_for(&self.world.path(package)).len()
    }
}

fn spec(number: usize) -> PackageSpec {
    let size = SIZE + 1000 * number as u64;
    PackageSpec::new(&format!("package{number:02}")).payload(Payload::Random(size))
}

fn publish(world: &World) {
    world.repository.write_database();
    world.repository.write_torrents(&[]);
}

fn budget(bytes: u64) -> String {
    format!("order = \"all\"\nbudget = \"{bytes}B\"")
}

/// A number of the status' `replicate`.
#[track_caller]
fn number(status: &Status, key: &str) -> u64 {
    status.json()["replicate"][key].as_u64().unwrap_or_else(|| panic!("no {key}: {}", status.json()))
}

#[track_caller]
fn wait_held(machine: &mut Machine, packages: u64) -> Status {
    let what = format!("{packages} replicated packages, seeded and with none to come");
    machine.daemon.wait_for_status(&what, BOUND, |status| {
        let replicate = &status.json()["replicate"];
        let is_so = replicate["held_packages"] == packages && replicate["next"].is_null();
        is_so && status.number("packages_seeded") == packages
    })
}

fn is_in_store(machine: &Machine, package: &Package) -> bool {
    let files = fs::read_dir(machine.daemon.state_dir().join("store")).expect("it is there").flatten();
    let name = format!("-{}~", package.file_name());
    files.filter(|entry| entry.file_name().to_string_lossy().ends_with(&name)).any(|entry| package.is_at(&entry.path()))
}

#[test]
fn a_budget_is_filled_from_a_peer_before_the_mirror_and_follows_the_database_and_the_configuration() {
    let mut scene = Scene::new();
    let other_mirror = Mirror::serve(scene.world.directory.path());
    let mut neighbour = scene.world.machine(&[other_mirror.server()]).start();
    let at_neighbour = |world: &World, package: &Package| other_mirror.url(&world.path(package));
    // All of those that the helper will want, but one.
    for package in &scene.packages[..7] {
        neighbour.fetch_well(&at_neighbour(&scene.world, package), package);
    }
    neighbour.wait_seeding(7);
    let peer = neighbour.daemon.listen();
    let mut helper = scene.helper(&budget(BUDGET), |options| DaemonOptions { peers: vec![peer], ..options });
    let status = wait_held(&mut helper, 8);
    let (held, limit) = (number(&status, "held_bytes"), number(&status, "budget"));
    assert!(held <= limit && limit == BUDGET && number(&status, "wanted_packages") == 8, "{}", status.json());
    for (at, package) in scene.packages.iter().enumerate() {
        assert_eq!(is_in_store(&helper, package), at < 8, "{}", package.file_name());
        assert_eq!(scene.requests(package), usize::from(at == 7), "{}", package.file_name());
    }
    let from_peers = scene.packages[..7].iter().map(Package::size).sum::<u64>();
    assert_eq!((status.from_peers(), status.from_mirrors()), (from_peers, scene.packages[7].size()));
    let shown = helper.daemon.p2pctl(&["status"]);
    assert!(shown.succeeded().stdout.contains("replicating  8 of 8 packages"), "{shown}");

    // Another version comes, at the peer first.
    let newer = scene.world.repository.add(&spec(3).version("2-1"));
    publish(&scene.world);
    neighbour.pacman.place_database(&scene.world.repository);
    neighbour.fetch_well(&at_neighbour(&scene.world, &newer), &newer);
    let is_seeded = |status: &Status| status.number("packages_seeded") == 8;
    neighbour.daemon.wait_for_status("the new version at the neighbour", BOUND, is_seeded);
    helper.pacman.place_database(&scene.world.repository);
    wait_until("the new version in place of the old", BOUND, || {
        is_in_store(&helper, &newer) && !is_in_store(&helper, &scene.packages[3])
    });
    let status = wait_held(&mut helper, 8);
    assert_eq!(scene.requests(&newer), 0);

    // A restart changes nothing.
    let requests = scene.mirror.requests().len();
    let before = (status.from_peers(), status.from_mirrors());
    assert!(helper.daemon.process().stop().success(), "{}", helper.daemon.log());
    helper.daemon.restart();
    let status = wait_held(&mut helper, 8);
    assert_eq!((status.from_peers(), status.from_mirrors()), before);
    assert_eq!(scene.mirror.requests().len(), requests, "something was fetched again");

    // A smaller budget holds at once, and turned off nothing is known of it.
    helper
        .daemon
        .reconfigure(|options| options.replicate = options.replicate.replace(&budget(BUDGET), &budget(BUDGET / 2)));
    let status = helper.daemon.wait_for_status("the smaller budget", BOUND, |status| {
        number(status, "budget") == BUDGET / 2 && number(status, "held_bytes") <= BUDGET / 2
    });
    assert_eq!(number(&status, "held_packages"), 4);
    assert!(is_in_store(&helper, &scene.packages[0]), "the smallest come first");
    helper.daemon.reconfigure(|options| options.replicate.clear());
    helper.daemon.wait_for_status("no replication", BOUND, |status| status.json()["replicate"].is_null());
    assert!(is_in_store(&helper, &scene.packages[0]), "it is left to seed.max_store");
}

#[test]
fn what_may_not_be_shared_is_not_replicated() {
    let scene = Scene::new();
    let adjust = |options| DaemonOptions { repositories: vec!["extra".into()], ..options };
    let mut helper = scene.helper(&budget(BUDGET), adjust);
    helper.daemon.wait_for_status("a look", BOUND, |status| !status.json()["replicate"].is_null());
    assert!(helper.daemon.log().contains("seed.repositories does not share it"), "{}", helper.daemon.log());
    let adjust = |options: &mut DaemonOptions| {
        options.repositories = vec!["core".into()];
        options.exclude = vec!["package0*".into()];
    };
    helper.daemon.reconfigure(adjust);
    let status = wait_held(&mut helper, 2);
    assert_eq!(number(&status, "wanted_packages"), 2);
    assert!(scene.packages[10..].iter().all(|package| is_in_store(&helper, package)));
    assert!(scene.packages[..10].iter().all(|package| scene.requests(package) == 0));
    helper.daemon.reconfigure(|options| options.exclude = vec!["package11".into(), "package0*".into()]);
    wait_held(&mut helper, 1);
    wait_until("the end of the excluded package", BOUND, || !is_in_store(&helper, &scene.packages[11]));
}

#[test]
fn what_pacmans_cache_has_costs_no_budget_and_a_client_is_served_from_what_is_held() {
    let scene = Scene::new();
    let mut helper = scene.helper(&budget(BUDGET), |options| options);
    wait_held(&mut helper, 8);
    let package = &scene.packages[0];
    helper.pacman.pacman(&["-S", package.name()]).succeeded();
    assert_eq!(scene.requests(package), 1, "pacman has it from the store");
    // The cache's copy takes the place of the store's, and makes room for a ninth package.
    let status = helper.daemon.wait_for_status("the next package in its place", BOUND, |status| {
        status.number("packages_seeded") == 9 && number(status, "held_packages") == 8
    });
    assert!(number(&status, "held_bytes") <= BUDGET);
    assert!(is_in_store(&helper, &scene.packages[8]));
    // Once every client has had time to open it.
    wait_until("the end of the store's copy", BOUND, || !is_in_store(&helper, package));
}

#[test]
fn nothing_is_begun_while_a_client_waits_and_what_is_in_progress_gives_way() {
    let mut scene = Scene::new();
    let big = scene.world.repository.add(&PackageSpec::new("big").payload(Payload::Random(3_000_000)));
    publish(&scene.world);
    let (path, first) = (scene.world.path(&big), scene.world.path(&scene.packages[0]));
    let mut helper = scene.helper(&budget(BUDGET), |options| options);
    scene.mirror.fault(&path, Fault::Rate(big.size() / 8));
    scene.mirror.fault(&first, Fault::Rate(SIZE / 60));
    wait_until("the first package on its way", BOUND, || scene.mirror.served(&first) > 0);
    assert_eq!(helper.daemon.status().number("active_fetches"), 0, "nobody waits for it");
    let client = helper.daemon.client();
    let (url, out) = (scene.mirror.url(&path), helper.out(&big));
    let mut waiting = client.begin(&url, &out);
    helper.daemon.wait_for_status("a client", BOUND, |status| status.number("active_fetches") == 1);
    scene.mirror.heal(&first);
    assert!(waiting.wait(BOUND).success(), "{}", waiting.log());
    let requests = |package: &Package| scene.requests(package);
    assert_eq!(scene.packages.iter().map(requests).sum::<usize>(), 1, "{}", helper.daemon.log());
    helper.daemon.wait_for_status("the rest, beside what the client got", BOUND, |status| {
        number(status, "held_packages") == 8 && status.number("packages_seeded") == 9
    });
    assert_eq!(requests(&scene.packages[0]), 2, "it goes on where it was");
}

#[test]
fn a_client_need_not_wait_for_a_leisurely_fetch() {
    let scene = Scene::new();
    let package = &scene.packages[0];
    // Nobody is there, and a peer that is none is looked for.
    let nobody = "127.0.0.1:9".parse().expect("an address");
    let mut helper = scene.helper(&budget(BUDGET), |options| DaemonOptions { peers: vec![nobody], ..options });
    let torrent = format!("{}.torrent", scene.world.path(package));
    wait_until("a search for peers", BOUND, || !scene.mirror.requests_for(&torrent).is_empty());
    let begun = Instant::now();
    helper.fetch_well(&scene.mirror.url(&scene.world.path(package)), package);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}: {}", begun.elapsed(), helper.daemon.log());
    assert!(helper.daemon.process().stop().success(), "{}", helper.daemon.log());
}

#[test]
fn a_nearly_full_disk_stops_it_with_a_warning() {
    let scene = Scene::new();
    let disk = SmallDisk::mount(2_000_000);
    let state_dir = Some(disk.path("state"));
    let mut helper = scene.helper(&budget(BUDGET), |options| DaemonOptions { state_dir, ..options });
    wait_until("a warning", BOUND, || helper.daemon.log().contains("the disk is nearly full"));
    let status = helper.daemon.status();
    let held = number(&status, "held_bytes");
    assert!((SIZE..2_000_000 - 2_000_000 / 20).contains(&held), "{}", status.json());
    assert!(!helper.daemon.log().contains("ERROR"), "{}", helper.daemon.log());
    assert!(helper.daemon.process().stop().success(), "{}", helper.daemon.log());
}
