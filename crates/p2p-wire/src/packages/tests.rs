use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::*;
use crate::limits::{
    DATA_BLOCK_BYTES, MAX_DATABASE_BYTES, MAX_GET_BYTES, MAX_HAS_BYTES, MAX_INFO_BYTES, MAX_NEWEST,
    MAX_PACKAGES_MESSAGE_BYTES, MAX_POINTER_BYTES, MAX_QUESTION_IDS, MAX_SIGNATURE_BYTES,
};
use crate::{ExtendedHandshake, Handshake, Message, PeerId, UT_PEX, club_id};

const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");

#[test]
fn every_message_has_its_bytes() {
    insta::assert_snapshot!(bytes_of(&have()), @"d3:ids96:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC1:ni1e1:ti0e1:wi3ee");
    insta::assert_snapshot!(bytes_of(&has()), @r"d1:c1:@1:il11:d4:name1:ae0:e3:map1:\xa01:ni1e1:sl3:sig0:e1:ti1ee");
    insta::assert_snapshot!(bytes_of(&get()), @"d2:id32:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1:ki2e1:li9e1:ni2e1:oi0e1:ti2ee");
    let data = PackagesMessage::Data { n: 2, offset: 0, bytes: Bytes::from_static(b"signature") };
    insta::assert_snapshot!(bytes_of(&data), @"d1:ni2e1:oi0e1:ti3eesignature");
    insta::assert_snapshot!(bytes_of(&PackagesMessage::No { n: 2, why: Refusal::TooBusy }), @"d1:ci1e1:ni2e1:ti4ee");
    insta::assert_snapshot!(bytes_of(&PackagesMessage::Arrived { ids: vec![id(b'B')] }), @"d3:ids32:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB1:ti5ee");
    insta::assert_snapshot!(bytes_of(&PackagesMessage::Recent { n: 3, club: club_id("core", "x86_64") }), @r"d1:c20:\xd1\xe1\xd6\xc2\x92\xcdY\x00\x1b\xe6\x9e\xb6 j\xa7\xc5\xff*Bq1:ni3e1:ti6ee");
    insta::assert_snapshot!(bytes_of(&newest()), @r"d1:dld2:id32:DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD1:li118000e1:s9:signatureee1:ni3e1:pld1:k32:KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK1:qi7e1:s64:SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS1:v4:2:itee1:ti7ee");
    insta::assert_snapshot!(bytes_of(&PackagesMessage::Call { n: 4, port: 6881 }), @r"d1:ni4e1:pi6881e1:ti8ee");
    insta::assert_snapshot!(bytes_of(&PackagesMessage::Called { n: 4, reached: true }), @r"d1:ni4e1:ri1e1:ti9ee");
}

#[test]
fn the_document_shows_how_a_club_connection_begins() {
    let club = club_id("core", "x86_64");
    let handshake = Handshake::ours(club, PeerId::ours(*b"abcdefghijkl")).encode();
    let extended_handshake = ExtendedHandshake {
        extensions: vec![(P2P_PACKAGES.to_owned(), 1), (UT_PEX.to_owned(), 2)],
        port: Some(6881),
        version: Some("pacman2pacman 0.1".to_owned()),
        your_ip: Some([192, 0, 2, 7].into()),
        ..ExtendedHandshake::default()
    };
    let greeting = Message::Extended { id: 0, payload: extended_handshake.encode().into() }.encode();
    let question = Message::Extended { id: 1, payload: have().encode() }.encode();
    for bytes in [&handshake[..], &greeting, &question] {
        assert_documented(&bytes.escape_ascii().to_string());
    }
    for (repository, club) in
        [("core", club), ("extra", club_id("extra", "x86_64")), ("libre", club_id("libre", "x86_64"))]
    {
        let row = format!("| `{repository}` | `x86_64` | `{club}` |");
        assert!(DOCUMENT.contains(&row), "docs/protocol.md lacks {row}");
    }
}

#[test]
fn a_question_carries_at_most_128_ids_of_32_bytes() {
    let question = |ids| PackagesMessage::Have { n: 1, ids, wishes: Wishes::default() }.encode();
    assert!(PackagesMessage::read(&question(vec![id(b'A'); MAX_QUESTION_IDS])).is_ok());
    let too_many = question(vec![id(b'A'); MAX_QUESTION_IDS + 1]);
    for payload in [too_many, question(Vec::new()), Bytes::from_static(b"d3:ids3:abc1:ni1e1:ti0e1:wi0ee")] {
        assert_eq!(PackagesMessage::read(&payload), Err(PackagesFault::Key("ids")));
    }
}

