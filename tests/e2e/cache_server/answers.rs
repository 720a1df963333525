//! Statuses and header fields, without pacman.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use p2p_tests::{
    DaemonOptions, FakePeer, Fault, Host, Mirror, Package, PackageSpec, Payload, Temper, Usage, run, wait_until,
};

use super::{Answer, Front};
use crate::world::World;

/// A decision takes no longer.
const DECIDES_WITHIN: Duration = Duration::from_secs(5);

struct Scene {
    world: World,
    package: Package,
    mirror: Mirror,
    front: Front,
}

impl Scene {
    fn new(bytes: u64) -> Self {
        let mut world = World::new();
        let spec = PackageSpec::new("library").version("1:2.0+r5-1").payload(Payload::Random(bytes));
        let package = world.repository.add(&spec);
        world.repository.write_database();
        let mirror = Mirror::serve(world.directory.path());
        let front = Front::start(&world, &[mirror.server()]);
        Self { world, package, mirror, front }
    }

    fn path(&self) -> String {
        self.world.path(&self.package)
    }

    /// An answer that must not take long to begin, and nothing to end.
    #[track_caller]
    fn decision(&self, path: &str) -> Answer {
        let asked = Instant::now();
        let answer = self.front.get(path, &[]);
        assert!(asked.elapsed() < DECIDES_WITHIN, "{path} took {:?}", asked.elapsed());
        answer
    }
}

#[test]
fn a_package_is_served_whole_in_parts_and_by_head_with_its_length() {
    let scene = Scene::new(200_000);
    let (path, bytes) = (scene.path(), scene.package.bytes());
    for path in [&path, &path.replace(':', "%3A").replace('+', "%2b")] {
        let whole = scene.front.get(path, &[]);
        assert_eq!((whole.status, whole.length()), (200, bytes.len()), "{}", whole.head);
        assert_eq!(whole.body, bytes);
    }
    let part = scene.front.get(&path, &["Range: bytes=1000-1999"]);
    assert_eq!((part.status, part.length()), (206, 1000));
    assert_eq!(part.field("content-range"), Some(format!("bytes 1000-1999/{}", bytes.len()).as_str()));
    assert_eq!(part.body, bytes[1000..2000]);
    let beyond = scene.front.get(&path, &[&format!("Range: bytes={}-", bytes.len())]);
    assert_eq!((beyond.status, beyond.length()), (416, 0));
    let head = scene.front.ask("HEAD", &path, &[]);
    assert_eq!((head.status, head.length(), head.body.len()), (200, bytes.len(), 0));
    let tag = head.field("etag").expect("a package has a tag").to_owned();
    assert_eq!(scene.front.get(&path, &[&format!("If-None-Match: {tag}")]).status, 304);
    assert_eq!(scene.mirror.requests_for(&path).len(), 1, "fetched once");
}

