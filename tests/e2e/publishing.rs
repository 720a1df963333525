//! Publishers: a signed pointer and an index reach those who follow them, by neighbours or the DHT, and nobody else's word does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use p2p_tests::{Daemon, DaemonOptions, DhtNetwork, Lan, Mirror, Package, PackageSpec, Payload, Ran, wait_until};

use crate::world::{FETCH_WITHIN, Machine, World, next_second};

/// A home network.
const HOME: [u8; 3] = [192, 168, 78];
/// What the daemon says where an index had what it needed.
const FROM_INDEX: &str = "a published index has the info";

/// A repository with one large package, nobody's `.torrent`s, and the publisher's secret key.
struct Scene {
    world: World,
    package: Package,
    mirror: Mirror,
    key: PathBuf,
    public: String,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let package = world.repository.add(&PackageSpec::new("large").payload(Payload::Random(9_000_000)));
        world.repository.write_database();
        let mirror = Mirror::serve(world.directory.path());
        let key = world.directory.path().join("core.key");
        Self { world, package, mirror, key, public: String::new() }
    }

    /// A daemon of the publisher, and its key.
    fn publisher(&mut self, adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Machine {
        let machine = self.world.machine(&[self.mirror.server()]).daemon(adjust).start();
        self.public = new_key(&machine.daemon, &self.key);
        machine
    }

    fn follower(&self, adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Machine {
        let publishers = vec![("core".to_owned(), self.public.clone())];
        let adjust = |options| adjust(DaemonOptions { publishers, ..options });
        self.world.machine(&[self.mirror.server()]).sig_level("Optional").daemon(adjust).start()
    }

    fn publish(&self, publisher: &Machine) -> Ran {
        self.publish_as("core", publisher, &[])
    }

    fn publish_as(&self, repository: &str, publisher: &Machine, more: &[&str]) -> Ran {
        let directory = self.world.repository.directory();
        let index = self.world.directory.path().join("core.index");
        let arguments = [
            "publish",
            "--json",
            &format!("--repository={repository}"),
            "--architecture=x86_64",
            &format!("--key={}", self.key.display()),
            &format!("--database={}", self.world.repository.database().display()),
            &format!("--packages={}", directory.display()),
            &format!("--index={}", index.display()),
        ];
        publisher.daemon.p2pctl(&[&arguments[..], more].concat())
    }

    /// Publishes, and returns what `p2pctl` says of it.
    #[track_caller]
    fn publish_well(&self, publisher: &Machine) -> serde_json::Value {
        let ran = self.publish(publisher);
        serde_json::from_str(&ran.succeeded().stdout).expect("--json prints JSON")
    }
}

/// Makes a key; also the public one, from the line for the configuration.
fn new_key(daemon: &Daemon, path: &std::path::Path) -> String {
    let made = daemon.p2pctl(&["publisher-key", "--new", &path.display().to_string()]);
    let line = made.succeeded().stdout.trim().to_owned();
    line.strip_prefix("key = \"").and_then(|line| line.strip_suffix('"')).expect("a line of TOML").to_owned()
}

/// What a daemon has heard of the only publisher that it follows.
fn heard(daemon: &Daemon) -> serde_json::Value {
    let listed = daemon.p2pctl(&["publishers", "--json"]);
    let mut publishers: Vec<serde_json::Value> =
        serde_json::from_str(&listed.succeeded().stdout).expect("--json prints JSON");
    assert_eq!(publishers.len(), 1, "{listed}");
    publishers.remove(0)
}

#[track_caller]
fn wait_heard(machine: &Machine, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    wait_until(what, FETCH_WITHIN, || is_so(&heard(&machine.daemon)));
    heard(&machine.daemon)
}

fn wait_neighbours(machine: &mut Machine, count: u64) {
    machine.daemon.wait_for_status("neighbours", FETCH_WITHIN, |status| status.number("neighbours") >= count);
}

#[test]
fn a_key_is_shown_again_and_never_overwritten() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    let path = scene.key.display().to_string();
    let again = publisher.daemon.p2pctl(&["publisher-key", &path]);
    assert_eq!(again.succeeded().stdout.trim(), format!("key = \"{}\"", scene.public));
    let overwriting = publisher.daemon.p2pctl(&["publisher-key", "--new", &path]);
    assert!(!overwriting.status.success(), "{overwriting}");
}

#[test]
fn what_cannot_be_published_is_said_and_a_dry_run_tells_nobody() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    let refused = scene.publish_as("private", &publisher, &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    assert!(refused.stderr.contains("does not share") && refused.stderr.contains("seed.repositories"), "{refused}");
    let dry = scene.publish_as("core", &publisher, &["--dry-run"]);
    assert!(dry.succeeded().stdout.contains("\"accepted\":null"), "{dry}");
    for body in ["", "no JSON\n", "{}\n", "no line feed"] {
        let answer = posted(&publisher.daemon, body);
        assert!(answer.starts_with("HTTP/1.0 400") && answer.contains("bad-request"), "{body:?}: {answer}");
    }
    let listed = publisher.daemon.p2pctl(&["publishers", "--json"]);
    assert_eq!(listed.succeeded().stdout.trim(), "[]");
}

