//! Being dialled back.

use super::*;

/// A daemon with so many neighbours, each at another address.
async fn surrounded(number: u8, asker: Asker) -> (Neighbours, Vec<Neighbours>, Vec<[JoinHandle<End>; 2]>) {
    let middle = daemon(100, TestShelf::default());
    let (mut others, mut ends) = (Vec::new(), Vec::new());
    for number in 1..=number {
        let other = daemon(number, TestShelf::default());
        ends.push(connect(&other, &middle, (ip(asker, number), ip(asker, 100)), (asker, Traffic::Limited)).await);
        until(|| other.count() == 1 && middle.count() == usize::from(number)).await;
        others.push(other);
    }
    (middle, others, ends)
}

fn ask(of: &Neighbours, port: u16) -> JoinHandle<Option<bool>> {
    let asking = of.clone();
    tokio::spawn(async move { asking.call_me(asking.list()[0].id, port).await })
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_is_called_where_it_is_and_hears_what_came_of_it() {
    for asker in [Asker::Local, Asker::Remote] {
        for reached in [true, false] {
            let (middle, others, _ends) = surrounded(1, asker).await;
            let asked = ask(&others[0], 7_000);
            let call = middle.next_call().await;
            let expected = SocketAddr::new(ip(asker, 1).ip(), 7_000);
            assert_eq!((call.address, call.club, call.peer_id), (expected, club(), peer_id(1)));
            assert_eq!(call.is_local, asker == Asker::Local);
            call.answer(reached);
            assert_eq!(asked.await.expect("no panic"), Some(reached));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_called_once_a_minute() {
    let (middle, others, _ends) = surrounded(1, Asker::Remote).await;
    for _ in 0..3 {
        let asked = ask(&others[0], 7_000);
        middle.next_call().await.answer(true);
        assert_eq!(asked.await.expect("no panic"), Some(true));
        // Another port is no other address.
        for port in 1..200 {
            assert_eq!(ask(&others[0], port).await.expect("no panic"), None);
        }
        tokio::time::advance(Duration::from_mins(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn four_are_called_at_a_time_and_a_dropped_call_frees_its_place() {
    let (middle, others, _ends) = surrounded(6, Asker::Remote).await;
    let asked: Vec<_> = others[..4].iter().map(|other| ask(other, 7_000)).collect();
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(middle.next_call().await);
    }
    assert_eq!(ask(&others[4], 7_000).await.expect("no panic"), None, "one too many");
    drop(calls);
    for asked in asked {
        assert_eq!(asked.await.expect("no panic"), None, "nobody tried");
    }
    let asked = ask(&others[5], 7_000);
    middle.next_call().await.answer(true);
    assert_eq!(asked.await.expect("no panic"), Some(true));
    // Who was too many has not had its turn.
    let asked = ask(&others[4], 7_000);
    middle.next_call().await.answer(true);
    assert_eq!(asked.await.expect("no panic"), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_does_not_have_us_dial_an_address_of_our_own_networks() {
    let (middle, other) = (daemon(1, TestShelf::default()), daemon(2, TestShelf::default()));
    let odd = (ip(Asker::Local, 2), ip(Asker::Remote, 1));
    let _ends = connect(&other, &middle, odd, (Asker::Remote, Traffic::Limited)).await;
    until(|| other.count() == 1).await;
    assert_eq!(ask(&other, 7_000).await.expect("no panic"), None);
    assert_eq!(ask(&other, 0).await.expect("no panic"), None);
}
