//! Who gets a place, and what those hear who do not.

use super::*;

/// A daemon with all its places taken by callers from outside, each from another network.
async fn full() -> (Neighbours, Vec<[JoinHandle<End>; 2]>) {
    let middle = daemon(100, TestShelf::default());
    let mut ends = Vec::new();
    for number in 1..=64 {
        let other = daemon(number, TestShelf::default());
        ends.push(connect(&other, &middle, (far(number), far(100)), (Asker::Remote, Traffic::Limited)).await);
        until(|| middle.count() == usize::from(number)).await;
    }
    (middle, ends)
}

/// One in each /16.
fn far(number: u8) -> SocketAddr {
    ([number + 10, 0, 0, 7], 6881).into()
}

#[tokio::test(start_paused = true)]
async fn a_full_daemon_names_others_once_before_it_hangs_up() {
    let (middle, _ends) = full().await;
    let newcomer = daemon(90, TestShelf::default());
    let [end, other_end] = connect(&newcomer, &middle, (far(90), far(100)), (Asker::Remote, Traffic::Limited)).await;
    assert!(matches!(other_end.await.expect("no panic"), End::Full));
    assert!(matches!(end.await.expect("no panic"), End::HungUp));
    assert_eq!((middle.count(), newcomer.count()), (64, 0));
    let mut told = BTreeSet::new();
    for _ in 0..8 {
        let dial = newcomer.next_dial().await;
        assert_eq!((dial.club, dial.origin), (club(), Origin::Neighbour));
        told.insert(dial.address);
    }
    assert!(told.len() == 8 && told.iter().all(|address| (1..=64).map(far).any(|one| one == *address)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_who_does_not_listen_is_hung_up_on_by_a_full_daemon_all_the_same() {
    let (middle, _ends) = full().await;
    let (mut here, there) = duplex(64 * 1024);
    let handshake = Handshake::ours(club(), peer_id(90));
    let (asker, traffic) = (Asker::Remote, Traffic::Limited);
    let caller = Caller { handshake, address: far(90), asker, dialled_by_us: false, traffic };
    let end = serve(&middle, there, caller);
    tokio::io::AsyncWriteExt::write_all(&mut here, &hello()).await.expect("open");
    let start = Instant::now();
    assert!(matches!(end.await.expect("no panic"), End::Full));
    assert!(start.elapsed() <= 3 * SECOND, "{:?}", start.elapsed());
}

/// An extended handshake that knows everything.
pub(super) fn hello() -> Bytes {
    let extensions = vec![(p2p_wire::P2P_PACKAGES.to_owned(), 1), (p2p_wire::UT_PEX.to_owned(), 2)];
    let hello = p2p_wire::ExtendedHandshake { extensions, ..p2p_wire::ExtendedHandshake::default() };
    p2p_wire::Message::Extended { id: 0, payload: hello.encode().into() }.encode()
}

#[tokio::test(start_paused = true)]
async fn a_place_is_told_of_when_it_is_taken_and_not_before() {
    let (left, entered) = (daemon(1, TestShelf::default()), Arc::new(AtomicUsize::new(0)));
    let (mut here, there) = duplex(64 * 1024);
    let handshake = Handshake::ours(club(), peer_id(2));
    let (asker, traffic) = (Asker::Remote, Traffic::Limited);
    let caller = Caller { handshake, address: far(2), asker, dialled_by_us: false, traffic };
    let (serving, told) = (left.clone(), Arc::clone(&entered));
    let end =
        tokio::spawn(
            async move { serving.serve(there, caller, move || _ = told.fetch_add(1, Ordering::SeqCst)).await },
        );
    here.read_exact(&mut [0; Handshake::BYTES]).await.expect("a handshake");
    assert_eq!(entered.load(Ordering::SeqCst), 0);
    tokio::io::AsyncWriteExt::write_all(&mut here, &hello()).await.expect("open");
    until(|| entered.load(Ordering::SeqCst) == 1).await;
    assert_eq!(left.count(), 1);
    drop(here);
    end.await.expect("no panic");
    assert_eq!(entered.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_or_on_another_network_who_had_failed_is_dialled_again_within_half_a_minute() {
    for wake_up in [Neighbours::resumed, Neighbours::network_changed] {
        let daemon = daemon(1, TestShelf::default());
        daemon.hear_of(far(2), Origin::Dht, Asker::Remote, Some(club()));
        for _ in 0..8 {
            assert_eq!(daemon.next_dial().await.address, far(2));
            daemon.dial_failed(far(2));
        }
        let soon = tokio::time::timeout(30 * SECOND, daemon.next_dial()).await;
        assert!(soon.is_err(), "it waits longer with each failure");
        wake_up(&daemon);
        let soon = tokio::time::timeout(30 * SECOND, daemon.next_dial()).await;
        assert_eq!(soon.expect("all is forgiven").address, far(2));
    }
}