/// The answer to a publication as somebody else's program might send it.
fn posted(daemon: &Daemon, body: &str) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).expect("p2pd listens");
    let length = body.len();
    let head =
        format!("POST /v1/publications HTTP/1.0\r\nHost: p2pd\r\np2pd-api: 1\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).expect("p2pd reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("p2pd answers");
    answer
}

#[test]
fn followers_of_followers_get_pointer_and_index_and_a_large_package_needs_no_torrent() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    let said = scene.publish_well(&publisher);
    assert_eq!((&said["packages"], &said["hashed"], &said["accepted"]["dht"]), (&1.into(), &1.into(), &false.into()));
    let near = scene.follower(|options| DaemonOptions { peers: vec![publisher.daemon.listen()], ..options });
    wait_heard(&near, "the index", |heard| heard["packages"] == 1);
    drop(publisher);
    let mut far = scene.follower(|options| DaemonOptions { peers: vec![near.daemon.listen()], ..options });
    let heard = wait_heard(&far, "the index, from a follower", |heard| heard["packages"] == 1);
    assert_eq!((&heard["published"], &heard["database"]), (&said["seq"], &said["database"]));
    // Nobody looks for a `.torrent`, though the mirror lives.
    let url = scene.mirror.url(&scene.world.path(&scene.package));
    scene.mirror.limit(Some(2_000_000));
    far.fetch_well(&url, &scene.package);
    let torrents = scene.mirror.requests().iter().filter(|request| request.path.ends_with(".torrent")).count();
    assert_eq!(torrents, 0, "{}", far.daemon.log());
    assert!(far.daemon.log().contains(FROM_INDEX), "{}", far.daemon.log());
    far.wait_seeding(1);
}

#[test]
fn with_every_mirror_dead_a_large_package_comes_as_a_swarm_by_the_index() {
    let mut scene = Scene::new();
    let mut publisher = scene.publisher(|options| options);
    let url = scene.mirror.url(&scene.world.path(&scene.package));
    publisher.fetch_well(&url, &scene.package);
    publisher.wait_seeding(1);
    scene.publish_well(&publisher);
    let follower = scene.follower(|options| DaemonOptions { peers: vec![publisher.daemon.listen()], ..options });
    wait_heard(&follower, "the index", |heard| heard["packages"] == 1);
    scene.mirror.stop();
    follower.fetch_well(&url, &scene.package);
    let status = follower.daemon.status();
    assert_eq!((status.from_peers(), status.from_mirrors()), (scene.package.size(), 0), "{}", status.json());
    assert!(follower.daemon.log().contains(FROM_INDEX), "{}", follower.daemon.log());
}

#[test]
fn with_every_mirror_dead_the_published_database_is_taken_though_nobody_has_signed_it() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    let mut follower = scene.follower(|options| DaemonOptions { peers: vec![publisher.daemon.listen()], ..options });
    wait_neighbours(&mut follower, 1);
    let before = follower.pacman.sync_database(&scene.world.repository);
    scene.world.repository.add(&PackageSpec::new("new").payload(Payload::Random(100_000)));
    scene.world.repository.write_database();
    next_second();
    scene.publish_well(&publisher);
    scene.mirror.stop();
    let refreshed = follower.pacman.pacman(&["-Sy"]);
    assert!(refreshed.status.success(), "{refreshed}\n{}", follower.daemon.log());
    let now = follower.pacman.sync_database(&scene.world.repository);
    let newest = fs_err::read(scene.world.repository.database()).expect("the publisher has one");
    assert!(now != before && now == newest, "{refreshed}\n{}", follower.daemon.log());
}

#[test]
fn who_follows_nobody_passes_nothing_on() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    scene.publish_well(&publisher);
    let peers = vec![publisher.daemon.listen()];
    let mut between = scene.world.machine(&[scene.mirror.server()]);
    between = between.daemon(|options| DaemonOptions { peers, ..options });
    let mut between = between.start();
    wait_neighbours(&mut between, 1);
    drop(publisher);
    let mut far = scene.follower(|options| DaemonOptions { peers: vec![between.daemon.listen()], ..options });
    wait_neighbours(&mut far, 1);
    let listed = between.daemon.p2pctl(&["publishers", "--json"]);
    assert_eq!(listed.succeeded().stdout.trim(), "[]");
    let asked = "the neighbours have been asked for publications";
    wait_until("a question", FETCH_WITHIN, || far.daemon.log().contains(asked));
    assert!(heard(&far.daemon)["published"].is_null());
}