#[test]
fn a_database_passes_with_its_date_and_is_not_sent_again() {
    let scene = Scene::new(2_000);
    let path = scene.world.repository.url_path("core.db");
    let database = fs_err::read(scene.world.repository.directory().join("core.db")).expect("a database");
    let whole = scene.front.get(&path, &[]);
    assert_eq!((whole.status, &whole.body), (200, &database), "{}", whole.head);
    let modified = whole.field("last-modified").expect("a database has a date").to_owned();
    let again = scene.front.get(&path, &[&format!("If-Modified-Since: {modified}")]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    let older = scene.front.get(&path, &["If-Modified-Since: Tue, 14 Nov 2000 22:13:20 GMT"]);
    assert_eq!((older.status, &older.body), (200, &database));
    assert_eq!(scene.front.get(&format!("{path}.sig"), &[]).status, 404);
}

#[test]
fn what_is_no_request_of_pacmans_is_refused() {
    let scene = Scene::new(2_000);
    let path = scene.path();
    for (method, field, status) in [
        ("POST", "Accept: */*", 405),
        ("DELETE", "Accept: */*", 405),
        ("GET", "Host: evil.example", 421),
        ("GET", "Host: evil.example:80", 421),
        ("GET", "Origin: http://evil.example", 403),
        ("GET", "Sec-Fetch-Site: cross-site", 403),
        ("GET", "User-Agent: pacman2pacman/0.1.0", 404),
        ("GET", "Host: localhost", 200),
    ] {
        assert_eq!(scene.front.ask(method, &path, &[field]).status, status, "{method} {field}");
    }
    for path in [
        "/",
        "/core/os/x86_64/nothing-1-1-any.pkg.tar.zst",
        "/core/os/riscv64/core.db",
        "/other/os/x86_64/other.db",
        "/core/os/x86_64/..%2f..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
    ] {
        assert_eq!(scene.decision(path).status, 404, "{path}");
    }
}

#[test]
fn a_mirror_that_says_nothing_is_found_out_in_time_and_pacman_is_sent_to_another_one() {
    let scene = Scene::new(2_000_000);
    let good = Mirror::serve(scene.world.directory.path());
    let mut scene = scene;
    let servers = vec![scene.mirror.server(), good.server()];
    scene.front.configure(|options| options.repositories[0].1 = servers);
    for mirror in [&scene.mirror, &good] {
        mirror.fault("*", Fault::StallAt(0));
    }
    let answer = scene.decision(&scene.path());
    assert_eq!(answer.status, 302, "{}", answer.head);
    let location = answer.field("location").expect("a redirect says where to");
    assert!(location.ends_with(&scene.path()) && !location.contains(&scene.front.address.to_string()), "{location}");
}

#[test]
fn a_file_that_no_mirror_has_is_missing_and_where_there_is_no_mirror_but_us_too() {
    let mut scene = Scene::new(2_000);
    scene.mirror.fault("*", Fault::Status(404));
    assert_eq!(scene.decision(&scene.path()).status, 404);
    scene.front.configure(|options| options.repositories[0].1.clear());
    assert_eq!(scene.decision(&scene.world.repository.url_path("core.db")).status, 404);
}

#[test]
fn bytes_of_peers_are_never_streamed() {
    let mut world = World::new();
    let package = world.repository.add(&PackageSpec::new("big").payload(Payload::Random(6_000_000)));
    world.repository.write_database();
    world.repository.write_torrents(&[]);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(100_000));
    let peer = FakePeer::listen(&Host::loopback(), &package, Temper::Trickles(100_000));
    let adjust = |options| DaemonOptions { peers: vec![peer.address()], ..options };
    let front = Front::with(&world, &[mirror.server()], None, adjust);
    let asked = Instant::now();
    let answer = front.get(&path, &[]);
    assert!(asked.elapsed() < DECIDES_WITHIN, "{:?}", asked.elapsed());
    assert_eq!((answer.status, answer.field("location")), (302, Some(mirror.url(&path).as_str())), "{}", answer.head);
    assert!(peer.connections() > 0, "the peer was never met");
}

#[test]
fn a_streamed_package_stays_with_its_mirror_when_a_peer_calls() {
    let (world, package) = World::with_package(5_000_000);
    let mirror = Mirror::serve(world.directory.path());
    let path = world.path(&package);
    mirror.fault(&path, Fault::Rate(500_000));
    let front = Front::start(&world, &[mirror.server()]);
    let peers = front.daemon.listen();
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| front.get(&path, &[]));
        let answers = || front.daemon.log().contains("status=200");
        wait_until("an answer that has begun", DECIDES_WITHIN, answers);
        let calls = [0; 3].map(|_| call(peers, &package));
        let answer = asking.join().expect("the answer ends");
        drop(calls);
        answer
    });
    assert_eq!((answer.status, answer.body.len() as u64), (200, package.size()), "{}", answer.head);
    assert!(answer.body == package.bytes());
}

