//! Callers.

use std::time::{Duration, Instant};

use p2p_gate::{Direction, GateOptions, Limits, Scope, Secret, Transport};
use p2p_wire::{Handshake, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    GATE, House, check_bytes, hear, hear_nothing, in_catalog, in_progress, is_hung_up_on, noise, peer_id, say, sought,
    unknown, until, within,
};

#[tokio::test]
async fn a_caller_for_a_package_in_progress_is_spliced_with_the_engine_byte_for_byte() {
    let house = House::build().await;
    let mut peer = house.call_for(in_progress()).await;
    let (mut link, theirs) = house.engine.accept().await;
    assert_eq!(theirs, Handshake::ours(in_progress(), peer_id(1)));
    say(&mut link, in_progress(), GATE).await;
    assert_eq!(hear(&mut peer).await, Handshake::ours(in_progress(), peer_id(GATE)));
    hear_nothing(&mut link).await;
    check_bytes(&mut peer, &mut link, &noise(1_000_000, 1)).await;
    check_bytes(&mut link, &mut peer, &noise(2_000_000, 2)).await;

    let traffic = house.gate.peers(in_progress());
    assert_eq!(traffic.len(), 1);
    let address = peer.local_addr().expect("connected");
    assert_eq!((traffic[0].address, traffic[0].direction), (address, Direction::Incoming));
    assert_eq!((traffic[0].downloaded, traffic[0].uploaded), (1_000_068, 2_000_068));
    assert_eq!(traffic[0].transport, Transport::Tcp);
    assert!(traffic[0].last_received >= traffic[0].since);

    drop(link);
    assert!(is_hung_up_on(&mut peer).await);
    drop(peer);
    until(|| house.gate.totals().connections == 0).await;
    let totals = house.gate.totals();
    assert_eq!((totals.downloaded, totals.uploaded, totals.half_open), (1_000_068, 2_000_068, 0));
}

#[tokio::test]
async fn the_doorman_hears_that_a_peer_has_got_a_piece_after_the_engine_has() {
    let house = House::build().await;
    let mut haves = house.doorman.haves.subscribe();
    let mut peer = house.call_for(in_progress()).await;
    let (mut link, _) = house.engine.accept().await;
    say(&mut link, in_progress(), GATE).await;
    hear_nothing(&mut link).await;
    let [unchoke, have] = [Message::Unchoke, Message::Have(7)].map(|message| message.encode());
    peer.write_all(&unchoke).await.expect("spliced");
    let mut heard = [0; 5 + 9];
    within(link.read_exact(&mut heard[..5])).await.expect("spliced");
    assert!(!haves.has_changed().expect("the doorman is there"));
    peer.write_all(&have).await.expect("spliced");
    within(haves.wait_for(|of| *of == Some(in_progress()))).await.expect("the doorman is there");
    within(link.read_exact(&mut heard[5..])).await.expect("spliced");
    assert_eq!(heard[5..], have[..]);
}

#[tokio::test]
async fn a_caller_for_a_package_in_the_catalog_is_served_here() {
    let house = House::build().await;
    let mut peer = house.call_for(in_catalog()).await;
    assert_eq!(hear(&mut peer).await.peer_id, peer_id(GATE));
    let bytes = noise(100_000, 3);
    let (mut reader, mut writer) = peer.split();
    check_bytes(&mut writer, &mut reader, &bytes).await;
    assert_eq!(house.gate.peers(in_catalog())[0].uploaded, 100_068);
    assert_eq!(house.doorman.seen.lock().expect("no panic")[0].1, Direction::Incoming);
}

#[tokio::test]
async fn a_caller_who_comes_too_early_waits_until_somebody_speaks() {
    let house = House::build().await;
    let mut peer = house.call_for(sought()).await;
    until(|| house.gate.totals().connections == 1).await;
    house.doorman.speaks.send_replace(true);
    let (mut link, _) = house.engine.accept().await;
    say(&mut link, sought(), GATE).await;
    assert_eq!(hear(&mut peer).await, Handshake::ours(sought(), peer_id(GATE)));
    hear_nothing(&mut link).await;
    check_bytes(&mut peer, &mut link, &noise(100_000, 1)).await;
}

