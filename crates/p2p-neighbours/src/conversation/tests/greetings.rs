use p2p_wire::{Block, HandshakeError};

use super::*;

#[test]
fn a_caller_speaks_first_and_a_called_one_answers() {
    let mut caller = Stranger::new(Role::Caller);
    let ours = Handshake::ours(club(), our_id()).encode();
    assert_eq!(caller.ours.poll_transmit().as_deref(), Some(&ours[..]));
    let theirs = Handshake::ours(club(), their_id());
    for part in theirs.encode().chunks(30) {
        assert_eq!(caller.ours.poll_transmit(), None);
        caller.ours.handle_bytes(part, caller.now).expect("a handshake");
    }
    assert_eq!(caller.sent().len(), 1, "the extended handshake");

    let mut answerer = Stranger::new(Role::Answerer(theirs));
    assert_eq!(answerer.ours.poll_transmit().as_deref(), Some(&ours[..]));
    assert_eq!(answerer.sent().len(), 1);
    assert_eq!(Stranger::new(Role::Introduced(theirs)).sent().len(), 1);
}

#[test]
fn the_extended_handshake_says_what_a_neighbour_needs() {
    let sent = Stranger::introduced().sent();
    let [Message::Extended { id: 0, payload }] = &sent[..] else { panic!("{sent:?}") };
    let said = ExtendedHandshake::read(payload).expect("an extended handshake");
    let expected = ExtendedHandshake {
        extensions: vec![(P2P_PACKAGES.to_owned(), 1), (UT_PEX.to_owned(), 2)],
        port: Some(6881),
        version: Some(OUR_VERSION.to_owned()),
        your_ip: Some([192, 0, 2, 1].into()),
        ..ExtendedHandshake::default()
    };
    assert_eq!(said, expected);
}

#[test]
fn the_greetings_are_over_once() {
    let mut peer = Stranger::introduced();
    assert_eq!(peer.ours.ask(vec![id(1)], Wishes::default(), peer.now), Err(AskFault::NotReady));
    peer.greets(&[(P2P_PACKAGES, 3)]).expect("a neighbour");
    assert_eq!(peer.events(), [Event::Ready { port: Some(6881), version: None }]);
    peer.greets(&[(P2P_PACKAGES, 7)]).expect("a neighbour with another number");
    assert_eq!(peer.events(), []);
    peer.asks(&[1]);
    assert_eq!(peer.heard(), [have(0, &[1])], "under the new number");
}

#[test]
fn strangers_and_we_ourselves_are_turned_away() {
    let new = |theirs| Conversation::new(club(), Role::Answerer(theirs), options(our_id()), Instant::now()).err();
    let other = p2p_wire::club_id("extra", "x86_64");
    assert_eq!(new(Handshake::ours(other, their_id())), Some(NeighbourFault::OtherClub(other)));
    assert_eq!(new(Handshake::ours(club(), our_id())), Some(NeighbourFault::Ourselves));
    let plain = Handshake { reserved: [0; 8], info_hash: club(), peer_id: their_id() };
    assert_eq!(new(plain), Some(NeighbourFault::NoPackages));
    let mut peer = Stranger::new(Role::Caller);
    let fault = peer.ours.handle_bytes(b"GET / HTTP/1.1\r\n", peer.now);
    assert_eq!(fault, Err(NeighbourFault::Handshake(HandshakeError)));
}

#[test]
fn who_does_not_know_packages_or_no_longer_does_is_no_neighbour() {
    assert_eq!(Stranger::introduced().greets(&[(UT_PEX, 1)]), Err(NeighbourFault::NoPackages));
    let mut peer = Stranger::ready();
    assert_eq!(peer.greets(&[]), Err(NeighbourFault::NoPackages));
    assert_eq!(peer.ours.poll_timeout(), None);
    assert_eq!(peer.ours.ask(vec![id(1)], Wishes::default(), peer.now), Err(AskFault::NotReady));
}

#[test]
fn who_does_not_greet_within_ten_seconds_is_left() {
    for role in [Role::Caller, Role::Introduced(Handshake::ours(club(), their_id()))] {
        let mut peer = Stranger::new(role);
        let start = peer.now;
        assert_eq!(peer.waits(), Err(NeighbourFault::NoGreeting));
        assert_eq!((peer.now - start, peer.ours.poll_timeout()), (GREETING_TIMEOUT, None));
    }
}

#[test]
fn asking_before_greeting_is_a_fault() {
    assert_eq!(Stranger::introduced().tries(&have(1, &[1])), Err(NeighbourFault::Early));
}

#[test]
fn a_club_is_no_torrent() {
    let block = Block { piece: 0, offset: 0, length: 1 };
    for message in [
        Message::Have(1),
        Message::Request(block),
        Message::Piece { piece: 0, offset: 0, data: Bytes::from_static(b"x") },
        Message::Cancel(block),
        Message::Reject(block),
    ] {
        assert_eq!(Stranger::ready().tries_message(&message), Err(NeighbourFault::Pieces));
    }
    let mut peer = Stranger::ready();
    for message in [
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Bitfield(Bytes::from_static(&[0])),
        Message::HaveAll,
        Message::HaveNone,
        Message::Port(6881),
        Message::Extended { id: 99, payload: Bytes::new() },
    ] {
        assert_eq!(peer.tries_message(&message), Ok(()));
    }
    assert_eq!((peer.events(), peer.sent()), (vec![], vec![]));
}

#[test]
fn silence_is_broken_by_us_each_minute_and_not_borne_for_ever() {
    let mut peer = Stranger::ready();
    let start = peer.now;
    let mut alive = Vec::new();
    let fault = loop {
        match peer.waits() {
            Ok(()) => alive.extend(peer.sent()),
            Err(fault) => break fault,
        }
    };
    assert_eq!(alive, [Message::KeepAlive, Message::KeepAlive]);
    assert_eq!((fault, peer.now - start), (NeighbourFault::Silent, SILENCE_TIMEOUT));
}

#[test]
fn others_in_the_club_are_told_of_to_who_listens() {
    let mut peer = Stranger::introduced();
    let other = SocketAddr::from(([192, 0, 2, 7], 6881));
    peer.ours.tell_added(other);
    peer.greets(&[(P2P_PACKAGES, 7), (UT_PEX, 9)]).expect("a neighbour");
    peer.sent();
    peer.waits().expect("it is time to tell");
    let sent = peer.sent();
    let [Message::Extended { id: 9, payload }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(PexMessage::read(payload).expect("a PEX message").added, [other]);

    let mut deaf = Stranger::introduced();
    deaf.ours.tell_added(other);
    deaf.greets(&[(P2P_PACKAGES, 7)]).expect("a neighbour");
    deaf.sent();
    deaf.waits().expect("a keep-alive");
    assert_eq!(deaf.sent(), [Message::KeepAlive]);
}

#[test]
fn gossip_is_heard_twice_a_minute_at_most() {
    let mut peer = Stranger::ready();
    let other = SocketAddr::from(([192, 0, 2, 7], 6881));
    let gossip = PexMessage { added: vec![other], dropped: Vec::new() }.encode();
    let gossip = Message::Extended { id: OUR_PEX_ID, payload: gossip.into() };
    for _ in 0..1_000 {
        peer.tries_message(&gossip).expect("a bearable neighbour");
    }
    assert_eq!(peer.events(), [Event::Peers(vec![other])]);
    peer.now += PEX_GAP;
    peer.tries_message(&gossip).expect("a good neighbour");
    assert_eq!(peer.events().len(), 1);
}