/// A peer with every piece calls the daemon (BEP 3).
fn call(daemon: SocketAddr, package: &Package) -> TcpStream {
    let mut stream = TcpStream::connect(daemon).expect("the daemon listens");
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    hello.extend_from_slice(package.info.info_hash().as_bytes());
    hello.extend_from_slice(b"-XX0001-aaaaaaaaaaaa");
    stream.write_all(&hello).expect("the handshake is small");
    stream
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_neither_quick_nor_slow_ones_are_hindered() {
    let scene = Scene::new(20_000_000);
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.path(), scene.front.address);
    assert_eq!(scene.front.ask("HEAD", &scene.path(), &[]).status, 200);
    let mut lazy = TcpStream::connect(scene.front.address).expect("the cache server listens");
    lazy.write_all(request.as_bytes()).expect("the request is small");
    let opened = Instant::now();
    assert_eq!(scene.front.get(&scene.path(), &[]).body.len() as u64, scene.package.size());
    let out = scene.world.directory.path().join("slowly");
    let mut slow = std::process::Command::new("curl");
    slow.args(["-sSf", "--limit-rate", "1M", "-o"]).arg(&out);
    slow.arg(format!("http://{}{}", scene.front.address, scene.path()));
    run(slow, Duration::from_mins(1)).succeeded();
    assert!(scene.package.is_at(&out), "a slow client gets all");
    let ours = lazy.local_addr().expect("a connected socket").port();
    wait_until("the end of the lazy client's connection", Duration::from_mins(1), || {
        !is_established(scene.front.address.port(), ours)
    });
    assert!(opened.elapsed() > Duration::from_secs(25), "{:?}", opened.elapsed());
    let mut taken = Vec::new();
    drop(lazy.read_to_end(&mut taken));
    assert!((taken.len() as u64) < scene.package.size());
}

/// Whether the kernel has the server's end of a loopback connection as established (proc(5), `/proc/net/tcp`: state 01).
fn is_established(server: u16, client: u16) -> bool {
    let table = fs_err::read_to_string("/proc/net/tcp").expect("a kernel with TCP");
    let ends = (format!(":{server:04X}"), format!(":{client:04X}"));
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|fields| {
        fields.len() > 3 && fields[1].ends_with(&ends.0) && fields[2].ends_with(&ends.1) && fields[3] == "01"
    })
}

#[test]
fn ten_thousand_requests_leave_the_daemon_as_small_as_it_was() {
    const CLIENTS: usize = 40;
    const REQUESTS: usize = 250;
    let mut scene = Scene::new(100_000);
    let (path, size) = (scene.path(), scene.package.size());
    assert_eq!(scene.front.get(&path, &[]).body.len() as u64, size);
    let pid = scene.front.daemon.process().id();
    let memory = || Usage::of(pid).expect("the daemon runs").peak_memory;
    let before = memory();
    let (address, sum) = (scene.front.address, std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).expect("the cache server listens");
                for _ in 0..REQUESTS {
                    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
                    stream.write_all(request.as_bytes()).expect("the request is small");
                    sum.fetch_add(take_answer(&mut stream), std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), size * (CLIENTS * REQUESTS) as u64);
    let grown = memory().saturating_sub(before);
    println!("{} requests: {grown} bytes more than the {before} before", CLIENTS * REQUESTS);
    assert!(grown < 48 * 1024 * 1024, "{grown} bytes more");
    assert_eq!(scene.mirror.requests_for(&path).len(), 1);
}

/// Reads one answer from a connection that stays open; the length of its body.
fn take_answer(stream: &mut TcpStream) -> u64 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.extend_from_slice(&byte);
    }
    let answer = Answer::parse(&head);
    assert_eq!(answer.status, 200, "{}", answer.head);
    let mut body = vec![0; answer.length()];
    stream.read_exact(&mut body).expect("a body");
    body.len() as u64
}
