use std::fmt::Write as _;

use proptest::prelude::{any, proptest};

use super::*;
use crate::club_id;

/// The example of `docs/protocol.md`, made by another program.
const PROTOCOL: &str = include_str!("../../../../docs/protocol.md");
const KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const SIGNATURE: &str = "a40a4a214155c75d2b48a9e687018ad22f7aec2b895b73a4ca49a1aa308091e3aa10ea653af0bf69f6693b440f97d52be8d24e7d075d6252e32421369d7a0907";
const SEQ: i64 = 1_700_000_000;

fn secret() -> PublisherSecret {
    PublisherSecret::from_seed(&std::array::from_fn(|at| u8::try_from(at).expect("32 bytes")))
}

fn statement() -> Statement {
    let index = PublishedFile::of(include_bytes!("../../../../tests/golden/publishing/core.index"));
    Statement { database: PublishedFile::of(b"a sync database"), index }
}

fn core() -> InfoHash {
    club_id("core", "x86_64")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

#[test]
fn a_pointer_is_signed_as_the_example_of_the_protocol() {
    let pointer = Pointer::sign(&secret(), &core(), SEQ, &statement());
    assert_eq!((hex(&pointer.key).as_str(), hex(&pointer.signature).as_str()), (KEY, SIGNATURE));
    for text in
        [KEY, SIGNATURE, &hex(statement().database.sha256.as_bytes()), &hex(statement().index.sha256.as_bytes())]
    {
        assert!(PROTOCOL.contains(text), "docs/protocol.md has no {text}");
    }
    assert_eq!(pointer.verify(&core()), Ok(statement()));
    assert_eq!(KEY.parse().as_ref(), Ok(&secret().public()));
}

/// The second test vector of BEP 44, whose salt is no club's.
#[test]
fn the_signed_text_is_that_of_bep_44() {
    let text = signed_text(b"foobar", 1, b"Hello World!");
    assert_eq!(text, b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
    let key: PublisherKey = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548".parse().expect("a key");
    let signature = "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                     df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08";
    let signature: Vec<u8> =
        (0..64).map(|at| u8::from_str_radix(&signature[2 * at..2 * at + 2], 16).expect("two digits")).collect();
    let verified = UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(&text, &signature);
    assert!(verified.is_ok());
}

#[test]
fn what_was_signed_for_another_repository_by_another_key_or_otherwise_is_refused() {
    let pointer = Pointer::sign(&secret(), &core(), SEQ, &statement());
    let refused = |pointer: &Pointer| pointer.verify(&core()) == Err(PointerFault::Signature);
    assert_eq!(pointer.verify(&club_id("extra", "x86_64")), Err(PointerFault::Signature));
    let other = PublisherSecret::from_seed(&[7; 32]).public();
    assert!(refused(&Pointer { key: *other.as_bytes(), ..pointer.clone() }));
    assert!(refused(&Pointer { key: [0xff; 32], ..pointer.clone() }), "no point on the curve");
    assert!(refused(&Pointer { seq: SEQ + 1, ..pointer.clone() }));
    let mut signature = pointer.signature;
    signature[63] ^= 1;
    assert!(refused(&Pointer { signature, ..pointer.clone() }));
    assert!(refused(&Pointer { value: Bytes::from_static(b"de"), ..pointer.clone() }));
    assert_eq!(Pointer { seq: -1, ..pointer.clone() }.verify(&core()), Err(PointerFault::Value));
    assert_eq!(Pointer { value: vec![b'i'; 1_001].into(), ..pointer }.verify(&core()), Err(PointerFault::Value));
}

#[test]
fn a_signed_value_that_is_no_statement_says_nothing() {
    let value = statement().encode();
    let text = String::from_utf8_lossy(&value).into_owned();
    assert!(Statement::read(&value).is_some() && value.len() < MAX_POINTER_BYTES, "{text}");
    let later = [&value[..value.len() - 1], b"5:later3:keye"].concat();
    assert_eq!(Statement::read(&later), Some(statement()), "a key of a later version is passed over");
    let long =
        Statement { database: PublishedFile { length: 64 * 1024 * 1024 + 1, ..statement().database }, ..statement() };
    let empty = Statement { index: PublishedFile { length: 0, ..statement().index }, ..statement() };
    for value in [&b"de"[..], b"", b"i1e", &long.encode(), &empty.encode(), &value[1..]] {
        assert_eq!(Statement::read(value), None, "{}", value.escape_ascii());
    }
}

#[test]
fn a_key_is_64_digits_and_a_secret_is_never_shown() {
    assert_eq!(secret().public().to_string(), KEY);
    assert_eq!(format!("{:?}", secret()), format!("PublisherSecret(of {KEY})"));
    for text in ["", "00", &KEY[1..], &format!("{KEY}00"), &KEY.replace('0', "g")] {
        assert_eq!(text.parse::<PublisherKey>(), Err(PublisherKeyError), "{text}");
    }
}

proptest! {
    #[test]
    fn no_value_makes_the_reader_panic(value in any::<Vec<u8>>()) {
        let _ = Statement::read(&value);
    }
}
