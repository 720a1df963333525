//! The cache server on a network, in namespaces.

use std::process::Command;
use std::time::Duration;

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Host, Lan, Mirror, PackageSpec, PacmanRoot, PacmanRootOptions, Payload,
    Repository, run,
};

use crate::world::World;

/// In a namespace every port is free.
const PORT: u16 = 9717;

#[track_caller]
fn status(host: &Host, url: &str) -> String {
    let mut command: Command = host.command("curl");
    command.args(["-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", url]);
    run(command, Duration::from_secs(30)).succeeded().stdout.trim().to_owned()
}

#[test]
fn a_namespace_without_p2pd_gets_what_may_be_shared_and_nothing_else() {
    let mut lan = Lan::new([10, 7, 0]);
    let (mirror_host, server, client) = (lan.host(), lan.host(), lan.host());
    let mut world = World::new();
    let shared = world.repository.add(&PackageSpec::new("shared").payload(Payload::Random(300_000)));
    world.repository.repo_add(None);
    let mut private = Repository::new(world.directory.path(), "private");
    let secret = private.add(&PackageSpec::new("secret").payload(Payload::Random(300_000)));
    private.repo_add(None);
    let mirror = Mirror::serve_on(&mirror_host, world.directory.path());
    let options = PacmanRootOptions {
        host: server.clone(),
        ..PacmanRootOptions::new(&[&world.repository, &private], &[&mirror.server()])
    };
    let pacman = PacmanRoot::new(&options, None);
    pacman.place_database(&world.repository);
    pacman.place_database(&private);
    let daemon = DaemonOptions {
        host: server.clone(),
        repositories: vec!["core".into()],
        cache_server: format!("0.0.0.0:{PORT}"),
        ..DaemonOptions::new(&pacman.config())
    };
    let daemon = Daemon::start(&Binaries::built(), daemon);
    let at = |host: std::net::IpAddr, path: &str| format!("http://{host}:{PORT}{path}");
    let outside = |path: &str| status(&client, &at(server.address(), path));
    let inside = |path: &str| status(&server, &at(server.inside().address(), path));
    let (public, hidden) = (world.path(&shared), private.url_path(secret.file_name()));
    assert_eq!(outside(&public), "200", "{}", daemon.log());
    assert_eq!(outside(&world.repository.url_path("core.db")), "200");
    assert_eq!(outside(&hidden), "404");
    assert_eq!(outside(&private.url_path("private.db")), "404");
    assert_eq!(outside("/core/os/x86_64/unlisted-1-1-any.pkg.tar.zst"), "404");
    assert_eq!(mirror.requests_for(&hidden).len(), 0);
    assert_eq!(inside(&hidden), "200");
    assert_eq!(outside(&hidden), "404", "also when it is here");
    let server_line = format!("http://{}:{PORT}/$repo/os/$arch", server.address());
    let others = PacmanRootOptions { host: client, ..PacmanRootOptions::new(&[&world.repository], &[&server_line]) };
    let others = PacmanRoot::new(&others, None);
    others.pacman(&["-Sy", "shared"]).succeeded();
    assert!(others.has_installed(&shared));
}
