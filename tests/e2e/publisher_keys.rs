//! What docs/operation.md says of publishers' keys: they are replaced without a gap, and one that was stolen counts no more.

use std::path::PathBuf;

use p2p_tests::{Daemon, DaemonOptions, Mirror, PackageSpec, Payload, wait_until};

use crate::world::{FETCH_WITHIN, Machine, World, next_second};

/// A key, and the line of the configuration that names it.
struct Key {
    file: PathBuf,
    public: String,
}

impl Key {
    fn new(world: &World, daemon: &Daemon, name: &str) -> Self {
        let file = world.directory.path().join(name);
        let made = daemon.p2pctl(&["publisher-key", "--new", &file.display().to_string()]);
        let public = made.succeeded().stdout.split('"').nth(1).expect("a line of TOML").to_owned();
        Self { file, public }
    }

    /// Publishes the database of now.
    #[track_caller]
    fn publish(&self, world: &World, publisher: &Machine) {
        next_second();
        let directory = world.repository.directory().display().to_string();
        let ran = publisher.daemon.p2pctl(&[
            "publish",
            "--repository=core",
            "--architecture=x86_64",
            &format!("--key={}", self.file.display()),
            &format!("--database={}", world.repository.database().display()),
            &format!("--packages={directory}"),
        ]);
        ran.succeeded();
    }
}

/// Follows these keys from now on, and no others.
fn follow(daemon: &mut Daemon, keys: &[&Key]) {
    let keys = keys.iter().map(|key| ("core".to_owned(), key.public.clone())).collect();
    daemon.reconfigure(|options| options.publishers = keys);
}

/// The keys of which something has been heard.
fn heard(daemon: &Daemon) -> Vec<String> {
    let listed = daemon.p2pctl(&["publishers", "--json"]);
    let publishers: Vec<serde_json::Value> =
        serde_json::from_str(&listed.succeeded().stdout).expect("--json prints JSON");
    let published = publishers.iter().filter(|publisher| publisher["published"].is_number());
    published.map(|publisher| publisher["key"].as_str().expect("a key").to_owned()).collect()
}

#[test]
fn a_key_is_replaced_by_publishing_with_both_and_the_old_one_counts_no_more_once_it_is_removed() {
    let mut world = World::new();
    world.repository.add(&PackageSpec::new("first").payload(Payload::Random(100_000)));
    world.repository.write_database();
    let mut mirror = Mirror::serve(world.directory.path());
    let publisher = world.machine(&[mirror.server()]).start();
    let [old, new] = ["old.key", "new.key"].map(|name| Key::new(&world, &publisher.daemon, name));
    let follower = world.machine(&[mirror.server()]).sig_level("Optional");
    let peers = vec![publisher.daemon.listen()];
    let mut follower = follower.daemon(|options| DaemonOptions { peers, ..options }).start();
    old.publish(&world, &publisher);
    follow(&mut follower.daemon, &[&old]);
    wait_until("the old key", FETCH_WITHIN, || heard(&follower.daemon) == [old.public.clone()]);
    // Both are configured, and published with.
    new.publish(&world, &publisher);
    follow(&mut follower.daemon, &[&old, &new]);
    wait_until("both keys", FETCH_WITHIN, || heard(&follower.daemon).len() == 2);
    follow(&mut follower.daemon, &[&new]);
    wait_until("the new key alone", FETCH_WITHIN, || heard(&follower.daemon) == [new.public.clone()]);
    // The new key's database, and later that of whoever has the old key.
    world.repository.add(&PackageSpec::new("second"));
    world.repository.write_database();
    new.publish(&world, &publisher);
    let right = fs_err::read(world.repository.database()).expect("the repository has one");
    world.repository.add(&PackageSpec::new("third"));
    world.repository.write_database();
    old.publish(&world, &publisher);
    mirror.stop();
    follower.refresh("-Sy");
    let taken = follower.pacman.sync_database(&world.repository);
    assert!(taken == right, "{}", follower.daemon.log());
}