#[test]
fn a_get_asks_for_at_least_a_byte_and_at_most_4_mib() {
    let read = |range| {
        let what = What { id: id(b'A'), kind: Kind::Package };
        PackagesMessage::read(&PackagesMessage::Get { n: 1, what, range }.encode())
    };
    assert!(read(7..8).is_ok());
    assert!(read(7..7 + MAX_GET_BYTES).is_ok());
    assert_eq!(read(7..7), Err(PackagesFault::Key("l")));
    assert_eq!(read(7..8 + MAX_GET_BYTES), Err(PackagesFault::Key("l")));
    let end = u64::try_from(i64::MAX).expect("a positive number");
    assert!(read(end..end + MAX_GET_BYTES).is_ok(), "nothing overflows");
}

#[test]
fn data_is_a_block_and_never_nothing() {
    let read = |length| {
        let bytes = vec![7; length].into();
        PackagesMessage::read(&PackagesMessage::Data { n: 1, offset: 5, bytes }.encode())
    };
    assert!(read(DATA_BLOCK_BYTES).is_ok());
    assert_eq!(read(0), Err(PackagesFault::Key("data")));
    assert_eq!(read(DATA_BLOCK_BYTES + 1), Err(PackagesFault::Key("data")));
}

#[test]
fn infos_that_have_no_room_are_left_out_and_the_first_come_first() {
    let large = Holding { info: Some(vec![1; MAX_INFO_BYTES].into()), signature: Some(vec![2; 300].into()) };
    let small = Holding { info: Some(vec![3; 1_000].into()), signature: None };
    let too_large = Holding {
        info: Some(vec![1; MAX_INFO_BYTES + 1].into()),
        signature: Some(vec![2; MAX_SIGNATURE_BYTES + 1].into()),
    };
    let answers = [large.clone(), large.clone(), small.clone(), too_large].map(Answer::Here).to_vec();
    let payload = PackagesMessage::Has { n: 1, answers }.encode();
    let without_info = Holding { info: None, ..large.clone() };
    let expected = [large, without_info, small, Holding::default()].map(Answer::Here);
    let Ok(Some(PackagesMessage::Has { answers, .. })) = PackagesMessage::read(&payload) else {
        panic!("no answer: {payload:?}")
    };
    assert_eq!(answers[..4], expected);
    assert_eq!(answers[4..], vec![Answer::Absent; 4]);
}

#[test]
fn the_fullest_answer_is_a_message() {
    let share = MAX_HAS_BYTES / MAX_QUESTION_IDS / 2;
    let holding = Holding { info: Some(vec![1; share].into()), signature: Some(vec![2; share].into()) };
    let message = PackagesMessage::Has { n: u32::MAX, answers: vec![Answer::Here(holding); MAX_QUESTION_IDS] };
    assert!(message.encode().len() < MAX_PACKAGES_MESSAGE_BYTES);
    assert_eq!(PackagesMessage::read(&message.encode()), Ok(Some(message)));
}

#[test]
fn an_answer_that_does_not_fit_its_map_or_its_bounds_is_a_fault() {
    let read = |text: Vec<u8>| PackagesMessage::read(&text.into());
    for text in [
        "d1:c1:\x001:il0:e3:map1:\x001:ni1e1:sl0:e1:ti1ee",
        "d1:c1:\x001:il0:e3:map1:\x001:ni1e1:sle1:ti1ee",
        "d1:c1:\x001:il0:0:e3:map1:@1:ni1e1:sl0:e1:ti1ee",
        "d1:c1:\x001:il0:e3:map1:@1:ni1e1:sle1:ti1ee",
        "d1:c0:1:ile3:map0:1:ni1e1:sle1:ti1ee",
        "d1:c17:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x001:ile3:map17:\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x001:ni1e1:sle1:ti1ee",
        "d1:c1:\x001:ili7ee3:map1:@1:ni1e1:sl0:e1:ti1ee",
    ] {
        assert!(read(text.into()).is_err(), "{text:?}");
    }
    for coming in ["", "1:c0:", "1:c2:\0\0", "1:c1:@", "1:ci0e"] {
        let text = format!("d{coming}1:il0:e3:map1:@1:ni1e1:sl0:e1:ti1ee");
        assert_eq!(read(text.clone().into()), Err(PackagesFault::Key("c")), "{text:?}");
    }
    let long = |[first, second]: [usize; 2], signature: usize| {
        let string = |bytes: usize| format!("{bytes}:{}", "x".repeat(bytes));
        let (infos, signature) = (string(first) + &string(second), string(signature));
        read(format!("d1:c1:\01:il{infos}e3:map1:`1:ni1e1:sl{signature}0:e1:ti1ee").into())
    };
    assert!(long([65_536, 16_384], 16_384).is_ok());
    assert!(long([65_537, 0], 0).is_err());
    assert!(long([0, 0], 16_385).is_err());
    assert!(long([65_536, 16_385], 16_384).is_err());
}

