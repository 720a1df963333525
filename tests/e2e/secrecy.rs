//! What must not leave the machine does not: everything that leaves it is captured on its one cable and looked through.

mod hostile;
mod stage;
mod strangers;
mod traces;

use std::net::SocketAddr;
use std::time::Duration;

use p2p_tests::{
    Binaries, Caller, Capture, Daemon, DaemonOptions, DhtNetwork, FakePeer, Host, Mirror, OpenTracker, Package,
    PacmanRoot, Sent, Temper, call_by_utp, wait_until,
};

use hostile::{ask_node, fetch_as_guest, search_locally};
use stage::{Stage, pacman_options};
use traces::Marks;

use crate::world::{Machine, World};

/// In a namespace every port is free.
const CACHE_SERVER_PORT: u16 = 9717;
/// How long announcing may take.
const BOUND: Duration = Duration::from_mins(1);
/// How long one who should not answer gets to do so.
const SILENCE: Duration = Duration::from_secs(1);

#[test]
fn of_private_and_excluded_packages_nothing_leaves_the_machine_and_old_versions_do_not_leave_the_lan() {
    let mut stage = Stage::new();
    stage.fill_cache();
    let neighbour_host = stage.lan.host();
    let hashes: Vec<String> = stage.packages.all().map(|package| package.info.info_hash().to_string()).collect();
    // Far away, as the mirrors are; it would take all announces.
    let tracker = OpenTracker::start_for(&stage.far, &hashes);
    let dht = DhtNetwork::start(&stage.far);
    let neighbour = Neighbour::start(&stage, &neighbour_host);
    let capture = Capture::start(&stage.machine);
    let mut daemon = stage.start(DaemonOptions {
        lan: true,
        dht_bootstrap: dht.nodes(),
        trackers: vec![tracker.http_url(), tracker.udp_url()],
        peers: vec![neighbour.daemon.listen()],
        metainfo_urls: vec![stage.mirrors[2].url("/{filename}.torrent")],
        cache_server: format!("0.0.0.0:{CACHE_SERVER_PORT}"),
        ..stage.options()
    });
    let packages = &stage.packages;
    stage.install(&[&packages.public[1], &packages.excluded[1], &packages.hidden[1], &packages.old[1]]);
    let is_seeding = |status: &p2p_tests::Status| status.number("packages_seeded") == 4;
    daemon.wait_for_status("what may be shared", BOUND, is_seeding);
    call(&stage, &daemon);
    neighbour.look_for(&packages.hidden[0], &stage);
    for (secret, _) in packages.secret() {
        let told = daemon.p2pctl(&["explain", secret.file_name()]);
        assert!(told.succeeded().stdout.contains("with nobody"), "{told}");
    }
    for public in &packages.public {
        tracker.wait_for_peers(public, 1, BOUND);
        dht.wait_for_peers(public, 1, BOUND);
    }
    // Also its farewells.
    assert!(daemon.process().stop().success(), "{}", daemon.log());
    look_through(&stage, &capture.finish());
}

/// Another machine on the local network, which has nothing yet, and takes "secret" for a repository to be shared.
struct Neighbour {
    daemon: Daemon,
    _pacman: PacmanRoot,
}

impl Neighbour {
    fn start(stage: &Stage, host: &Host) -> Self {
        let pacman = PacmanRoot::new(&pacman_options(host, &stage.mirrors), None);
        pacman.place_database(&stage.core);
        pacman.place_database(&stage.secret);
        let repositories = vec!["core".into(), "secret".into()];
        let options =
            DaemonOptions { host: host.clone(), repositories, lan: true, ..DaemonOptions::new(&pacman.config()) };
        Self { daemon: Daemon::start(&Binaries::built(), options), _pacman: pacman }
    }

    /// Looks for peers of a package while it comes slowly from its mirror.
    fn look_for(&self, package: &Package, stage: &Stage) {
        stage.mirrors[1].limit(Some(300_000));
        let out = tempfile::tempdir().expect("a temporary directory");
        let url = stage.mirrors[1].url(&stage.secret.url_path(package.file_name()));
        self.daemon.client().fetch(&url, &out.path().join("package"), BOUND).succeeded();
        assert_eq!(self.daemon.status().from_peers(), 0, "{}", self.daemon.log());
    }
}

