use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::*;
use crate::fake_mirror::{Behaviour, FakeMirror};

/// The name service and the Internet of the tests: every name leads to 127.0.0.1, which passes for an address in the
/// Internet; `lan` leads to 127.0.0.2, which does not.
#[derive(Default)]
struct FakeNetwork {
    is_down: AtomicBool,
}

impl Lookup for FakeNetwork {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let is_down = self.is_down.load(Ordering::Relaxed);
        Box::pin(async move {
            let address: IpAddr = if name == "lan" { [127, 0, 0, 2].into() } else { [127, 0, 0, 1].into() };
            if is_down { Err(io::ErrorKind::TimedOut.into()) } else { Ok(vec![(address, 0).into()]) }
        })
    }

    fn is_global(&self, address: IpAddr) -> bool {
        address == IpAddr::from([127, 0, 0, 1])
    }
}

fn file() -> Vec<u8> {
    (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect()
}

fn mirrors_with(options: MirrorOptions) -> Mirrors {
    Mirrors::with_lookup(options, Arc::new(FakeNetwork::default())).expect("an HTTP client")
}

fn mirrors() -> Mirrors {
    mirrors_with(MirrorOptions { stall_timeout: Duration::from_millis(200), ..MirrorOptions::default() })
}

async fn body(mut download: Download) -> Result<Vec<u8>, MirrorFault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn fetch(behaviour: Behaviour) -> Result<Vec<u8>, MirrorFault> {
    let mirror = FakeMirror::start(file(), behaviour).await;
    body(mirrors().get(&mirror.url(), 0).await?).await
}

#[tokio::test]
async fn a_whole_file_arrives_with_its_date_over_one_kept_connection() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let mirrors = mirrors();
    for _ in 0..2 {
        let download = mirrors.get(&mirror.url(), 0).await.expect("an answer");
        assert_eq!((download.begins_at(), download.total()), (0, Some(100_000)));
        assert_eq!(download.modified(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(100)));
        assert_eq!(body(download).await.expect("the file"), file());
    }
    let request = &mirror.requests()[1];
    assert!(request.starts_with("get /core/a-1-1-any.pkg.tar.zst http/1.1\r\n"), "{request}");
    for header in ["accept-encoding: identity\r\n", concat!("user-agent: pacman2pacman/", env!("CARGO_PKG_VERSION"))] {
        assert!(request.contains(header), "{request}");
    }
    assert!(!request.contains("range:") && !request.contains("authorization:"), "{request}");
}

#[tokio::test]
async fn user_name_and_password_become_a_header() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let url = mirror.url_at("me:p%40ss@mirror.example");
    mirrors().get(&url, 0).await.expect("an answer");
    let request = &mirror.requests()[0];
    assert!(request.contains("authorization: basic bwu6cebzcw==\r\n"), "{request}");
    assert!(request.contains("host: mirror.example:"), "{request}");
}

#[tokio::test]
async fn a_download_resumes_or_says_that_it_begins_again() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let download = mirrors().get(&mirror.url(), 99_990).await.expect("an answer");
    assert_eq!((download.begins_at(), download.total()), (99_990, Some(100_000)));
    assert_eq!(body(download).await.expect("the tail"), file()[99_990..]);
    mirror.becomes(Behaviour::IgnoresRanges);
    let download = mirrors().get(&mirror.url(), 99_990).await.expect("an answer");
    assert_eq!(download.begins_at(), 0);
    assert_eq!(body(download).await.expect("the file"), file());
}

#[tokio::test]
async fn a_range_is_exactly_the_one_that_was_asked_for() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let mirrors = mirrors();
    assert_eq!(*mirrors.range(&mirror.url(), 7..11, 100_000).await.expect("the range"), file()[7..11]);
    assert_eq!(mirrors.range(&mirror.url(), 0..100_000, 100_000).await.expect("the file").len(), 100_000);
    let other_size = mirrors.range(&mirror.url(), 7..11, 100_001).await;
    assert!(matches!(other_size, Err(MirrorFault::TooShort)), "{other_size:?}");
    mirror.becomes(Behaviour::IgnoresRanges);
    let whole = mirrors.range(&mirror.url(), 7..11, 100_000).await;
    assert!(matches!(whole, Err(MirrorFault::NoRanges)), "{whole:?}");
    for range in ["bytes 8-11/100000", "bytes 7-11/100000", "bytes 7-9/100000", "bytes 7-10/100", "7-10"] {
        mirror.becomes(Behaviour::SaysRange(range));
        let wrong = mirrors.range(&mirror.url(), 7..11, 100_000).await;
        assert!(matches!(wrong, Err(MirrorFault::WrongRange | MirrorFault::TooShort)), "{range}: {wrong:?}");
    }
}

