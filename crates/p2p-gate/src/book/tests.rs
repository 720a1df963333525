use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::claim::Claim;
use crate::meter::{Meter, Odometer};

fn hash() -> InfoHash {
    InfoHash::of(b"a package in the catalog")
}

fn book(limits: Limits) -> Book {
    Book::new(PeerId::ours([0; 12]), Scope::Public, limits, CancellationToken::new())
}

/// An address of one network that we are not on.
fn abroad(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

fn caller(address: IpAddr) -> Connection {
    let meter = Arc::new(Meter::new(Arc::new(Odometer::default()), true));
    Connection {
        info_hash: hash(),
        address: SocketAddr::new(address, 50_000),
        network: Network::of(address, |_| false),
        direction: Direction::Incoming,
        speaker: Speaker::Here,
        transport: Transport::Tcp,
        meter,
        peer_id: PeerId::ours([1; 12]),
        alias: None,
        hang_up: CancellationToken::new(),
    }
}

#[test]
fn an_ipv6_network_gets_the_places_of_one_address_and_a_configured_peer_in_it_its_own() {
    let now = Instant::now();
    let mut book = book(Limits { per_address: 2, ..Limits::default() });
    let friend = Dial { info_hash: hash(), address: SocketAddr::new(abroad(9), 6881), origin: Origin::Configured };
    book.handle_introduction(friend, now).expect("configured");
    let first = book.handle_open(caller(abroad(1)), now).expect("there is room");
    book.handle_open(caller(abroad(2)), now).expect("there is room");
    let full = Err(EntryFault::Crowd(CrowdFault::Address));
    assert_eq!(book.handle_open(caller(abroad(3)), now), full);
    book.handle_open(caller(abroad(9)), now).expect("it counts for itself");
    book.handle_closed(hash(), first);
    book.handle_open(caller(abroad(3)), now).expect("there is room again");
    assert_eq!(book.handle_open(caller(abroad(4)), now), full);
}

#[test]
fn before_the_handshake_too_an_ipv6_network_gets_the_places_of_one_address() {
    let mut book = book(Limits { half_open_per_address: 2, ..Limits::default() });
    let mut call = |last| book.handle_caller(abroad(last), Network::of(abroad(last), |_| false), Transport::Tcp).1;
    let (first, second, _third) = (call(1), call(2), call(3));
    assert!(first.is_cancelled() && !second.is_cancelled());
}

#[test]
fn a_stranger_who_was_cut_does_not_come_again_from_another_address_of_his_network() {
    let now = Instant::now();
    let mut book = book(Limits::default());
    let peer = caller(abroad(1));
    let (address, network, hang_up) = (peer.address, peer.network, peer.hang_up.clone());
    book.handle_open(peer, now).expect("there is room");
    book.cut(hash(), address, network, now + Duration::from_mins(1));
    assert!(hang_up.is_cancelled());
    assert_eq!(book.handle_open(caller(abroad(2)), now), Err(EntryFault::Barred));
}

#[test]
fn who_waits_for_his_turn_keeps_his_place_before_those_who_are_idle_by_choice() {
    let later = || Instant::now() + Duration::from_secs(40);
    let mut book = book(Limits { per_served_info_hash: 4, ..Limits::default() });
    let peers = [1, 2, 3].map(|last| caller([203, 0, 113, last].into()));
    let [first, second, third] = [0, 1, 2].map(|n: usize| peers[n].hang_up.clone());
    peers[0].meter.handle_claim(Claim::Waiting);
    peers[1].meter.handle_claim(Claim::Waiting);
    let served = Arc::clone(&peers[1].meter);
    for peer in peers {
        book.handle_open(peer, Instant::now()).expect("there is room");
    }
    book.handle_open(caller([203, 0, 113, 4].into()), later()).expect("somebody makes room");
    assert!(third.is_cancelled() && !first.is_cancelled() && !second.is_cancelled());
    served.handle_claim(Claim::Nothing);
    book.handle_open(caller([203, 0, 113, 5].into()), later()).expect("somebody makes room");
    book.handle_open(caller([203, 0, 113, 6].into()), later()).expect("somebody makes room");
    assert!(second.is_cancelled() && !first.is_cancelled());
}

#[test]
fn who_keeps_his_place_makes_no_room_and_without_a_claim_he_does() {
    let later = || Instant::now() + Duration::from_secs(40);
    let mut book = book(Limits { per_served_info_hash: 4, ..Limits::default() });
    let peers = [1, 2, 3].map(|last| caller([203, 0, 113, last].into()));
    let [first, second, third] = [0, 1, 2].map(|n: usize| peers[n].hang_up.clone());
    let kept = Arc::clone(&peers[0].meter);
    kept.handle_claim(Claim::Kept);
    peers[1].meter.handle_claim(Claim::Kept);
    peers[2].meter.handle_claim(Claim::Waiting);
    for peer in peers {
        book.handle_open(peer, Instant::now()).expect("there is room");
    }
    // The one that waits goes before those that keep their places, though they have been idle as long.
    book.handle_open(caller([203, 0, 113, 4].into()), later()).expect("somebody makes room");
    assert!(third.is_cancelled() && !first.is_cancelled() && !second.is_cancelled());
    kept.handle_claim(Claim::Nothing);
    book.handle_open(caller([203, 0, 113, 5].into()), later()).expect("somebody makes room");
    assert!(first.is_cancelled() && !second.is_cancelled());
}

#[test]
fn probes_keep_to_the_address_filter_and_are_dials_in_progress() {
    let mut book = book(Limits { dials: 2, ..Limits::default() });
    let address = |text: &str| text.parse().expect("an address");
    let filtered = |fault| Err(IntroduceFault::Address(fault));
    for nobody in ["203.0.113.7:0", "0.0.0.0:6881", "224.0.0.1:6881"] {
        assert_eq!(book.begin_probe(address(nobody)), filtered(AddressFault::Unusable));
    }
    assert_eq!(book.begin_probe(address("203.0.113.7:6881")), Ok(()));
    assert_eq!(book.begin_probe(address("192.168.1.2:6881")), Ok(()));
    assert_eq!(book.begin_probe(address("203.0.113.8:6881")), Err(IntroduceFault::Full));
    assert_eq!(book.counts(), (0, 2));
    let dial = Dial { info_hash: hash(), address: address("203.0.113.9:6881"), origin: Origin::Dht };
    book.handle_introduction(dial, Instant::now()).expect("a good address");
    assert!(book.next_dial(|_| Speaker::Here).is_none());
    book.handle_probe_end();
    assert!(book.next_dial(|_| Speaker::Here).is_some());

    let mut at_home = Book::new(PeerId::ours([0; 12]), Scope::Lan, Limits::default(), CancellationToken::new());
    assert_eq!(at_home.begin_probe(address("203.0.113.7:6881")), filtered(AddressFault::OutOfScope));
    assert_eq!(at_home.begin_probe(address("192.168.1.2:6881")), Ok(()));
}
