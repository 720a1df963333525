//! How many, how fast, and for how long.

use std::time::Duration;

use p2p_gate::{Direction, IntroduceFault, Limits, Origin, PeerTraffic};
use tokio::net::{TcpListener, TcpSocket};

use crate::support::{GATE, House, LOOPBACK, hear, in_catalog, in_progress, is_hung_up_on, say, until, within};

#[tokio::test]
async fn one_address_gets_so_many_connections_and_another_when_one_ends() {
    let limits = Limits { per_familiar_address: 2, ..Limits::default() };
    let house = House::build_with(GATE, limits).await;
    let mut first = house.call_for(in_catalog()).await;
    let mut second = house.call_for(in_catalog()).await;
    hear(&mut first).await;
    hear(&mut second).await;
    let mut third = house.call_for(in_catalog()).await;
    assert!(is_hung_up_on(&mut third).await);
    drop(first);
    until(|| house.gate.totals().connections == 1).await;
    let mut fourth = house.call_for(in_catalog()).await;
    hear(&mut fourth).await;
}

#[tokio::test]
async fn a_caller_from_elsewhere_takes_a_place_of_the_address_that_has_most() {
    let limits = Limits { connections: 4, ..Limits::default() };
    let house = House::build_with(GATE, limits).await;
    let mut crowd = Vec::new();
    for _ in 0..3 {
        let mut one = house.call_for(in_catalog()).await;
        hear(&mut one).await;
        crowd.push(one);
    }
    let mut one_more = house.call_for(in_catalog()).await;
    assert!(is_hung_up_on(&mut one_more).await, "three quarters are for callers, and its address has them all");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 99], 0).into()).expect("all of 127.0.0.0/8 is ours");
    let mut newcomer = within(socket.connect(house.gate.local_addr())).await.expect("the gate listens");
    say(&mut newcomer, in_catalog(), 2).await;
    hear(&mut newcomer).await;
    assert!(is_hung_up_on(&mut crowd[0]).await, "it has been idle longest");
    assert_eq!(house.gate.peers(in_catalog()).len(), 3);
}

#[tokio::test]
async fn peers_that_we_dialled_leave_a_quarter_to_callers_who_take_places_from_callers_alone() {
    let house = House::build_with(GATE, Limits { connections: 8, ..Limits::default() }).await;
    let mut dialled = Vec::new();
    for count in 1..=6 {
        let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
        house
            .gate
            .introduce(in_catalog(), remote.local_addr().expect("bound"), Origin::Configured)
            .expect("configured");
        let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
        hear(&mut peer).await;
        say(&mut peer, in_catalog(), 3).await;
        until(|| house.gate.totals().connections == count).await;
        dialled.push(peer);
    }
    let mut callers = Vec::new();
    for _ in 0..2 {
        let mut caller = house.call_for(in_catalog()).await;
        hear(&mut caller).await;
        callers.push(caller);
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 99], 0).into()).expect("all of 127.0.0.0/8 is ours");
    let mut newcomer = within(socket.connect(house.gate.local_addr())).await.expect("the gate listens");
    say(&mut newcomer, in_catalog(), 2).await;
    hear(&mut newcomer).await;
    assert!(is_hung_up_on(&mut callers[0]).await, "it has been idle longest");
    let outgoing = |peer: &&PeerTraffic| peer.direction == Direction::Outgoing;
    assert_eq!(house.gate.peers(in_catalog()).iter().filter(outgoing).count(), dialled.len());
}

#[tokio::test]
async fn a_peer_that_is_cut_is_hung_up_on_and_not_dialled_while_barred() {
    let house = House::build().await;
    let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = remote.local_addr().expect("bound");
    house.gate.introduce(in_catalog(), address, Origin::Configured).expect("configured");
    let (mut peer, _) = within(remote.accept()).await.expect("the gate dials");
    hear(&mut peer).await;
    say(&mut peer, in_catalog(), 1).await;
    until(|| house.gate.totals().connections == 1).await;
    let mut bystander = house.call_for(in_catalog()).await;
    hear(&mut bystander).await;

    house.gate.cut(in_catalog(), address, Duration::from_mins(1));
    assert!(is_hung_up_on(&mut peer).await);
    until(|| house.gate.totals().connections == 1).await;
    let again = house.gate.introduce(in_catalog(), address, Origin::Configured);
    assert_eq!(again, Err(IntroduceFault::TooSoon));
    house.gate.introduce(in_progress(), address, Origin::Configured).expect("another swarm is not concerned");
}

#[tokio::test]
async fn closing_an_info_hash_hangs_up_on_its_peers_and_on_no_others() {
    let house = House::build().await;
    let mut peer = house.call_for(in_progress()).await;
    let (mut link, _) = house.engine.accept().await;
    let mut other = house.call_for(in_catalog()).await;
    hear(&mut other).await;
    house.gate.close(in_progress());
    assert!(is_hung_up_on(&mut peer).await);
    assert!(is_hung_up_on(&mut link).await);
    until(|| house.gate.totals().connections == 1).await;
    assert_eq!((house.gate.peers(in_progress()).len(), house.gate.peers(in_catalog()).len()), (0, 1));
}

#[tokio::test]
async fn a_connection_on_which_nobody_speaks_ends() {
    let limits = Limits { idle_timeout: Duration::from_millis(100), ..Limits::default() };
    let house = House::build_with(GATE, limits).await;
    let mut peer = house.call_for(in_progress()).await;
    let (_link, _) = house.engine.accept().await;
    assert!(is_hung_up_on(&mut peer).await);
    until(|| house.gate.totals().connections == 0).await;
}
