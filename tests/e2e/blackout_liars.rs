//! With every mirror dead: more liars than anybody would try one after the other, a publisher without signatures, and what people are told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, DelayProxy, Host, Lan, Lie, LyingNeighbour, Mirror, PackageSpec, PacmanRoot,
    PacmanRootOptions, Repository, wait_until,
};
use p2p_wire::club_id;

use crate::signed::{Edition, Signed, edition, wait_signed};
use crate::world::{FETCH_WITHIN, Machine, World, next_second};

/// More than are tried for a signature, or for a database, at one time.
const LIARS: usize = 12;
/// What a crowd of liars may cost, pacman's own time and that of a busy machine included.
const CROWD_WITHIN: Duration = Duration::from_secs(8);
/// A home network.
const HOME: [u8; 3] = [192, 168, 79];
/// What a daemon says where it has found a signature to be good; it offers the database from then on.
const VERIFIED: &str = "a database is signed";
/// One way to a neighbour that is far away.
const FAR: Duration = Duration::from_millis(100);

/// A machine that has the database of now, and these neighbours.
#[track_caller]
fn machine_beside(signed: &Signed, neighbours: &[SocketAddr]) -> Machine {
    let mut machine = signed.machine(neighbours.to_vec());
    machine.refresh("-Sy");
    let count = neighbours.len() as u64;
    machine.daemon.wait_for_status("its neighbours", FETCH_WITHIN, |status| status.number("neighbours") == count);
    machine
}

/// Liars; each has its own lie.
fn liars(lie: impl Fn(usize) -> Lie) -> Vec<LyingNeighbour> {
    (0..LIARS).map(|number| LyingNeighbour::listen(&Host::loopback(), lie(number))).collect()
}

/// The repository as somebody else might have it who has its key: these packages, signed now.
fn by_the_key(signed: &Signed, names: &[&str], architecture: &str) -> Edition {
    next_second();
    let mut other = World::new();
    for name in names {
        other.repository.add(&PackageSpec::new(name).arch(architecture));
    }
    other.repository.write_database();
    signed.keyring.sign(&other.repository.database());
    edition(&other.repository)
}

/// The honest machine gets a newer database than the mirror has after that: the newer one.
fn newer_at(signed: &mut Signed, honest: &mut Machine) -> Edition {
    let old = signed.edition();
    signed.add("fourth");
    honest.refresh("-Sy");
    wait_signed(&mut honest.daemon);
    let new = signed.edition();
    signed.restore(old);
    new
}

#[test]
fn a_dozen_liars_who_claim_the_newest_database_keep_nobody_from_the_honest_one() {
    let mut signed = Signed::new();
    let mut honest = signed.machine(Vec::new());
    let new = newer_at(&mut signed, &mut honest);
    // Signatures of something else, and later than the honest one's.
    let (_, signature) = by_the_key(&signed, &["first", "second", "third"], "any");
    let liars = liars(|number| Lie::Database([new.0.clone(), vec![0; 1 + number]].concat(), signature.clone()));
    let mut neighbours: Vec<SocketAddr> = liars.iter().map(LyingNeighbour::address).collect();
    neighbours.push(honest.daemon.listen());
    let machine = machine_beside(&signed, &neighbours);
    signed.restore(new);
    signed.mirror.stop();
    let ran = machine.refresh("-Sy");
    eprintln!("{:?}", ran.elapsed);
    assert!(signed.is_current(&machine) && ran.elapsed < CROWD_WITHIN, "{ran}\n{}", machine.daemon.log());
    assert!(liars.iter().all(|liar| liar.served() > 0), "not all were tried\n{}", machine.daemon.log());
}

#[test]
fn a_dozen_neighbours_who_keep_a_signature_back_and_as_many_with_a_wrong_one_cost_seconds() {
    let mut signed = Signed::new();
    let package = signed.world.repository.packages()[0].clone();
    let wrong = signed.edition().1;
    let silent = liars(|_| Lie::Silence);
    let wrong = liars(|_| Lie::Signature(wrong.clone()));
    let mut honest = signed.machine(Vec::new());
    honest.refresh("-Sy");
    honest.pacman.pacman(&["-S", "first"]).succeeded();
    honest.wait_seeding(1);
    // The last one to answer.
    let far = DelayProxy::start(&Host::loopback(), honest.daemon.listen(), FAR);
    let mut neighbours: Vec<SocketAddr> = silent.iter().chain(&wrong).map(LyingNeighbour::address).collect();
    neighbours.push(far.address());
    let machine = machine_beside(&signed, &neighbours);
    let url = signed.mirror.url(&signed.world.path(&package));
    machine.fetch_well(&url, &package);
    signed.mirror.stop();
    let out = tempfile::tempdir().expect("a temporary directory");
    let out = out.path().join("signature");
    let ran = machine.daemon.client().fetch(&format!("{url}.sig"), &out, FETCH_WITHIN);
    eprintln!("{:?}", ran.elapsed);
    assert!(ran.status.success() && ran.elapsed < CROWD_WITHIN, "{ran}\n{}", machine.daemon.log());
    let good = fs_err::read(format!("{}.sig", package.path.display())).expect("the package is signed");
    assert!(fs_err::read(&out).is_ok_and(|came| came == good), "{ran}");
}