#[test]
fn the_fullest_list_of_databases_and_pointers_is_a_message_and_a_longer_one_is_none() {
    let database =
        DatabaseClaim { id: id(b'D'), length: MAX_DATABASE_BYTES, signature: vec![1; MAX_SIGNATURE_BYTES].into() };
    let value = vec![2; MAX_POINTER_BYTES].into();
    let pointer = Pointer { key: [3; 32], seq: i64::MAX, signature: [4; 64], value };
    let newest = |databases, pointers| PackagesMessage::Newest {
        n: u32::MAX,
        databases: vec![database.clone(); databases],
        pointers: vec![pointer.clone(); pointers],
    };
    let fullest = newest(MAX_NEWEST, MAX_NEWEST);
    assert!(fullest.encode().len() < MAX_PACKAGES_MESSAGE_BYTES);
    assert_eq!(PackagesMessage::read(&fullest.encode()), Ok(Some(fullest)));
    let read = |message: PackagesMessage| PackagesMessage::read(&message.encode());
    assert_eq!(read(newest(MAX_NEWEST + 1, 0)), Err(PackagesFault::Key("d")));
    assert_eq!(read(newest(0, MAX_NEWEST + 1)), Err(PackagesFault::Key("p")));
    assert_eq!(read(newest(0, 0)), Ok(Some(newest(0, 0))), "somebody may know of none");
}

#[test]
fn a_database_or_pointer_out_of_its_bounds_is_a_fault() {
    let claim = |length, signature: usize| {
        let databases = vec![DatabaseClaim { id: id(b'D'), length, signature: vec![1; signature].into() }];
        PackagesMessage::read(&PackagesMessage::Newest { n: 1, databases, pointers: Vec::new() }.encode())
    };
    assert_eq!(claim(0, 0), Err(PackagesFault::Key("l")));
    assert_eq!(claim(MAX_DATABASE_BYTES + 1, 0), Err(PackagesFault::Key("l")));
    assert_eq!(claim(1, MAX_SIGNATURE_BYTES + 1), Err(PackagesFault::Key("s")));
    let pointer = |seq, value: usize| {
        let pointers = vec![Pointer { key: [1; 32], seq, signature: [2; 64], value: vec![3; value].into() }];
        PackagesMessage::read(&PackagesMessage::Newest { n: 1, databases: Vec::new(), pointers }.encode())
    };
    assert_eq!(pointer(-1, 0), Err(PackagesFault::Key("q")));
    assert_eq!(pointer(0, MAX_POINTER_BYTES + 1), Err(PackagesFault::Key("v")));
    let short = "k31:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk1:qi0e1:s64:ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss1:v0:";
    for (text, key) in [
        ("d1:di0e1:ni1e1:ple1:ti7ee".to_owned(), "d"),
        ("d1:dle1:ni1e1:pl0:e1:ti7ee".to_owned(), "p"),
        ("d1:dle1:ni1e1:ti7ee".to_owned(), "p"),
        (format!("d1:dle1:ni1e1:pld1:{short}ee1:ti7ee"), "k"),
    ] {
        assert_eq!(PackagesMessage::read(&text.clone().into()), Err(PackagesFault::Key(key)), "{text:?}");
    }
}

