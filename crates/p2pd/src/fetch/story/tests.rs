use std::net::SocketAddr;

use p2p_api::{Failed, FailureCode, SourceKind, StoryEnd};

use super::*;
use crate::config::Policy;
use crate::fetch::shares::Share;
use crate::sharing::Reach;

const SIZE: u64 = 1_000_000;

fn opening(reach: Reach) -> Opening {
    let mirror = |name: &str, rests_for| Mirror { name: name.to_owned(), rests_for };
    Opening {
        size: Some(SIZE),
        pieces: 4,
        reach: Some(reach),
        policy: Policy::Balanced,
        neighbours: 2,
        mirrors: vec![mirror("one.example", None), mirror("two.example", Some(Duration::from_secs(40)))],
    }
}

fn neighbour() -> SocketAddr {
    ([192, 168, 1, 2], 6881).into()
}

/// Kind, name and bytes of each source, and why.
fn told(record: &Record) -> Vec<(SourceKind, String, u64, String)> {
    let sources = record.tell(0, Duration::ZERO).sources.into_iter();
    sources.map(|source| (source.kind, source.name, source.bytes, source.why)).collect()
}

fn why(record: &Record, kind: SourceKind, name: &str) -> (u64, String) {
    let source = told(record).into_iter().find(|(other, named, ..)| *other == kind && named == name);
    let (_, _, bytes, why) = source.unwrap_or_else(|| panic!("{kind:?} {name:?} in {:?}", told(record)));
    (bytes, why)
}

#[test]
fn a_mirror_that_sent_all_is_named_and_so_is_why_the_others_were_not_used() {
    let mut record = Record::new(opening(Reach::Public));
    record.handle(Happening::NeighboursAsked, Duration::ZERO);
    record.handle(Happening::MirrorAsked { mirror: 0, beside: false }, Duration::ZERO);
    record.handle(Happening::MetainfoSought, Duration::ZERO);
    record.handle(Happening::MirrorAnswers(0), Duration::from_millis(20));
    record.handle(Happening::MetainfoMissing, Duration::from_millis(30));
    record.handle_bytes(SIZE, 0);
    assert_eq!(why(&record, SourceKind::Mirror, "one.example"), (SIZE, "sent all of it".to_owned()));
    let rests = "is left alone for 40 s, since it failed lately".to_owned();
    assert_eq!(why(&record, SourceKind::Mirror, "two.example"), (0, rests));
    let silent = "were asked, and none said in time that it has it".to_owned();
    assert_eq!(why(&record, SourceKind::Neighbour, ""), (0, silent));
    let no_torrent = "no swarm: no mirror has its `.torrent`, and no neighbour tells its pieces".to_owned();
    assert_eq!(why(&record, SourceKind::Peer, ""), (0, no_torrent));
}

#[test]
fn that_nobody_waits_for_neighbours_any_more_is_told_once_for_each_time_that_they_are_asked() {
    let mut record = Record::new(opening(Reach::Public));
    for happening in [Happening::NeighboursAsked, Happening::NeighboursEnd, Happening::NeighboursEnd] {
        record.handle(happening, Duration::ZERO);
    }
    assert_eq!(record.tell(0, Duration::ZERO).events.len(), 2);
    record.handle(Happening::NeighboursAsked, Duration::ZERO);
    record.handle(Happening::NeighboursEnd, Duration::ZERO);
    assert_eq!(record.tell(0, Duration::ZERO).events.len(), 4);
}

#[test]
fn whom_the_mirrors_work_is_shared_with_is_told_and_a_companion_of_the_swarm_is_no_holder() {
    let mut record = Record::new(opening(Reach::Public));
    record.handle(Happening::NeighbourWillHave(neighbour()), Duration::ZERO);
    record.handle(Happening::SwarmJoined, Duration::ZERO);
    for share in [Share::Own, Share::Deputy, Share::Everything] {
        record.handle(Happening::Shared { share, others: 2 }, Duration::ZERO);
    }
    record.handle_peer(neighbour(), SIZE / 3);
    let events = record.tell(0, Duration::ZERO).events.into_iter();
    let texts: Vec<String> = events.map(|event| event.text).skip(2).collect();
    let shared = "mirrors are asked for our part of it: 2 nearby have it, or download it, too";
    let late = "mirrors are asked for more than our part, since others nearby are late with theirs";
    assert_eq!(texts, [shared, late, "mirrors are asked for whatever is missing"]);
    let (_, companion) = why(&record, SourceKind::Neighbour, &neighbour().to_string());
    assert_eq!(companion, "was downloading it, and was in the swarm");
}

