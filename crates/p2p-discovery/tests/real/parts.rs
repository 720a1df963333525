//! Programs, torrents and discoveries to test with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fs_err::File;
use p2p_discovery::{DhtOptions, DiscoveryOptions, Found, Origin, Scope, Search};
use p2p_package::{InfoHash, PieceHash, Writer};
use p2p_wire::PeerId;

/// A running program; it ends with the value.
pub(crate) struct Program(Child);

impl Program {
    /// Starts it with its output in `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let (log, _) = File::create(log).expect("a writable log").into_parts();
        let errors = log.try_clone().expect("an open file");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let program = command.get_program().to_owned();
        Self(command.spawn().unwrap_or_else(|error| panic!("this test needs {}: {error}", program.display())))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A discovery with nothing but what the test adds.
pub(crate) fn options(port: u16) -> DiscoveryOptions {
    let [high, low] = port.to_be_bytes();
    DiscoveryOptions {
        scope: Scope::Public,
        lan: false,
        dht: None,
        trackers: Vec::new(),
        peers: Vec::new(),
        port,
        peer_id: PeerId::ours([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        user_agent: "p2pd-test".to_owned(),
        announce_budget: 100,
        announces: None,
    }
}

/// A DHT node at any port of `address`.
pub(crate) fn dht(address: Ipv4Addr, bootstrap: &[SocketAddrV4], state_dir: &Path) -> DhtOptions {
    DhtOptions {
        listen: SocketAddrV4::new(address, 0),
        bootstrap: bootstrap.iter().map(ToString::to_string).collect(),
        state_dir: state_dir.to_owned(),
    }
}

/// Waits until the search finds a peer with this port. What comes before it is lost: see [`find_each`].
pub(crate) async fn find(search: &mut Search, address: IpAddr, port: u16, seconds: u64) -> Origin {
    let [origin] = find_each(search, [SocketAddr::new(address, port)], seconds).await;
    origin
}

/// Waits until the search has found all of these. A search tells each peer once, and nobody knows in which order: who
/// waits for one after the other loses those that the first wait passes over.
pub(crate) async fn find_each<const N: usize>(
    search: &mut Search,
    wanted: [SocketAddr; N],
    seconds: u64,
) -> [Origin; N] {
    let mut found: Vec<Found> = Vec::new();
    let reading = async {
        loop {
            let origins = wanted.map(|wanted| found.iter().find(|peer| peer.address == wanted).map(|peer| peer.origin));
            if origins.iter().all(Option::is_some) {
                return origins.map(|origin| origin.expect("each was found"));
            }
            found.push(search.next().await.expect("discovery runs"));
        }
    };
    let origins = tokio::time::timeout(Duration::from_secs(seconds), reading).await;
    origins.unwrap_or_else(|_| panic!("{wanted:?} were not found within {seconds} seconds, only {found:?}"))
}

/// Waits until `condition` holds.
pub(crate) async fn until(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(seconds), waiting).await;
    assert!(met.is_ok(), "{what} did not happen within {seconds} seconds");
}

/// Writes `<directory>/<name>` and `<directory>/<name>.torrent`, without any tracker.
pub(crate) fn torrent(directory: &Path, name: &str) -> InfoHash {
    let content = name.as_bytes().repeat(4000);
    let mut info = Writer::default();
    info.dictionary(|info| {
        info.bytes("length").integer(u64::try_from(content.len()).expect("small"));
        info.bytes("name").bytes(name).bytes("piece length").integer(256 * 1024);
        info.bytes("pieces").bytes(PieceHash::of(&content).as_bytes());
    });
    let info = info.finish();
    let mut torrent = Writer::default();
    torrent.dictionary(|root| {
        root.bytes("info").encoded(&info);
    });
    fs_err::create_dir_all(directory).expect("a writable directory");
    fs_err::write(directory.join(name), content).expect("a writable directory");
    fs_err::write(directory.join(format!("{name}.torrent")), torrent.finish()).expect("a writable directory");
    InfoHash::of(&info)
}
