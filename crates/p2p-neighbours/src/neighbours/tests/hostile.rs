//! Neighbours that ask too much, and such as do not send.

use std::sync::Mutex;

use p2p_wire::{PackagesMessage, Refusal};

use super::*;
use crate::conversation::Event;

/// What somebody does who is asked for bytes.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Sends so many bytes as they are asked for, and then none.
    StopsAt(u64),
    /// Sends one byte every four seconds.
    Drips,
    /// Says each time that it is too much.
    Refuses,
}

/// A neighbour that answers each question as if it had everything.
async fn liar(victim: &Neighbours, manner: Manner) -> JoinHandle<()> {
    let (here, mut there) = duplex(64 * 1024);
    let handshake = Handshake::ours(club(), peer_id(9));
    let (asker, traffic) = (Asker::Local, Traffic::Unlimited);
    let (address, dialled_by_us) = (ip(asker, 9), false);
    drop(serve(victim, here, Caller { handshake, address, asker, dialled_by_us, traffic }));
    there.read_exact(&mut [0; Handshake::BYTES]).await.expect("a handshake");
    let role = Role::Introduced(Handshake::ours(club(), peer_id_of(victim)));
    let options = ConversationOptions { peer_id: peer_id(9), listen_port: 6881, your_ip: None };
    let conversation = Conversation::new(club(), role, options, Instant::now().into_std()).expect("a good role");
    let lying = tokio::spawn(lie(conversation, there, manner));
    until(|| victim.count() == 1).await;
    lying
}