#[tokio::test]
async fn a_caller_for_an_unknown_info_hash_is_hung_up_on_without_an_answer() {
    let house = House::build().await;
    let mut peer = house.call_for(unknown()).await;
    assert!(is_hung_up_on(&mut peer).await);
    assert_eq!(house.gate.totals().downloaded, 0);
}

#[tokio::test]
async fn encrypted_and_foreign_callers_are_hung_up_on_at_their_first_byte() {
    let house = House::build().await;
    for first in [b"\xa7\x33\x10 Diffie and Hellman".as_slice(), b"GET / HTTP/1.1\r\n", b"\x13BitTorrent protocoL"] {
        let start = Instant::now();
        let mut peer = house.call().await;
        peer.write_all(first).await.expect("connected");
        assert!(is_hung_up_on(&mut peer).await);
        assert!(start.elapsed() < Duration::from_secs(4), "long before the time limit");
    }
}

#[tokio::test]
async fn a_caller_who_wants_encryption_sees_an_end_at_once_and_no_reset() {
    let house = House::build().await;
    for length in [96, 608] {
        let start = Instant::now();
        let mut peer = house.call().await;
        let greeting: Vec<u8> = noise(length, 5).into_iter().map(|byte| byte | 0x80).collect();
        peer.write_all(&greeting).await.expect("connected");
        assert_eq!(within(peer.read(&mut [0])).await.expect("no reset"), 0);
        assert!(start.elapsed() < Duration::from_secs(4), "long before the time limit");
        drop(peer);
    }
    until(|| house.gate.totals().half_open == 0).await;
    let mut again = house.call_for(in_catalog()).await;
    hear(&mut again).await;
}

#[tokio::test]
async fn who_calls_himself_is_hung_up_on() {
    let house = House::build().await;
    let mut peer = house.call().await;
    say(&mut peer, in_catalog(), GATE).await;
    assert!(is_hung_up_on(&mut peer).await);
    assert!(house.doorman.seen.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_caller_who_says_nothing_is_hung_up_on_in_time() {
    let limits = Limits { handshake_timeout: Duration::from_millis(100), ..Limits::default() };
    let house = House::build_with(GATE, limits).await;
    let mut peer = house.call().await;
    until(|| house.gate.totals().half_open == 1).await;
    assert!(is_hung_up_on(&mut peer).await);
    until(|| house.gate.totals().half_open == 0).await;
}

#[tokio::test]
async fn a_thousand_silent_callers_do_not_keep_an_honest_one_out() {
    let house = House::build().await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(house.call().await);
    }
    let start = Instant::now();
    let mut honest = house.call_for(in_catalog()).await;
    hear(&mut honest).await;
    assert!(start.elapsed() < Duration::from_secs(2), "not after the silent ones' time is over");
    until(|| house.gate.totals().half_open <= Limits::default().half_open).await;
}

#[tokio::test]
async fn one_port_hears_both_families() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // No IPv6 here: the fallback is what there is to see.
        assert!(dual_stack().await.gate.local_addr().is_ipv4());
        return;
    }
    let house = dual_stack().await;
    let port = house.gate.local_addr().port();
    for host in ["127.0.0.1", "::1"] {
        let mut peer = within(TcpStream::connect((host, port))).await.expect("the gate listens");
        say(&mut peer, in_catalog(), 1).await;
        hear(&mut peer).await;
        let seen = house.doorman.seen.lock().expect("no panic").last().copied();
        assert_eq!(seen.map(|(address, _)| address), peer.local_addr().ok());
    }
}

#[tokio::test]
async fn after_a_shutdown_the_port_is_free_and_everybody_hung_up_on() {
    let house = House::build().await;
    let address = house.gate.local_addr();
    let mut peer = house.call_for(in_catalog()).await;
    hear(&mut peer).await;
    let silent = house.call().await;
    within(house.gate.shutdown()).await;
    assert!(is_hung_up_on(&mut peer).await);
    drop(silent);
    std::net::TcpListener::bind(address).expect("nobody listens there any more");
}

async fn dual_stack() -> House {
    House::build_as(GateOptions {
        listen: "[::]:0".parse().expect("an address"),
        peer_id: peer_id(GATE),
        scope: Scope::Lan,
        limits: Limits::default(),
        upload: None,
        download: None,
        proxy_secret: Secret::new("secret".into()).expect("plain"),
    })
    .await
}