#[tokio::test]
async fn each_disappointment_is_named() {
    let busy = Behaviour::Answers("503 Busy\r\nretry-after: 7\r\n".to_owned());
    let busy = fetch(busy).await;
    let seven = Some(Duration::from_secs(7));
    assert!(matches!(busy, Err(MirrorFault::Busy { retry_after, .. }) if retry_after == seven), "{busy:?}");
    let missing = fetch(Behaviour::Answers("404 Not Found\r\n".to_owned())).await;
    assert!(matches!(missing, Err(MirrorFault::Lacks(404))), "{missing:?}");
    let page = fetch(Behaviour::Page).await;
    assert!(matches!(page, Err(MirrorFault::NotThisFile(_))), "{page:?}");
    let truncated = fetch(Behaviour::Truncates(50_000)).await;
    assert!(matches!(truncated, Err(MirrorFault::TooShort)), "{truncated:?}");
    let stalled = fetch(Behaviour::Stalls(50_000)).await;
    assert!(matches!(stalled, Err(MirrorFault::Stalled)), "{stalled:?}");
    let closed: Url = "http://127.0.0.1:9/a".parse().expect("a URL");
    let closed = mirrors().get(&closed, 0).await;
    assert!(matches!(closed, Err(MirrorFault::Network(_))), "{closed:?}");
}

#[tokio::test]
async fn a_file_of_another_size_is_refused_before_its_bytes_arrive() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let mut download = mirrors().get(&mirror.url(), 0).await.expect("an answer");
    assert!(matches!(download.expect_total(99_999), Err(MirrorFault::TooLong)));
    assert!(matches!(download.expect_total(100_001), Err(MirrorFault::TooShort)));
    assert!(download.expect_total(100_000).is_ok());
}

fn redirect_to(url: &str) -> Behaviour {
    Behaviour::Answers(format!("302 Found\r\nlocation: {url}\r\n"))
}

#[tokio::test]
async fn redirects_within_the_internet_are_followed_without_the_password() {
    let target = FakeMirror::start(file(), Behaviour::Good).await;
    let mirror = FakeMirror::start(file(), redirect_to(target.url_at("other.example").as_str())).await;
    let download = mirrors().get(&mirror.url_at("me:secret@mirror.example"), 5).await.expect("an answer");
    assert_eq!(download.begins_at(), 5, "the range goes along");
    assert!(mirror.requests()[0].contains("authorization:"));
    assert!(!target.requests()[0].contains("authorization:"));
}

#[tokio::test]
async fn redirects_from_the_internet_to_a_private_address_are_refused() {
    let target = FakeMirror::start(file(), Behaviour::Good).await;
    for host in ["lan", "127.0.0.2", "[::1]", "0x7f.0.0.2"] {
        let mirror = FakeMirror::start(file(), redirect_to(target.url_at(host).as_str())).await;
        let refused = mirrors().get(&mirror.url_at("mirror.example"), 0).await;
        assert!(matches!(refused, Err(MirrorFault::Redirect("to a private address"))), "{host}: {refused:?}");
        // By way of a second host of the Internet too.
        let first = FakeMirror::start(file(), redirect_to(mirror.url_at("other.example").as_str())).await;
        let refused = mirrors().get(&first.url_at("mirror.example"), 0).await;
        assert!(matches!(refused, Err(MirrorFault::Redirect("to a private address"))), "{host}: {refused:?}");
    }
    assert_eq!(target.requests().len(), 0);
}