#[test]
fn a_call_names_a_port_and_its_answer_is_yes_or_no() {
    let read = |text: &'static [u8]| PackagesMessage::read(&Bytes::from_static(text));
    for port in [&b"d1:ni1e1:pi0e1:ti8ee"[..], b"d1:ni1e1:pi65536e1:ti8ee", b"d1:ni1e1:pi-1e1:ti8ee", b"d1:ni1e1:ti8ee"]
    {
        assert_eq!(read(port), Err(PackagesFault::Key("p")));
    }
    assert_eq!(read(b"d1:ni1e1:pi65535e1:ti8ee"), Ok(Some(PackagesMessage::Call { n: 1, port: u16::MAX })));
    assert_eq!(read(b"d1:ni1e1:ri2e1:ti9ee"), Err(PackagesFault::Key("r")));
    assert_eq!(read(b"d1:c19:ccccccccccccccccccc1:ni1e1:ti6ee"), Err(PackagesFault::Key("c")));
}

#[test]
fn what_a_later_version_adds_is_ignored() {
    let read = |text: &'static [u8]| PackagesMessage::read(&Bytes::from_static(text));
    assert_eq!(read(b"d1:ti10ee"), Ok(None));
    assert_eq!(read(b"d2:id32:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1:ki5e1:li1e1:ni1e1:oi0e1:ti2ee"), Ok(None));
    let refusal = |why| Ok(Some(PackagesMessage::No { n: 1, why }));
    assert_eq!(read(b"d1:ci2e1:ni1e1:ti4e5:until3:noweand more"), refusal(Refusal::TooMuch));
    assert_eq!(read(b"d1:ci9e1:ni1e1:ti4ee"), refusal(Refusal::NotHere));
    let question = read(b"d3:ids32:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1:ni1e1:ti0e1:wi6ee");
    let wishes = Wishes { info: false, signature: true };
    assert_eq!(question, Ok(Some(PackagesMessage::Have { n: 1, ids: vec![id(b'A')], wishes })));
}

#[test]
fn a_message_without_what_it_needs_is_a_fault() {
    for text in ["", "le", "de", "d1:t1:0e", "d1:ti4ee", "d1:ci0e1:ni-1e1:ti4ee", "d1:ci0e1:ni4294967296e1:ti4ee"] {
        assert!(PackagesMessage::read(&Bytes::from(text)).is_err(), "{text:?}");
    }
    let long = Bytes::from(vec![b'x'; MAX_PACKAGES_MESSAGE_BYTES + 1]);
    assert_eq!(PackagesMessage::read(&long), Err(PackagesFault::TooLong(long.len())));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(message in messages()) {
        assert_eq!(PackagesMessage::read(&message.encode()), Ok(Some(message)));
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = PackagesMessage::read(&bytes.into());
    }

    #[test]
    fn a_damaged_message_never_panics(message in messages(), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
        let mut bytes = message.encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % 64 % bytes.len());
        let _ = PackagesMessage::read(&bytes.into());
    }
}

fn id(letter: u8) -> Sha256 {
    Sha256::from_bytes([letter; 32])
}

fn have() -> PackagesMessage {
    let wishes = Wishes { info: true, signature: true };
    PackagesMessage::Have { n: 1, ids: vec![id(b'A'), id(b'B'), id(b'C')], wishes }
}

fn has() -> PackagesMessage {
    let first = Holding { info: Some(Bytes::from_static(b"d4:name1:ae")), signature: Some(Bytes::from_static(b"sig")) };
    let mut answers = vec![Answer::Here(first), Answer::Coming, Answer::Here(Holding::default())];
    answers.resize(8, Answer::Absent);
    PackagesMessage::Has { n: 1, answers }
}

fn newest() -> PackagesMessage {
    let signature = Bytes::from_static(b"signature");
    let database = DatabaseClaim { id: id(b'D'), length: 118_000, signature };
    let pointer = Pointer { key: [b'K'; 32], seq: 7, signature: [b'S'; 64], value: Bytes::from_static(b"2:it") };
    PackagesMessage::Newest { n: 3, databases: vec![database], pointers: vec![pointer] }
}

fn get() -> PackagesMessage {
    PackagesMessage::Get { n: 2, what: What { id: id(b'A'), kind: Kind::Signature }, range: 0..9 }
}