#[test]
fn bytes_go_to_the_mirror_that_answered_first_and_pieces_to_the_one_that_brought_them() {
    let mut record = Record::new(opening(Reach::Public));
    record.handle(Happening::MirrorAsked { mirror: 0, beside: false }, Duration::ZERO);
    record.handle(Happening::MirrorAsked { mirror: 1, beside: true }, Duration::from_secs(1));
    record.handle(Happening::MirrorAnswers(1), Duration::from_secs(2));
    record.handle_bytes(300, 0);
    record.handle(Happening::SwarmJoined, Duration::from_secs(3));
    record.handle_webseed(0, 200);
    record.handle_bytes(500, 100);
    assert_eq!(why(&record, SourceKind::Mirror, "one.example").0, 200);
    assert_eq!(why(&record, SourceKind::Mirror, "two.example").0, 300);
    let joined = "the swarm was joined after 3000 ms; no peer was found".to_owned();
    assert_eq!(why(&record, SourceKind::Peer, ""), (100, joined));
}

#[test]
fn a_neighbour_that_lent_it_is_no_peer_of_a_swarm() {
    let mut record = Record::new(opening(Reach::Public));
    record.handle(Happening::NeighboursAsked, Duration::ZERO);
    record.handle(Happening::NeighbourHas(neighbour()), Duration::from_millis(1));
    record.handle(Happening::NeighbourSends(neighbour()), Duration::from_millis(1));
    record.handle(Happening::NeighbourSent { address: neighbour(), bytes: SIZE }, Duration::from_millis(9));
    record.handle_bytes(0, SIZE);
    let lent = (SIZE, "has it, and sent it whole".to_owned());
    assert_eq!(why(&record, SourceKind::Neighbour, "192.168.1.2:6881"), lent);
    assert_eq!(why(&record, SourceKind::Peer, "").0, 0);
    assert_eq!(told(&record).iter().filter(|source| source.0 == SourceKind::Neighbour).count(), 1);
}

#[test]
fn what_is_nobodys_business_says_so_and_what_failed_why() {
    let mut record = Record::new(opening(Reach::Nobody));
    record.handle(Happening::MirrorAsked { mirror: 0, beside: false }, Duration::ZERO);
    let fault = "the mirror does not have it".to_owned();
    record.handle(Happening::MirrorFails { mirror: 0, fault }, Duration::from_millis(5));
    let message = "no mirror has it".to_owned();
    let failed = Failed { code: FailureCode::NotFound, message: message.clone(), hint: None };
    record.handle_end(&Outcome::Failed(failed), Duration::from_millis(7));
    let told = record.tell(1_700_000_000, Duration::from_secs(9));
    assert_eq!((told.end, told.message, told.elapsed_ms), (StoryEnd::Failed, Some(message), 7));
    assert_eq!(why(&record, SourceKind::Mirror, "one.example").1, "failed: the mirror does not have it");
    assert_eq!(why(&record, SourceKind::Neighbour, "").1, "are not asked: this package is nobody else's business");
    assert_eq!(why(&record, SourceKind::Peer, "").1, "no swarm: this package is nobody else's business");
}

#[test]
fn a_long_story_keeps_its_beginning_and_its_end() {
    let mut record = Record::new(opening(Reach::Public));
    for after in 0..100 {
        record.handle(Happening::PeerCut, Duration::from_millis(after));
    }
    let told = record.tell(0, Duration::ZERO);
    assert_eq!((told.events.len(), told.more_events), (64, 36));
    assert_eq!(told.events.first().map(|event| event.after_ms), Some(0));
    assert_eq!(told.events.last().map(|event| event.after_ms), Some(99));
}

#[test]
fn the_last_thousand_fetches_are_remembered_and_the_newest_of_a_file_is_told() {
    let stories = Stories::default();
    for number in 0..MOST {
        stories.begin(&format!("a{number}"), opening(Reach::Public));
    }
    let second = stories.begin("a7", opening(Reach::Public));
    assert!(stories.last("a7").is_some_and(|story| Arc::ptr_eq(&story, &second)));
    assert!(stories.last("a0").is_none(), "the oldest made room");
    assert!(stories.last("a1").is_some());
}