#[test]
fn a_wrong_index_is_refused_and_whoever_sent_it_is_turned_away() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    let said = scene.publish_well(&publisher);
    let index = said["index"].as_str().expect("a digest");
    let path = publisher.daemon.state_dir().join("publications").join(index);
    let mut bytes = fs_err::read(&path).expect("the publisher keeps it");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&path, bytes).expect("it is the test's");
    let mut follower = scene.follower(|options| DaemonOptions { peers: vec![publisher.daemon.listen()], ..options });
    wait_until("the lie", FETCH_WITHIN, || follower.daemon.log().contains("a neighbour has sent a wrong index"));
    follower.daemon.wait_for_status("nobody", FETCH_WITHIN, |status| status.number("neighbours") == 0);
    let heard = heard(&follower.daemon);
    assert_eq!((&heard["published"], &heard["packages"]), (&said["seq"], &serde_json::Value::Null));
}

#[test]
fn another_publishers_word_does_not_count() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    scene.publish_well(&publisher);
    scene.public = new_key(&publisher.daemon, &scene.world.directory.path().join("other.key"));
    let follower = scene.follower(|options| DaemonOptions { peers: vec![publisher.daemon.listen()], ..options });
    let refused = "nobody has configured this publisher";
    wait_until("a refusal", FETCH_WITHIN, || follower.daemon.log().contains(refused));
    assert!(heard(&follower.daemon)["published"].is_null());
}

#[test]
fn who_publishes_again_reads_only_what_is_new() {
    let mut scene = Scene::new();
    let publisher = scene.publisher(|options| options);
    scene.publish_well(&publisher);
    scene.world.repository.add(&PackageSpec::new("new"));
    scene.world.repository.add(&PackageSpec::new("elsewhere").payload(Payload::Random(1000)));
    scene.world.repository.write_database();
    let elsewhere = scene.world.repository.packages().iter().find(|package| package.name() == "elsewhere");
    fs_err::remove_file(&elsewhere.expect("it was added").path).expect("it is the test's");
    next_second();
    let second = scene.publish_well(&publisher);
    let counts = ["listed", "packages", "hashed", "missing"].map(|key| second[key].as_u64().expect("a number"));
    assert_eq!(counts, [3, 2, 1, 1], "{second}");
    // A package that is not the one of the database is said, and left out.
    let wrong = scene.world.repository.add(&PackageSpec::new("wrong").payload(Payload::Random(1000)));
    scene.world.repository.write_database();
    fs_err::write(&wrong.path, "something else").expect("it is the test's");
    let third = scene.publish_as("core", &publisher, &["--dry-run"]);
    assert_eq!(third.status.code(), Some(1), "{third}");
    assert!(third.stderr.contains("not the package that the database lists"), "{third}");
    assert!(third.stdout.contains("\"faults\":1"), "{third}");
}

#[test]
fn by_the_dht_alone_a_follower_in_another_namespace_hears_of_it_and_a_replayed_pointer_is_refused() {
    let mut lan = Lan::new(HOME);
    let [nodes_host, publisher_host, follower_host] = std::array::from_fn(|_| lan.host());
    let dht = DhtNetwork::start(&nodes_host);
    let nodes = dht.nodes();
    let mut scene = Scene::new();
    // Nobody but the nodes of the DHT can be reached from here, and those know no peers: no neighbour is found.
    let at = |host: &p2p_tests::Host, options: DaemonOptions| DaemonOptions {
        host: host.clone(),
        dht_bootstrap: nodes.clone(),
        repositories: vec!["core".into()],
        ..options
    };
    let mut publisher = scene.publisher(|options| at(&publisher_host, options));
    let empty = dht.snapshot();
    let said = scene.publish_well(&publisher);
    assert_eq!(said["accepted"]["dht"], true);
    let earlier = dht.wait_for_other_items(&empty, FETCH_WITHIN);
    next_second();
    let newer = scene.publish_well(&publisher);
    assert_ne!(newer["seq"], said["seq"]);
    dht.wait_for_other_items(&earlier, FETCH_WITHIN);
    publisher.daemon.process().stop();
    let mut follower = scene.follower(|options| at(&follower_host, options));
    wait_heard(&follower, "the pointer", |heard| heard["published"] == newer["seq"]);
    assert_eq!(follower.daemon.status().number("neighbours"), 0);
    // After a restart it has not forgotten what it had heard last, and puts that.
    assert!(follower.daemon.process().stop().success());
    dht.replay(&earlier);
    follower.daemon.restart();
    wait_until("a refusal", FETCH_WITHIN, || follower.daemon.log().contains("the dht's pointer is refused"));
    assert_eq!(heard(&follower.daemon)["published"], newer["seq"]);
}
