use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use p2p_package::InfoHash;
use p2p_wire::{AnnounceEvent, PeerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

fn announce() -> Announce {
    Announce {
        info_hash: InfoHash::of(b"tracker"),
        peer_id: PeerId::ours([b'x'; 12]),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: 1,
        event: AnnounceEvent::Started,
        wanted: 200,
        key: 1,
    }
}

fn announcer() -> Announcer {
    Announcer::new(Resolver::default(), "p2pd-test").expect("an HTTP client")
}

fn tracker(url: &str, trust: Trust) -> Tracker {
    Tracker { url: Url::parse(url).expect("a URL"), trust }
}

/// Answers each connection with the next of `answers`, and returns the address and the request lines.
async fn http(answers: Vec<String>) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.expect("a request"));
            }
            requests.push(String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned());
            // The other side may hang up on what is too large.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        requests
    });
    (address, server)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n")
}

#[tokio::test]
async fn an_http_announce_keeps_the_trackers_own_query_and_follows_redirects() {
    let answers = vec![redirect("/other?key=2"), ok("d8:intervali900e5:peersld2:ip8:10.0.0.14:porti80eeee")];
    let (address, server) = http(answers).await;
    let tracker = tracker(&format!("http://{address}/announce?key=1"), Trust::Configured);
    let answer = announcer().announce(&tracker, &announce(), &AtomicU32::new(0)).await.expect("an answer");
    assert_eq!(answer.peers, ["10.0.0.1:80".parse().expect("an address")]);
    let requests = server.await.expect("the server ends");
    assert!(requests[0].starts_with("GET /announce?key=1&info_hash=%"), "{requests:?}");
    assert_eq!(requests[1], "GET /other?key=2 HTTP/1.1");
}

#[tokio::test]
async fn http_answers_that_are_too_large_or_redirect_for_ever_are_given_up() {
    let (address, _server) = http(vec![ok(&"x".repeat(70_000))]).await;
    let url = format!("http://{address}/announce");
    let fault = announcer().announce(&tracker(&url, Trust::Configured), &announce(), &AtomicU32::new(0)).await;
    assert!(matches!(fault, Err(TrackerFault::TooLarge)), "{fault:?}");

    let (address, server) = http(vec![redirect("/again"); 4]).await;
    let url = format!("http://{address}/announce");
    let fault = announcer().announce(&tracker(&url, Trust::Configured), &announce(), &AtomicU32::new(0)).await;
    assert!(matches!(fault, Err(TrackerFault::Redirect)), "{fault:?}");
    assert_eq!(server.await.expect("four requests").len(), 4);
}

#[tokio::test]
async fn a_stranger_cannot_send_us_to_our_own_network() {
    for url in [
        "http://127.0.0.1:9/announce",
        "http://localhost:9/announce",
        "http://[::1]:9/announce",
        "http://[::ffff:10.0.0.1]:9/announce",
        "http://0x7f.1:9/announce",
        "udp://127.0.0.1:9",
        "udp://localhost:9/announce",
        "udp://192.168.0.1:9/announce",
    ] {
        let fault = announcer()
            .announce(&tracker(url, Trust::Stranger), &announce(), &AtomicU32::new(0))
            .await
            .expect_err("refused");
        assert!(with_causes(&fault).contains("not at a global address"), "{url}: {}", with_causes(&fault));
    }
}

#[tokio::test]
async fn other_schemes_and_missing_ports_are_unfit() {
    for url in ["ws://127.0.0.1:9", "udp://127.0.0.1"] {
        let fault = announcer().announce(&tracker(url, Trust::Configured), &announce(), &AtomicU32::new(0)).await;
        assert!(matches!(fault, Err(TrackerFault::UnfitUrl)), "{url}: {fault:?}");
    }
}

#[tokio::test]
async fn a_closed_udp_port_is_noticed_at_once() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("udp://{}", socket.local_addr().expect("an address"));
    drop(socket);
    let announcer = announcer();
    let tracker = tracker(&url, Trust::Configured);
    let announce = announce();
    let fault =
        tokio::time::timeout(Duration::from_secs(1), announcer.announce(&tracker, &announce, &AtomicU32::new(0))).await;
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    assert!(matches!(&fault, Ok(Err(TrackerFault::Unreachable(error))) if refused(error)), "{fault:?}");
}

#[tokio::test]
async fn lost_packets_are_sent_again_and_the_connection_id_is_used_again() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("udp://{}", socket.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let mut lengths = Vec::new();
        let mut packet = [0; 200];
        while lengths.len() < 4 {
            let (length, from) = socket.recv_from(&mut packet).await.expect("a packet");
            lengths.push(length);
            let mut answer = packet[8..16].to_vec();
            answer.extend_from_slice(&[0; 12]);
            if lengths.len() > 1 {
                socket.send_to(&answer, from).await.expect("sent");
            }
        }
        lengths
    });
    let announcer = announcer();
    let tracker = tracker(&url, Trust::Configured);
    for _ in 0..2 {
        announcer.announce(&tracker, &announce(), &AtomicU32::new(0)).await.expect("an answer");
    }
    assert_eq!(server.await.expect("four packets"), [16, 16, 98, 98]);
}
