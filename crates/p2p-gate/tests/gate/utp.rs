//! uTP, in both directions.

use librqbit_utp::UtpSocketUdp;
use p2p_gate::{Direction, Origin, Transport};

use crate::support::{
    GATE, House, LOOPBACK, check_bytes, hear, hear_nothing, in_catalog, in_progress, is_hung_up_on, noise, peer_id,
    say, until, within,
};

#[tokio::test]
async fn a_caller_over_utp_is_spliced_with_the_engine() {
    let house = House::build().await;
    assert!(house.gate.has_utp());
    let endpoint = UtpSocketUdp::new_udp(LOOPBACK).await.expect("a port");
    let mut peer = within(endpoint.connect(house.gate.local_addr())).await.expect("the same port number as TCP");
    say(&mut peer, in_progress(), 1).await;
    let (mut link, theirs) = house.engine.accept().await;
    assert_eq!(theirs.peer_id, peer_id(1));
    hear_nothing(&mut link).await;
    check_bytes(&mut peer, &mut link, &noise(1_000_000, 8)).await;
    check_bytes(&mut link, &mut peer, &noise(1_000_000, 9)).await;
    let traffic = house.gate.peers(in_progress());
    assert_eq!((traffic[0].transport, traffic[0].direction), (Transport::Utp, Direction::Incoming));
    assert_eq!((traffic[0].downloaded, traffic[0].uploaded), (1_000_068, 1_000_000));
    drop(link);
    assert!(is_hung_up_on(&mut peer).await);
    until(|| house.gate.totals().connections == 0).await;
}

#[tokio::test]
async fn a_peer_that_tcp_does_not_reach_is_dialled_over_utp() {
    let house = House::build().await;
    let endpoint = UtpSocketUdp::new_udp(LOOPBACK).await.expect("a port");
    house.gate.introduce(in_catalog(), endpoint.bind_addr(), Origin::Configured).expect("configured");
    let mut peer = within(endpoint.accept()).await.expect("the gate dials");
    assert_eq!(hear(&mut peer).await.peer_id, peer_id(GATE));
    say(&mut peer, in_catalog(), 1).await;
    let (mut reader, mut writer) = tokio::io::split(peer);
    check_bytes(&mut writer, &mut reader, &noise(1_000_000, 10)).await;
    let traffic = house.gate.peers(in_catalog());
    assert_eq!((traffic[0].transport, traffic[0].direction), (Transport::Utp, Direction::Outgoing));
    assert_eq!((traffic[0].downloaded, traffic[0].uploaded), (1_000_068, 1_000_068));
}

#[tokio::test]
async fn a_peer_that_breaks_tcp_off_is_dialled_over_utp() {
    let house = House::build().await;
    let endpoint = UtpSocketUdp::new_udp(LOOPBACK).await.expect("a port");
    let address = endpoint.bind_addr();
    // Somebody else may have this number for TCP; then he breaks it off, which is as good.
    let tcp = tokio::net::TcpListener::bind(address).await;
    house.gate.introduce(in_catalog(), address, Origin::Configured).expect("configured");
    if let Ok(tcp) = tcp {
        drop(within(tcp.accept()).await);
    }
    let mut peer = within(endpoint.accept()).await.expect("the gate dials again");
    assert_eq!(hear(&mut peer).await.peer_id, peer_id(GATE));
}
