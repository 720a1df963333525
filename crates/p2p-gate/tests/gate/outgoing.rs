//! Peers that were introduced.

use std::time::Duration;

use p2p_gate::{AddressFault, Direction, IntroduceFault, Limits, Origin, Transport};
use p2p_wire::Handshake;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{
    GATE, House, LOOPBACK, check_bytes, hear, hear_nothing, in_catalog, in_progress, is_hung_up_on, noise, peer_id,
    say, unknown, until, within,
};

#[tokio::test]
async fn an_introduced_peer_is_presented_to_the_engine_as_a_caller() {
    let house = House::build().await;
    let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = remote.local_addr().expect("bound");
    house.gate.introduce(in_progress(), address, Origin::Configured).expect("configured");
    assert_eq!(house.gate.introduce(in_progress(), address, Origin::Configured), Err(IntroduceFault::Known));

    let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
    let ours = hear(&mut peer).await;
    // What librqbit itself would say: the extension protocol and nothing else.
    assert_eq!(ours, Handshake::ours(in_progress(), peer_id(GATE)).without_fast());
    assert_eq!(ours.reserved, [0, 0, 0, 0, 0, 0x10, 0, 0]);
    say(&mut peer, in_progress(), 1).await;

    let (mut link, theirs) = house.engine.accept().await;
    assert_eq!(theirs, Handshake::ours(in_progress(), peer_id(1)));
    say(&mut link, in_progress(), GATE).await;
    hear_nothing(&mut link).await;
    check_bytes(&mut link, &mut peer, &noise(500_000, 4)).await;
    check_bytes(&mut peer, &mut link, &noise(500_000, 5)).await;

    assert_eq!(house.gate.introduce(in_progress(), address, Origin::Configured), Err(IntroduceFault::Known));
    let traffic = house.gate.peers(in_progress());
    assert_eq!((traffic[0].address, traffic[0].direction), (address, Direction::Outgoing));
    assert_eq!((traffic[0].downloaded, traffic[0].uploaded), (500_068, 500_068));
}

#[tokio::test]
async fn two_gates_speak_with_each_other() {
    let (house, other) = (House::build().await, House::build_with(1, Limits::default()).await);
    house.gate.introduce(in_catalog(), other.gate.local_addr(), Origin::Configured).expect("configured");
    // Both echo, so nobody speaks first; what counts is who sees whom.
    until(|| other.gate.peers(in_catalog()).len() == 1 && house.gate.peers(in_catalog()).len() == 1).await;
    until(|| house.doorman.seen.lock().expect("no panic").len() == 1).await;
    let seen = house.doorman.seen.lock().expect("no panic")[0];
    assert_eq!(seen, (other.gate.local_addr(), Direction::Outgoing));
    assert_eq!(house.gate.peers(in_catalog())[0].transport, Transport::Tcp);
    assert_eq!(house.gate.totals().half_open, 0);
}

#[tokio::test]
async fn two_gates_that_call_each_other_keep_one_connection() {
    let (house, other) = (House::build().await, House::build_with(1, Limits::default()).await);
    let (here, there) = (house.gate.local_addr(), other.gate.local_addr());
    house.gate.introduce(in_catalog(), there, Origin::Configured).expect("configured");
    other.gate.introduce(in_catalog(), here, Origin::Configured).expect("configured");
    let is_one = |gate: &p2p_gate::Gate, direction| {
        let traffic = gate.peers(in_catalog());
        traffic.len() == 1 && traffic[0].direction == direction && gate.totals().half_open == 0
    };
    // The larger peer id's.
    until(|| is_one(&house.gate, Direction::Incoming) && is_one(&other.gate, Direction::Outgoing)).await;
    for (gate, address) in [(&house.gate, there), (&other.gate, here)] {
        let again = gate.introduce(in_catalog(), address, Origin::Configured);
        assert!(matches!(again, Err(IntroduceFault::Known | IntroduceFault::TooSoon)), "{again:?}");
    }
}

#[tokio::test]
async fn the_gate_does_not_keep_a_connection_with_itself() {
    let house = House::build().await;
    let itself = house.gate.local_addr();
    house.gate.introduce(in_catalog(), itself, Origin::Configured).expect("configured");
    until(|| house.gate.introduce(in_catalog(), itself, Origin::Configured) == Err(IntroduceFault::TooSoon)).await;
    assert!(house.doorman.seen.lock().expect("no panic").is_empty());
    assert_eq!(house.gate.totals().connections, 0);
}

#[tokio::test]
async fn a_peer_that_answers_for_another_info_hash_is_hung_up_on_and_left_alone() {
    let house = House::build().await;
    let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = remote.local_addr().expect("bound");
    house.gate.introduce(in_catalog(), address, Origin::Configured).expect("configured");
    let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
    hear(&mut peer).await;
    say(&mut peer, in_progress(), 1).await;
    assert!(is_hung_up_on(&mut peer).await);
    until(|| house.gate.introduce(in_catalog(), address, Origin::Configured) == Err(IntroduceFault::TooSoon)).await;
}

#[tokio::test]
async fn strangers_and_nobodys_info_hashes_make_nobody_dial() {
    let house = House::build().await;
    let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = remote.local_addr().expect("bound");
    for origin in [Origin::Lan, Origin::Dht, Origin::Tracker, Origin::Pex] {
        let outcome = house.gate.introduce(in_progress(), address, origin);
        assert_eq!(outcome, Err(IntroduceFault::Address(AddressFault::Local)));
    }
    house.gate.introduce(unknown(), address, Origin::Configured).expect("configured");
    house.gate.introduce(in_catalog(), address, Origin::Configured).expect("configured");
    let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
    assert_eq!(hear(&mut peer).await.info_hash, in_catalog());
}

#[tokio::test]
async fn only_so_many_dials_are_in_progress_and_the_others_wait() {
    let limits = Limits { dials: 2, handshake_timeout: Duration::from_secs(10), ..Limits::default() };
    let house = House::build_with(GATE, limits).await;
    let mut remotes = Vec::new();
    for _ in 0..3 {
        let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
        let address = remote.local_addr().expect("bound");
        house.gate.introduce(in_catalog(), address, Origin::Configured).expect("configured");
        remotes.push(remote);
    }
    // Whoever was introduced last goes to the head of the line, so any two of the three may have been called.
    until(|| house.gate.totals().half_open == 2).await;
    assert_eq!(house.gate.totals().half_open, 2);
    let mut silent = Vec::new();
    for _ in 0..3 {
        let (mut peer, index) = within(accept_any(&remotes)).await;
        hear(&mut peer).await;
        remotes.remove(index);
        say(&mut peer, in_catalog(), 1).await;
        peer.flush().await.expect("connected");
        silent.push(peer);
    }
    until(|| house.gate.totals().connections == 3).await;
}

async fn accept_any(remotes: &[TcpListener]) -> (tokio::net::TcpStream, usize) {
    std::future::poll_fn(|context| {
        for (index, remote) in remotes.iter().enumerate() {
            if let std::task::Poll::Ready(Ok((peer, _))) = remote.poll_accept(context) {
                return std::task::Poll::Ready((peer, index));
            }
        }
        std::task::Poll::Pending
    })
    .await
}