#[tokio::test]
async fn a_private_mirror_may_redirect_to_a_private_address() {
    let target = FakeMirror::start(file(), Behaviour::Good).await;
    let mirror = FakeMirror::start(file(), redirect_to(target.url_at("lan").as_str())).await;
    assert!(mirrors().get(&mirror.url_at("lan"), 0).await.is_ok());
}

#[tokio::test]
async fn endless_and_odd_redirects_are_refused() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    mirror.becomes(redirect_to(mirror.url().as_str()));
    let endless = mirrors().get(&mirror.url(), 0).await;
    assert!(matches!(endless, Err(MirrorFault::Redirect("too often"))), "{endless:?}");
    assert_eq!(mirror.requests().len(), 11);
    for (target, expected) in [("ftp://m/a", "to another protocol"), ("file:///etc/passwd", "to another protocol")] {
        mirror.becomes(redirect_to(target));
        let odd = mirrors().get(&mirror.url(), 0).await;
        assert!(matches!(odd, Err(MirrorFault::Redirect(reason)) if reason == expected), "{target}: {odd:?}");
    }
}

#[tokio::test]
async fn last_good_addresses_serve_while_the_name_servers_are_away() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let network = Arc::new(FakeNetwork::default());
    let mirrors = Mirrors::with_lookup(MirrorOptions::default(), network.clone()).expect("an HTTP client");
    drop(mirrors.get(&mirror.url_at("mirror.example"), 0).await.expect("an answer"));
    network.is_down.store(true, Ordering::Relaxed);
    assert!(mirrors.get(&mirror.url_at("mirror.example"), 0).await.is_ok());
    let unknown = mirrors.get(&mirror.url_at("other.example"), 0).await;
    assert!(matches!(unknown, Err(MirrorFault::Network(_))), "{unknown:?}");
}

#[tokio::test]
async fn one_mirror_gets_no_more_connections_than_allowed() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let mirrors = mirrors_with(MirrorOptions { connections: 2, ..MirrorOptions::default() });
    let url = mirror.url();
    let first = mirrors.get(&url, 0).await.expect("an answer");
    let _second = mirrors.get(&url, 0).await.expect("an answer");
    let mut third = Box::pin(mirrors.get(&url, 0));
    let waiting = futures_util::poll!(&mut third);
    assert!(waiting.is_pending() && mirror.requests().len() == 2);
    drop(first);
    assert!(third.await.is_ok());
}

#[tokio::test]
async fn a_request_waits_for_a_connection_no_longer_than_allowed() {
    let mirror = FakeMirror::start(file(), Behaviour::Good).await;
    let queue_timeout = Duration::from_millis(20);
    let mirrors = mirrors_with(MirrorOptions { connections: 2, queue_timeout, ..MirrorOptions::default() });
    let url = mirror.url();
    let _part = mirrors.part(&url, 0..9, 100_000).await.expect("an answer");
    let crowded = mirrors.part(&url, 0..9, 100_000).await;
    assert!(matches!(crowded, Err(MirrorFault::Crowded)), "{crowded:?}");
    assert!(mirrors.has_room(&url), "parts leave one connection free");
    let whole = mirrors.get(&url, 0).await.expect("an answer");
    let crowded = mirrors.range(&url, 0..9, 100_000).await;
    assert!(matches!(crowded, Err(MirrorFault::Crowded)), "{crowded:?}");
    assert!(!mirrors.has_room(&url));
    drop(whole);
    assert!(mirrors.range(&url, 0..9, 100_000).await.is_ok());
    assert_eq!(mirror.requests().len(), 3);
}

#[test]
fn all_mirrors_together_keep_to_the_rate() {
    let throttle = Throttle::new(NonZeroU64::new(100_000));
    let now = Instant::now();
    assert_eq!(throttle.pay(now), None);
    throttle.count(500_000);
    assert!(throttle.pay(now).is_some());
    assert!(throttle.pay(now + Duration::from_secs(1)).is_some());
    let mut later = now + Duration::from_secs(1);
    while let Some(wait) = throttle.pay(later) {
        later += wait;
    }
    let elapsed = later - now;
    assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&elapsed), "{elapsed:?}");
}
