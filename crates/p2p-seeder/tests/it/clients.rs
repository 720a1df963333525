//! Other people's clients complete a package from the seeder.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use p2p_wire::compact::CompactPeers;

use crate::support::{Machine, content};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

const NAME: &str = "linux-6.12-1-x86_64.pkg.tar.zst";
const BYTES: usize = 3_000_000;

/// Connects to the address given and downloads by torrent file or, to get the metadata too, by info hash.
const LIBTORRENT: &str = r#"
import libtorrent as lt, sys, time
source, port, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
session = lt.session({"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "allow_multiple_connections_per_ip": True,
    "out_enc_policy": 2, "enable_outgoing_utp": False})
params = lt.add_torrent_params()
params.save_path = directory
if source.endswith(".torrent"):
    params.ti = lt.torrent_info(source)
else:
    params = lt.parse_magnet_uri("magnet:?xt=urn:btih:" + source)
    params.save_path = directory
handle = session.add_torrent(params)
handle.connect_peer(("127.0.0.1", port))
end = time.time() + 30
while time.time() < end and not handle.status().is_seeding:
    time.sleep(0.02)
ok = handle.status().is_seeding
print(handle.status().progress, [(p.client, p.pieces.count(True) if hasattr(p.pieces, "count") else 0) for p in handle.get_peer_info()])
sys.exit(0 if ok else 1)
"#;

async fn run(command: &mut Command) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let done = tokio::time::timeout(Duration::from_mins(1), child.output()).await;
    let output = done.expect("in time").expect("the client runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

async fn libtorrent(machine: &Machine, source: &str) {
    let target = machine.directory.path().join("target");
    let (port, target_text) = (machine.address.port().to_string(), target.to_str().expect("a text path"));
    run(Command::new("/usr/bin/python3").args(["-c", LIBTORRENT, source, &port, target_text])).await;
    assert!(fs_err::read(target.join(NAME)).expect("the package") == content(BYTES));
    assert_eq!(machine.seeder.uploaded_bytes(), BYTES as u64);
}

#[tokio::test]
async fn libtorrent_completes_from_a_torrent_file() {
    let machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    let torrent = machine.torrent(&row);
    libtorrent(&machine, torrent.to_str().expect("a text path")).await;
}

#[tokio::test]
async fn libtorrent_completes_from_a_magnet_link() {
    let machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    libtorrent(&machine, &row.info_hash().to_string()).await;
}

/// A tracker that names one peer to everyone; its announce URL.
async fn tracker(peer: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/announce", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // All of a small request; what it asks does not matter.
            let _ = stream.read(&mut [0; 4096]).await;
            let mut body = b"d8:intervali60e5:peers6:".to_vec();
            body.extend(CompactPeers::of([peer]).v4);
            body.push(b'e');
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
        }
    });
    url
}

#[tokio::test]
async fn aria2_completes_from_a_torrent_file() {
    let machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    let torrent = machine.torrent_with(&row, vec![tracker(machine.address).await]);
    let target = machine.directory.path().join("target");
    let options =
        ["--no-conf", "--seed-time=0", "--enable-dht=false", "--bt-enable-lpd=false", "--file-allocation=none"];
    run(Command::new("aria2c").args(options).arg("--dir").arg(&target).arg(torrent)).await;
    assert!(fs_err::read(target.join(NAME)).expect("the package") == content(BYTES));
    assert_eq!(machine.seeder.uploaded_bytes(), BYTES as u64);
}
