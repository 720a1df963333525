//! Calling a peer back to see whether it can be reached.

use std::time::Duration;

use p2p_gate::{Direction, Limits, Origin};
use p2p_wire::Handshake;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{GATE, House, LOOPBACK, hear, in_catalog, is_hung_up_on, peer_id, say, until, within};

#[tokio::test]
async fn a_probe_says_whether_the_expected_peer_answers_and_hangs_up() {
    let house = House::build().await;
    let remote = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = remote.local_addr().expect("bound");
    for (answers, is_expected) in [(1, true), (2, false)] {
        let probe = house.gate.probe(in_catalog(), address, peer_id(1));
        let peer = async {
            let (mut peer, _) = remote.accept().await.expect("the gate dials");
            let ours = hear(&mut peer).await;
            assert_eq!(ours, Handshake::ours(in_catalog(), ours.peer_id));
            assert_ne!(ours.peer_id, peer_id(GATE), "under our name it would be a second connection with us");
            say(&mut peer, in_catalog(), answers).await;
            assert!(is_hung_up_on(&mut peer).await);
        };
        let (reached, ()) = within(async { tokio::join!(probe, peer) }).await;
        assert_eq!(reached, is_expected);
    }
    drop(remote);
    assert!(!within(house.gate.probe(in_catalog(), address, peer_id(1))).await, "nobody listens");
    assert_eq!(house.gate.totals().half_open, 0);
}

#[tokio::test]
async fn a_connection_with_the_probed_gate_stays_whoever_dialled_it() {
    for number in [1, 2] {
        let house = House::build_with(number, Limits::default()).await;
        let other = House::build_with(3 - number, Limits::default()).await;
        house.gate.introduce(in_catalog(), other.gate.local_addr(), Origin::Configured).expect("configured");
        let are_neighbours = || [&house, &other].iter().all(|house| house.gate.peers(in_catalog()).len() == 1);
        until(are_neighbours).await;
        let before = other.gate.peers(in_catalog())[0].address;
        let [here, there] = [house.gate.local_addr(), other.gate.local_addr()];
        assert!(within(house.gate.probe(in_catalog(), there, peer_id(3 - number))).await);
        assert!(within(other.gate.probe(in_catalog(), here, peer_id(number))).await);
        until(are_neighbours).await;
        let after = other.gate.peers(in_catalog());
        assert_eq!((after[0].address, after[0].direction), (before, Direction::Incoming));
    }
}

#[tokio::test(start_paused = true)]
async fn who_accepts_and_says_nothing_is_not_reached_within_five_seconds() {
    let house = House::build().await;
    let silent = TcpListener::bind(LOOPBACK).await.expect("a port");
    let (start, address) = (Instant::now(), silent.local_addr().expect("bound"));
    assert!(!house.gate.probe(in_catalog(), address, peer_id(1)).await);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(house.gate.totals().half_open, 0);
}

#[tokio::test]
async fn a_probe_is_one_of_the_dials_in_progress() {
    let house = House::build_with(GATE, Limits { dials: 1, ..Limits::default() }).await;
    let silent = TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = silent.local_addr().expect("bound");
    let probe = tokio::spawn(house.gate.probe(in_catalog(), address, peer_id(1)));
    let (mut peer, _) = within(silent.accept()).await.expect("the gate dials");
    assert_eq!(house.gate.totals().half_open, 1);
    assert!(!within(house.gate.probe(in_catalog(), address, peer_id(1))).await, "one too many");
    let other = TcpListener::bind(LOOPBACK).await.expect("a port");
    let introduced = other.local_addr().expect("bound");
    house.gate.introduce(in_catalog(), introduced, Origin::Configured).expect("configured");
    say(&mut peer, in_catalog(), 1).await;
    assert!(within(probe).await.expect("no panic"));
    within(other.accept()).await.expect("the dial that waited is made");
}
