//! Those who ask for what is not theirs.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use p2p_package::{InfoHash, Writer};
use p2p_tests::{Host, run, wait_until};

/// Where BEP 14 searches go.
const LOCAL_SEARCHES: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 192, 152, 143), 6771);

/// The status that a machine without p2pd gets.
pub(super) fn fetch_as_guest(host: &Host, url: &str) -> u16 {
    let mut command = host.command("curl");
    let from = host.address().to_string();
    command.args(["-sS", "--interface", &from, "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", url]);
    run(command, Duration::from_secs(30)).succeeded().stdout.trim().parse().expect("curl prints a status")
}

/// Asks a DHT node for the peers of these (BEP 5), and gives it a moment to answer.
pub(super) fn ask_node(host: &Host, node: SocketAddr, info_hashes: &[InfoHash]) {
    let (from, info_hashes) = (SocketAddr::new(host.address(), 0), info_hashes.to_vec());
    let asking = host.spawn(move || {
        let socket = UdpSocket::bind(from).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("an open socket");
        for info_hash in &info_hashes {
            let mut query = Writer::default();
            query.dictionary(|root| {
                root.bytes("a").dictionary(|arguments| {
                    arguments.bytes("id").bytes([7; 20]);
                    arguments.bytes("info_hash").bytes(info_hash.as_bytes());
                });
                root.bytes("q").bytes("get_peers");
                root.bytes("t").bytes("aa");
                root.bytes("y").bytes("q");
            });
            socket.send_to(&query.finish(), node).expect("a route");
            // A node that only asks itself does not answer.
            drop(socket.recv_from(&mut [0; 2048]));
        }
    });
    asking.join().expect("datagrams can be sent");
}

/// Looks for these on the local network, and gives those for which it was dialled up to when `is_enough`.
pub(super) fn search_locally(
    host: &Host,
    info_hashes: &[InfoHash],
    is_enough: impl Fn(&BTreeSet<InfoHash>) -> bool + Send + 'static,
    bound: Duration,
) -> BTreeSet<InfoHash> {
    let (here, info_hashes) = (SocketAddr::new(host.address(), 0), info_hashes.to_vec());
    let searching = host.spawn(move || {
        let listener = TcpListener::bind(here).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let lines: Vec<String> = info_hashes.iter().map(|info_hash| format!("Infohash: {info_hash}\r\n")).collect();
        let lines = lines.concat();
        let (group, group_port) = LOCAL_SEARCHES;
        let search = format!(
            "BT-SEARCH * HTTP/1.1\r\nHost: {group}:{group_port}\r\nPort: {port}\r\n{lines}cookie: x\r\n\r\n\r\n"
        );
        let socket = UdpSocket::bind(here).expect("a free port");
        socket.send_to(search.as_bytes(), LOCAL_SEARCHES).expect("a route");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let mut dialled = BTreeSet::new();
        wait_until("being dialled for what we look for", bound, || {
            if let Ok((mut stream, _)) = listener.accept() {
                dialled.extend(dialled_for(&mut stream));
            }
            is_enough(&dialled)
        });
        dialled
    });
    searching.join().expect("searching works")
}

/// The info hash of the handshake that a dialler says first.
fn dialled_for(stream: &mut std::net::TcpStream) -> Option<InfoHash> {
    let mut handshake = [0; 68];
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.read_exact(&mut handshake).ok()?;
    Some(InfoHash::from_bytes(*handshake[28..].first_chunk().expect("68 bytes are enough")))
}