/// What people are told of it; nobody lies here.
#[test]
fn status_says_when_a_database_was_signed_and_how_many_neighbours_named_it() {
    let mut signed = Signed::new();
    let mut honest = [signed.machine(Vec::new()), signed.machine(Vec::new())];
    let machine = machine_beside(&signed, &honest.each_ref().map(|machine| machine.daemon.listen()));
    signed.add("fourth");
    for machine in &mut honest {
        let verified = machine.daemon.log().matches(VERIFIED).count();
        machine.refresh("-Sy");
        wait_until("it offers it", FETCH_WITHIN, || machine.daemon.log().matches(VERIFIED).count() > verified);
    }
    signed.mirror.stop();
    machine.refresh("-Sy");
    assert!(signed.is_current(&machine), "{}", machine.daemon.log());
    let told = || machine.daemon.p2pctl(&["status"]).succeeded().stdout.clone();
    wait_until("what came is looked at", FETCH_WITHIN, || told().contains("from 2 neighbours"));
    assert!(told().contains("core: signed "), "{}", told());
}

/// What is being tested is signed by the same key, and so are the other architectures.
#[test]
fn a_part_of_the_repository_and_another_architectures_are_refused_though_the_right_key_signed_them() {
    let mut signed = Signed::new();
    let lies = [by_the_key(&signed, &["first"], "any"), by_the_key(&signed, &["first", "second", "third"], "i686")];
    let liars =
        lies.map(|(database, signature)| LyingNeighbour::listen(&Host::loopback(), Lie::Database(database, signature)));
    let machine = machine_beside(&signed, &liars.each_ref().map(LyingNeighbour::address));
    signed.mirror.stop();
    machine.refresh("-Sy");
    let log = machine.daemon.log();
    assert!(signed.is_current(&machine), "{log}");
    assert!(log.contains("it lists other packages") && log.contains("it is for other machines"), "{log}");
}

/// A publisher whose own pacman knows of no signature, and a machine that takes nothing without.
#[track_caller]
fn published(beside_one_with_the_signature: bool) -> (Signed, Machine, Vec<Machine>) {
    let mut signed = Signed::new();
    let mirror = [signed.mirror.server()];
    let publisher = signed.world.machine(&mirror).start();
    let mut others = vec![signed.machine(Vec::new())];
    let key = signed.world.directory.path().join("core.key").display().to_string();
    let made = publisher.daemon.p2pctl(&["publisher-key", "--new", &key]);
    let public = made.succeeded().stdout.split('"').nth(1).expect("a line of TOML").to_owned();
    let mut peers = vec![publisher.daemon.listen()];
    if beside_one_with_the_signature {
        peers.push(others[0].daemon.listen());
    }
    let count = peers.len() as u64;
    let follower = signed.world.machine(&mirror).signed(&signed.keyring);
    let follower = follower.daemon(|options| {
        let publishers = vec![("core".to_owned(), public)];
        DaemonOptions { peers, publishers, ..options }
    });
    let mut follower = follower.start();
    follower.refresh("-Sy");
    follower.daemon.wait_for_status("its neighbours", FETCH_WITHIN, |status| status.number("neighbours") == count);
    signed.add("fourth");
    others[0].refresh("-Sy");
    wait_signed(&mut others[0].daemon);
    let directory = signed.world.repository.directory().display().to_string();
    let database = signed.world.repository.database().display().to_string();
    let said = publisher.daemon.p2pctl(&[
        "publish",
        "--repository=core",
        "--architecture=x86_64",
        &format!("--key={key}"),
        &format!("--database={database}"),
        &format!("--packages={directory}"),
    ]);
    said.succeeded();
    signed.mirror.stop();
    others.push(publisher);
    (signed, follower, others)
}

/// pacman would keep the signature of the one before, and refuse both.
#[test]
fn a_published_database_without_its_signature_does_not_take_the_place_of_a_signed_one() {
    let (signed, follower, _others) = published(false);
    follower.refresh("-Sy");
    let listed = follower.pacman.pacman(&["-Si", "first"]);
    assert!(listed.status.success(), "{listed}\n{}", follower.daemon.log());
    assert!(!signed.is_current(&follower), "{}", follower.daemon.log());
}