/// Asks for everything, in every way that there is, from near and far.
fn call(stage: &Stage, daemon: &Daemon) {
    let (packages, listen) = (&stage.packages, daemon.listen());
    for host in [&stage.near, &stage.far] {
        for (secret, _) in packages.secret() {
            let info_hash = secret.info.info_hash();
            let mut caller = Caller::dial(host, listen, &info_hash).expect("the port is open");
            // The other side may have hung up already.
            drop(caller.ask_for_metadata());
            assert_eq!(caller.hear(SILENCE), b"", "{}", secret.file_name());
            assert_eq!(call_by_utp(host, listen, &info_hash, SILENCE), b"", "{}", secret.file_name());
            let repository = if secret.name().starts_with("lynx") { "secret" } else { "core" };
            let path = format!("/{repository}/os/x86_64/{}", secret.file_name());
            let url = format!("http://{}:{CACHE_SERVER_PORT}{path}", stage.machine.address());
            for url in [url.clone(), format!("{url}.sig")] {
                assert_eq!(fetch_as_guest(host, &url), 404, "{url}");
            }
        }
        for public in &packages.public {
            assert_served(host, daemon, public);
        }
    }
    let old = &packages.old[0];
    assert_served(&stage.near, daemon, old);
    let mut caller = Caller::dial(&stage.far, listen, &old.info.info_hash()).expect("the port is open");
    assert_eq!(caller.hear(SILENCE), b"", "an old version");
    assert_eq!(call_by_utp(&stage.far, listen, &old.info.info_hash(), SILENCE), b"", "an old version");
    let public = format!("/core/os/x86_64/{}", packages.public[0].file_name());
    let url = format!("http://{}:{CACHE_SERVER_PORT}{public}", stage.machine.address());
    assert_eq!(fetch_as_guest(&stage.near, &url), 200);
    let all: Vec<_> = packages.all().map(|package| package.info.info_hash()).collect();
    let node = SocketAddr::new(stage.machine.address(), dht_port(daemon));
    ask_node(&stage.far, node, &all);
    let wanted = [&packages.public[0], old].map(|package| package.info.info_hash());
    let dialled =
        search_locally(&stage.near, &all, move |dialled| wanted.iter().all(|hash| dialled.contains(hash)), BOUND);
    for (secret, _) in packages.secret() {
        assert!(!dialled.contains(&secret.info.info_hash()), "{}", secret.file_name());
    }
}

/// As its log tells: an ephemeral one.
fn dht_port(daemon: &Daemon) -> u16 {
    let log = daemon.log();
    let port = log.lines().find_map(|line| line.split_once("dht node runs port=")).map(|(_, port)| port.trim());
    port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no DHT node runs:\n{log}"))
}

#[track_caller]
fn assert_served(host: &Host, daemon: &Daemon, package: &Package) {
    let info_hash = package.info.info_hash();
    let mut caller = Caller::dial(host, daemon.listen(), &info_hash).expect("the port is open");
    assert!(caller.is_answered(), "{} from {}:\n{}", package.file_name(), host.address(), daemon.log());
    let metadata = caller.metadata().expect("it knows BEP 9");
    assert!(metadata.ends_with(package.info.encoded()), "{}", package.file_name());
    caller.wait_unchoked().expect("there are slots");
    caller.piece(&package.info, 0).expect("a right piece");
    assert!(call_by_utp(host, daemon.listen(), &info_hash, BOUND).len() >= 68, "by uTP");
}

fn look_through(stage: &Stage, sent: &[Sent]) {
    let packages = &stage.packages;
    let mut traces = Vec::new();
    for (secret, mirror) in packages.secret() {
        let mirror = stage.mirrors[mirror].address();
        let sent: Vec<&Sent> = sent.iter().filter(|sent| sent.to != mirror).collect();
        traces.extend(stage.marks(secret).traces(&sent));
    }
    let old = stage.marks(&packages.old[0]);
    // "otter-old" is also the name of the new version: what counts is the file's.
    let (near, far): (Vec<&Sent>, Vec<_>) = sent.iter().partition(|sent| sent.is_local());
    traces.extend(old.traces(&far).into_iter().filter(|trace| !trace.starts_with("the name")));
    assert_eq!(traces, [""; 0]);
    // The same eyes see what may be seen.
    let seen = |marks: &Marks<'_>, sent: &[&Sent], what: &str| {
        let traces = marks.traces(sent);
        assert!(traces.iter().any(|trace| trace.starts_with(what)), "{what} is not among {traces:?}");
    };
    for what in ["the info hash of", "content", "the file name"] {
        seen(&old, &near, what);
        for public in &packages.public {
            seen(&stage.marks(public), &far, what);
        }
    }
}