async fn lie(mut conversation: Conversation, mut stream: DuplexStream, manner: Manner) {
    let (mut buffer, mut sent) = (vec![0; 16 * 1024], 0);
    let mut drops = tokio::time::interval(4 * SECOND);
    let mut wanted = None;
    loop {
        while let Some(bytes) = conversation.poll_transmit() {
            if tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.is_err() {
                return;
            }
        }
        wanted = wanted.or_else(|| conversation.wants_data());
        let now = Instant::now().into_std();
        if let (Manner::StopsAt(end), Some((number, _, range))) = (manner, wanted.clone())
            && sent < end
        {
            let length = (range.end - range.start).min(end - sent);
            sent += length;
            conversation.answer_data(number, file(length).into(), now);
            wanted = None;
            continue;
        }
        if let (Manner::Refuses, Some((number, _, _))) = (manner, wanted.clone()) {
            conversation.refuse(number, Refusal::TooMuch, now);
            wanted = None;
            continue;
        }
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(bytes) => conversation.handle_bytes(&buffer[..bytes], now).expect("an honest victim"),
            },
            _ = drops.tick() => if let (Manner::Drips, Some((number, _, _))) = (manner, wanted.take()) {
                conversation.answer_data(number, Bytes::from_static(b"x"), Instant::now().into_std());
            },
        }
        while let Some(event) = conversation.poll_event() {
            if let Event::Asked { number, ids, .. } = event {
                let answers = vec![Answer::Here(Holding::default()); ids.len()];
                conversation.answer_have(number, answers, Instant::now().into_std());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_sender_stops_ends_five_seconds_later_and_is_not_asked_for_further() {
    let victim = daemon(1, TestShelf::default());
    let _liar = liar(&victim, Manner::StopsAt(MAX_GET_BYTES + 100_000)).await;
    let start = Instant::now();
    let got = read(victim.get_file(victim.list()[0].id, what(Kind::Database), 8 * MAX_GET_BYTES)).await;
    assert_eq!(got.len() as u64, MAX_GET_BYTES + 100_000);
    assert!(start.elapsed() <= 6 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_sender_drips_ends_after_five_minutes() {
    let victim = daemon(1, TestShelf::default());
    let _liar = liar(&victim, Manner::Drips).await;
    let start = Instant::now();
    let got = read(victim.get_file(victim.list()[0].id, what(Kind::Database), 8 * MAX_GET_BYTES)).await;
    assert!((1..=76).contains(&got.len()), "{} bytes came", got.len());
    assert!(start.elapsed() <= Duration::from_secs(301), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_says_that_it_has_everything_and_never_sends_loses_its_place() {
    let victim = daemon(1, TestShelf::default());
    let _liar = liar(&victim, Manner::StopsAt(0)).await;
    let mut attempts = 0;
    while victim.count() == 1 {
        let from = victim.list()[0].id;
        let answers = victim.ask(&[id(1)], Wishes::default()).next().await.map(|reply| reply.answers);
        assert_eq!(answers, Some(vec![Answer::Here(Holding::default())]));
        assert_eq!(read(victim.get(from, what(Kind::Package), 0..10)).await, []);
        attempts += 1;
        until(|| attempts < 4 || victim.count() == 0).await;
    }
    assert_eq!(attempts, 4);
}

#[tokio::test(start_paused = true)]
async fn gets_and_questions_about_clubs_are_paid_from_the_quota() {
    let shelf = TestShelf { databases: vec![database()], ..TestShelf::with(id(1), 10) };
    let pair = Pair::meet(TestShelf::default(), shelf, Asker::Remote).await;
    let from = pair.left.list()[0].id;
    // 4,096 ids at once: 64 gets of 4 MiB, or 256 questions. The file ends sooner; what was asked for counts.
    for _ in 0..32 {
        assert_eq!(read(pair.left.get(from, what(Kind::Info), 0..MAX_GET_BYTES)).await.len(), 10);
    }
    for _ in 0..128 {
        assert!(pair.left.recent(club()).next().await.is_some());
    }
    assert!(pair.left.recent(club()).next().await.is_none());
    assert!(pair.left.ask(&[id(1)], Wishes::default()).next().await.is_none());
    let start = Instant::now();
    assert_eq!(read(pair.left.get(from, what(Kind::Info), 0..MAX_GET_BYTES)).await.len(), 10, "a get is asked again");
    assert!((SECOND / 8..SECOND).contains(&start.elapsed()), "once it is paid: {:?}", start.elapsed());
    tokio::time::advance(SECOND).await;
    assert!(pair.left.recent(club()).next().await.is_some(), "and who asks later is answered");
}

#[tokio::test(start_paused = true)]
async fn who_says_again_and_again_that_a_get_is_too_much_is_given_up_soon_and_stays() {
    let victim = daemon(1, TestShelf::default());
    let _liar = liar(&victim, Manner::Refuses).await;
    let from = victim.list()[0].id;
    for _ in 0..8 {
        let start = Instant::now();
        assert_eq!(read(victim.get(from, what(Kind::Package), 0..10)).await, []);
        assert!((SECOND..3 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
    assert_eq!(victim.count(), 1, "we may have asked too much");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_calls_from_one_neighbour_is_one_dial_and_the_end() {
    let victim = daemon(1, TestShelf::default());
    let (here, mut there) = duplex(1024 * 1024);
    let handshake = Handshake::ours(club(), peer_id(9));
    let (asker, traffic) = (Asker::Remote, Traffic::Limited);
    let caller = Caller { handshake, address: ip(asker, 9), asker, dialled_by_us: false, traffic };
    let end = serve(&victim, here, caller);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (calling, made) = (victim.clone(), Arc::clone(&calls));
    let dialler = tokio::spawn(async move {
        loop {
            let call = calling.next_call().await;
            made.lock().expect("no panic").push(call);
        }
    });
    let flood = |numbers: Range<u32>| {
        let payload = |n| PackagesMessage::Call { n, port: 1_000 }.encode();
        let call = |n| p2p_wire::Message::Extended { id: 1, payload: payload(n) }.encode();
        numbers.flat_map(|n| call(n).to_vec()).collect::<Vec<u8>>()
    };
    let bytes = [&places::hello()[..], &flood(0..8)].concat();
    tokio::io::AsyncWriteExt::write_all(&mut there, &bytes).await.expect("open");
    until(|| !calls.lock().expect("no panic").is_empty()).await;
    tokio::io::AsyncWriteExt::write_all(&mut there, &flood(8..108)).await.expect("open");
    assert!(matches!(end.await.expect("no panic"), End::Fault(crate::NeighbourFault::Flood)));
    assert_eq!(calls.lock().expect("no panic").len(), 1);
    dialler.abort();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_arrivals_that_nobody_asked_about_reaches_nobody() {
    let victim = daemon(1, TestShelf::default());
    let mut arrivals = victim.arrivals();
    let (here, mut there) = duplex(1024 * 1024);
    let handshake = Handshake::ours(club(), peer_id(9));
    let (asker, traffic) = (Asker::Local, Traffic::Unlimited);
    let caller = Caller { handshake, address: ip(asker, 9), asker, dialled_by_us: false, traffic };
    let end = serve(&victim, here, caller);
    let message =
        |message: PackagesMessage| p2p_wire::Message::Extended { id: 1, payload: message.encode() }.encode().to_vec();
    let flood = message(PackagesMessage::Arrived { ids: vec![id(1); 128] }).repeat(100);
    // The last is no message, so that the end of the flood is seen.
    let bytes = [&places::hello()[..], &flood, &message(PackagesMessage::Arrived { ids: Vec::new() })].concat();
    tokio::io::AsyncWriteExt::write_all(&mut there, &bytes).await.expect("open");
    assert!(matches!(end.await.expect("no panic"), End::Fault(crate::NeighbourFault::Packages(_))));
    assert!(matches!(arrivals.try_recv(), Err(broadcast::error::TryRecvError::Empty)));
}
