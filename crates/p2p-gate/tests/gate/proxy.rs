//! What the engine dials by itself, with the very SOCKS client that librqbit has.

use p2p_gate::{Direction, Origin};
use p2p_wire::Handshake;
use tokio::net::{TcpListener, TcpStream};
use tokio_socks::tcp::Socks5Stream;

use crate::support::{
    GATE, House, LOOPBACK, check_bytes, hear, hear_nothing, in_catalog, in_progress, is_hung_up_on, noise, peer_id,
    say, until, within,
};

async fn dial(house: &House, target: std::net::SocketAddr) -> Socks5Stream<TcpStream> {
    let proxy = house.gate.proxy().address;
    within(Socks5Stream::connect_with_password(proxy, target, "engine", "secret")).await.expect("the proxy answers")
}

/// A peer at a loopback address that the engine may dial, because the user has configured it.
async fn configured_peer(house: &House) -> TcpListener {
    let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = remote.local_addr().expect("bound");
    house.gate.introduce(in_catalog(), address, Origin::Configured).expect("configured");
    let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
    hear(&mut peer).await;
    remote
}

#[tokio::test]
async fn the_engine_dials_through_the_gate() {
    let house = House::build().await;
    assert_eq!(house.gate.proxy().url(), format!("socks5://engine:secret@{}", house.gate.proxy().address));
    let remote = configured_peer(&house).await;
    let address = remote.local_addr().expect("bound");
    let mut engine = dial(&house, address).await;
    say(&mut *engine, in_progress(), GATE).await;
    let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
    assert_eq!(hear(&mut peer).await, Handshake::ours(in_progress(), peer_id(GATE)));
    say(&mut peer, in_progress(), 1).await;
    assert_eq!(hear(&mut *engine).await, Handshake::ours(in_progress(), peer_id(1)));
    hear_nothing(&mut engine).await;
    check_bytes(&mut *engine, &mut peer, &noise(300_000, 6)).await;
    check_bytes(&mut peer, &mut *engine, &noise(300_000, 7)).await;
    let traffic = house.gate.peers(in_progress());
    assert_eq!((traffic[0].address, traffic[0].direction), (address, Direction::Outgoing));

    let mut again = dial(&house, address).await;
    say(&mut *again, in_progress(), GATE).await;
    assert!(is_hung_up_on(&mut *again).await, "there is a connection with that peer already");
    drop(engine);
    assert!(is_hung_up_on(&mut peer).await);
}

#[tokio::test]
async fn the_engine_reaches_nothing_local_on_a_strangers_word() {
    let house = House::build().await;
    let service = TcpListener::bind(LOOPBACK).await.expect("a port");
    let mut engine = dial(&house, service.local_addr().expect("bound")).await;
    say(&mut *engine, in_progress(), GATE).await;
    assert!(is_hung_up_on(&mut *engine).await);
    until(|| house.gate.totals().half_open == 0).await;
    let called = std::future::poll_fn(|context| std::task::Poll::Ready(service.poll_accept(context).is_ready())).await;
    assert!(!called);
}

#[tokio::test]
async fn the_engine_dials_only_for_what_it_fetches() {
    let house = House::build().await;
    let remote = configured_peer(&house).await;
    let mut engine = dial(&house, remote.local_addr().expect("bound")).await;
    say(&mut *engine, in_catalog(), GATE).await;
    assert!(is_hung_up_on(&mut *engine).await);
}

#[tokio::test]
async fn without_the_password_there_is_no_proxy() {
    let house = House::build().await;
    let (proxy, target) = (house.gate.proxy().address, LOOPBACK);
    assert!(within(Socks5Stream::connect(proxy, target)).await.is_err());
    for (user, password) in [("engine", "secreT"), ("root", "secret")] {
        assert!(within(Socks5Stream::connect_with_password(proxy, target, user, password)).await.is_err());
    }
    let name = ("peer.example", 6_881);
    assert!(within(Socks5Stream::connect_with_password(proxy, name, "engine", "secret")).await.is_err());
}