#[test]
fn what_is_excluded_by_a_reload_is_cut_off_from_everybody_at_once() {
    let mut stage = Stage::new();
    let first = stage.packages.old[0].clone();
    stage.list(&first);
    let options = stage.options();
    let mut daemon = stage.start(options);
    stage.pacman.pacman(&["-Sy"]).succeeded();
    let [public, other] = stage.packages.public.clone();
    stage.install(&[&public, &other]);
    let seeds = |count: u64| move |status: &p2p_tests::Status| status.number("packages_seeded") == count;
    daemon.wait_for_status("both packages", BOUND, seeds(2));
    let connect = |host: &Host, package: &Package| {
        let mut caller = Caller::dial(host, daemon.listen(), &package.info.info_hash()).expect("the port is open");
        assert!(caller.is_answered());
        caller.wait_unchoked().expect("there are slots");
        caller.piece(&package.info, 0).expect("a right piece");
        caller
    };
    let mut excluded = [connect(&stage.near, &public), connect(&stage.far, &public)];
    let mut kept = connect(&stage.far, &other);
    daemon.reconfigure(|options| options.exclude.push("zebra-public".into()));
    for caller in &mut excluded {
        assert!(caller.is_hung_up(Duration::from_secs(5)), "{}", daemon.log());
    }
    kept.piece(&other.info, 1).expect("the other package is served as before");
    daemon.wait_for_status("one package", BOUND, seeds(1));
    let mut again = Caller::dial(&stage.near, daemon.listen(), &public.info.info_hash()).expect("the port is open");
    assert_eq!(again.hear(SILENCE), b"");
}

#[test]
fn a_fetch_whose_package_is_excluded_by_a_reload_leaves_its_swarm_and_goes_on_with_its_mirror() {
    let (world, package) = World::with_package(1_500_000);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.limit(Some(50_000));
    let peer = FakePeer::listen(&Host::loopback(), &package, Temper::Trickles(50_000));
    let peers = vec![peer.address()];
    let machine = world.machine(&[mirror.server()]).daemon(|options| DaemonOptions { peers, ..options });
    let Machine { mut daemon, pacman: _pacman, .. } = machine.start();
    let out = tempfile::tempdir().expect("a temporary directory");
    let (client, url, target) = (daemon.client(), mirror.url(&path), out.path().join("package"));
    let fetching = std::thread::spawn(move || client.fetch(&url, &target, BOUND));
    let listen = daemon.listen();
    let dial = || Caller::dial(&Host::loopback(), listen, &package.info.info_hash()).expect("the port is open");
    wait_until("the swarm", BOUND, || peer.served() > 0);
    assert!(dial().is_answered(), "{}", daemon.log());
    daemon.reconfigure(|options| options.exclude.push("big".into()));
    wait_until("the end of the swarm", Duration::from_secs(5), || !dial().is_answered());
    daemon.wait_for_status("no peer", Duration::from_secs(5), |status| status.number("peers") == 0);
    let connections = peer.connections();
    mirror.limit(None);
    fetching.join().expect("fetching does not panic").succeeded();
    assert!(package.is_at(&out.path().join("package")), "another file than asked for");
    // What he had written into the closed connection aside, he was asked for nothing more.
    assert_eq!(peer.connections(), connections, "{}", daemon.log());
    assert!(peer.served() < package.size() / 10, "{}", daemon.log());
    assert_eq!(daemon.status().number("packages_seeded"), 0);
}

#[test]
fn what_a_new_database_lists_no_more_is_cut_off_from_those_outside_of_the_lan() {
    let mut stage = Stage::new();
    let mut daemon = stage.seed_old();
    let [first, second] = stage.packages.old.clone();
    let [mut near, mut far] = [&stage.near, &stage.far].map(|host| {
        let mut caller = Caller::dial(host, daemon.listen(), &first.info.info_hash()).expect("the port is open");
        assert!(caller.is_answered());
        caller.wait_unchoked().expect("there are slots");
        caller.piece(&first.info, 0).expect("a right piece");
        caller
    });
    stage.list(&second);
    stage.pacman.pacman(&["-Syy"]).succeeded();
    // Any call is a reason to look at the databases.
    wait_until("a stranger to be turned away", Duration::from_secs(5), || {
        !Caller::dial(&stage.far, daemon.listen(), &first.info.info_hash()).expect("the port is open").is_answered()
    });
    assert!(far.is_hung_up(Duration::from_secs(5)), "{}", daemon.log());
    near.piece(&first.info, 1).expect("a neighbour is served as before");
    daemon.reconfigure(|options| options.old_versions = "public".into());
    wait_until("old versions to be public", Duration::from_secs(5), || {
        Caller::dial(&stage.far, daemon.listen(), &first.info.info_hash()).expect("the port is open").is_answered()
    });
}