#[test]
fn a_published_database_comes_with_the_signature_that_another_neighbour_has() {
    let (signed, follower, _others) = published(true);
    follower.refresh("-Sy");
    let listed = follower.pacman.pacman(&["-Si", "fourth"]);
    assert!(listed.status.success(), "{listed}\n{}", follower.daemon.log());
    assert!(signed.is_current(&follower), "{}", follower.daemon.log());
    assert!(follower.daemon.log().contains("voucher=Signature("), "it is dated by that\n{}", follower.daemon.log());
}

/// The newest claim drips. An honest neighbour is asked beside it, and the next time before it.
#[test]
fn one_that_drips_costs_seconds_once_and_then_nothing() {
    let mut signed = Signed::new();
    let another_mirror = Mirror::serve(signed.world.directory.path());
    let honest = signed.world.machine(&[another_mirror.server()]).signed(&signed.keyring);
    let mut honest = honest.daemon(|options| options).start();
    let new = newer_at(&mut signed, &mut honest);
    let (newer, signature) = by_the_key(&signed, &["first"], "any");
    // Just as fast as it must be to be done in 15 s.
    let liar = Lie::SlowDatabase([newer, vec![0; 300_000]].concat(), signature, 22_000);
    let liar = LyingNeighbour::listen(&Host::loopback(), liar);
    let machine = machine_beside(&signed, &[liar.address(), honest.daemon.listen()]);
    signed.restore(new);
    signed.mirror.stop();
    let first = machine.refresh("-Sy").elapsed;
    assert!(signed.is_current(&machine), "{}", machine.daemon.log());
    assert!(liar.served() > 0, "it was not asked\n{}", machine.daemon.log());
    assert_eq!(machine.daemon.status().number("neighbours"), 2, "{}", machine.daemon.log());
    let verified = || honest.daemon.log().matches(VERIFIED).count();
    let before = verified();
    signed.add("fifth");
    honest.refresh("-Sy");
    wait_until("the honest one offers it", FETCH_WITHIN, || verified() > before);
    let begun = Instant::now();
    machine.refresh("-Sy");
    eprintln!("{first:?}, then {:?}", begun.elapsed());
    assert!(signed.is_current(&machine), "{}", machine.daemon.log());
    assert!(first < CROWD_WITHIN && begun.elapsed() < Duration::from_secs(3), "{first:?}, then {:?}", begun.elapsed());
}

/// A liar who is turned away comes back at once, for another club: it is asked about all of them there.
#[test]
fn who_has_lied_is_not_let_in_again_by_way_of_another_club_in_namespaces() {
    let mut lan = Lan::new(HOME);
    let [place, elsewhere] = [lan.host(), lan.host()];
    let signed = Signed::new();
    let mut extra = Repository::new(signed.world.directory.path(), "extra");
    extra.add(&PackageSpec::new("more"));
    extra.repo_add(Some(&signed.keyring));
    let mut mirror = Mirror::serve_on(&place, signed.world.directory.path());
    let mut options = PacmanRootOptions::new(&[&signed.world.repository, &extra], &[&mirror.server()]);
    (options.host, options.sig_level) = (place.clone(), "Required".to_owned());
    let pacman = PacmanRoot::new(&options, Some(&signed.keyring));
    let daemon = DaemonOptions {
        host: place.clone(),
        listen: Some(place.address()),
        repositories: vec!["core".to_owned(), "extra".to_owned()],
        ..DaemonOptions::new(&pacman.config())
    };
    let mut daemon = Daemon::start(&Binaries::built(), daemon);
    options.xfer_command = Some(daemon.xfer_command());
    pacman.configure(&options);
    pacman.pacman(&["-Sy"]).succeeded();
    let (database, signature) = by_the_key(&signed, &["first", "second", "third"], "any");
    let liar = LyingNeighbour::listen(&elsewhere, Lie::Database([database, vec![1]].concat(), signature));
    liar.call(&elsewhere, daemon.listen(), club_id("core", "x86_64"));
    daemon.wait_for_status("the liar", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    mirror.stop();
    pacman.pacman(&["-Sy"]).succeeded();
    assert!(daemon.log().contains("a neighbour's database is not taken"), "{}", daemon.log());
    daemon.wait_for_status("nobody", FETCH_WITHIN, |status| status.number("neighbours") == 0);
    let served = liar.served();
    liar.call(&elsewhere, daemon.listen(), club_id("extra", "x86_64"));
    for _ in 0..3 {
        pacman.pacman(&["-Sy"]).succeeded();
    }
    assert_eq!((liar.served(), daemon.status().number("neighbours")), (served, 0), "{}", daemon.log());
}