fn bytes_of(message: &PackagesMessage) -> String {
    let payload = message.encode();
    assert_eq!(PackagesMessage::read(&payload), Ok(Some(message.clone())));
    let text = payload.escape_ascii().to_string();
    assert_documented(&text);
    text
}

fn assert_documented(example: &str) {
    let line = format!("\n    {example}\n");
    assert!(DOCUMENT.contains(&line), "docs/protocol.md lacks the example {example}");
}

fn ids() -> impl Strategy<Value = Vec<Sha256>> {
    vec(any::<[u8; 32]>().prop_map(Sha256::from_bytes), 1..=MAX_QUESTION_IDS)
}

fn holdings() -> impl Strategy<Value = Holding> {
    let some = |most| option::of(vec(any::<u8>(), 1..most).prop_map(Bytes::from));
    (some(400), some(300)).prop_map(|(info, signature)| Holding { info, signature })
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![Just(Answer::Absent), Just(Answer::Coming), holdings().prop_map(Answer::Here)]
}

fn claims() -> impl Strategy<Value = DatabaseClaim> {
    let signature = vec(any::<u8>(), 0..300);
    (any::<[u8; 32]>(), 1..=MAX_DATABASE_BYTES, signature).prop_map(|(id, length, signature)| DatabaseClaim {
        id: Sha256::from_bytes(id),
        length,
        signature: signature.into(),
    })
}

fn pointers() -> impl Strategy<Value = Pointer> {
    let value = vec(any::<u8>(), 0..=MAX_POINTER_BYTES);
    (any::<[u8; 32]>(), 0..=i64::MAX, any::<[u8; 64]>(), value).prop_map(|(key, seq, signature, value)| Pointer {
        key,
        seq,
        signature,
        value: value.into(),
    })
}

fn whats() -> impl Strategy<Value = What> {
    let kinds = prop_oneof![
        Just(Kind::Package),
        Just(Kind::Info),
        Just(Kind::Signature),
        Just(Kind::Database),
        Just(Kind::Index),
    ];
    (any::<[u8; 32]>(), kinds).prop_map(|(id, kind)| What { id: Sha256::from_bytes(id), kind })
}

fn messages() -> impl Strategy<Value = PackagesMessage> {
    let wishes = (any::<bool>(), any::<bool>()).prop_map(|(info, signature)| Wishes { info, signature });
    // As read: filled to a multiple of 8.
    let answers = vec(answers(), 1..=MAX_QUESTION_IDS).prop_map(|mut answers| {
        answers.resize(answers.len().next_multiple_of(8), Answer::Absent);
        answers
    });
    let refusals = prop_oneof![Just(Refusal::NotHere), Just(Refusal::TooBusy), Just(Refusal::TooMuch)];
    let offsets = 0..=i64::MAX.unsigned_abs();
    prop_oneof![
        (any::<u32>(), ids(), wishes).prop_map(|(n, ids, wishes)| PackagesMessage::Have { n, ids, wishes }),
        (any::<u32>(), answers).prop_map(|(n, answers)| PackagesMessage::Has { n, answers }),
        (any::<u32>(), whats(), offsets.clone(), 1..=MAX_GET_BYTES)
            .prop_map(|(n, what, start, length)| PackagesMessage::Get { n, what, range: start..start + length }),
        (any::<u32>(), offsets, vec(any::<u8>(), 1..=DATA_BLOCK_BYTES))
            .prop_map(|(n, offset, bytes)| PackagesMessage::Data { n, offset, bytes: bytes.into() }),
        (any::<u32>(), refusals).prop_map(|(n, why)| PackagesMessage::No { n, why }),
        ids().prop_map(|ids| PackagesMessage::Arrived { ids }),
        (any::<u32>(), any::<[u8; 20]>())
            .prop_map(|(n, club)| PackagesMessage::Recent { n, club: InfoHash::from_bytes(club) }),
        (any::<u32>(), vec(claims(), 0..=MAX_NEWEST), vec(pointers(), 0..=MAX_NEWEST))
            .prop_map(|(n, databases, pointers)| PackagesMessage::Newest { n, databases, pointers }),
        (any::<u32>(), 1..=u16::MAX).prop_map(|(n, port)| PackagesMessage::Call { n, port }),
        (any::<u32>(), any::<bool>()).prop_map(|(n, reached)| PackagesMessage::Called { n, reached }),
    ]
}
