use std::time::SystemTime;

use bytes::Bytes;
use p2p_package::Sha256;

use super::*;
use crate::editions::Place;

const LAST: u64 = 1_700_000_000;
const NOW: u64 = LAST + 100_000;
const OURS: &str = "DC35D3696DE7430AB6F90D47E7C2C55199A9EB56";
const SUBKEY: &str = "ABCD35D3696DE7430AB6F90D47E7C2C55199A9EB";
const OTHER: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

fn signed(key: &str, by: &str, at: u64) -> Signed {
    let fingerprint = |text: &str| text.parse().expect("a fingerprint");
    Signed { key: fingerprint(key), by: fingerprint(by), at }
}

fn edition(signed: Option<Signed>) -> Edition {
    Edition {
        id: Sha256::of(b"last"),
        length: 100_000,
        signature: Vec::new(),
        signed,
        dated: LAST,
        place: Place::Ours,
        path: "/nonexistent".into(),
        written: SystemTime::UNIX_EPOCH,
        file: fs_err::File::open("/dev/null").expect("every system has it").into_file(),
    }
}

fn signed_by(key: &str, by: &str) -> Edition {
    edition(Some(signed(key, by, LAST)))
}

fn reference(last: &Edition) -> Reference<'_> {
    Reference::new(Some(last), None).expect("it is signed")
}

/// A signature of version 4 that says when it was made and by whom, and nothing else.
fn claim(by: &str, at: u64, length: u64) -> DatabaseClaim {
    let mut hashed = vec![5, 2];
    hashed.extend(u32::try_from(at).expect("before 2106").to_be_bytes());
    let mut issuer = vec![9, 16];
    issuer.extend(signed(by, by, at).by.key_id().0);
    let mut body = vec![4, 0, 22, 8, 0, 6];
    body.extend(hashed);
    body.extend([0, 10]);
    body.extend(issuer);
    let mut packet = vec![0x88, u8::try_from(body.len()).expect("a short signature")];
    packet.extend(body);
    DatabaseClaim { id: Sha256::of(b"next"), length, signature: Bytes::from(packet) }
}

/// A database of packages of these names, for this architecture, and built then.
fn database_of(names: impl IntoIterator<Item = String>, architecture: &str, built: u64) -> SyncDatabase {
    let mut archive = tar::Builder::new(Vec::new());
    for name in names {
        let text = format!(
            "%FILENAME%\n{name}-1-1-{architecture}.pkg.tar.zst\n\n%NAME%\n{name}\n\n%VERSION%\n1-1\n\n%CSIZE%\n7\n\n\
             %SHA256SUM%\n{}\n\n%BUILDDATE%\n{built}\n\n%ARCH%\n{architecture}\n\n",
            Sha256::of(name.as_bytes())
        );
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{name}-1-1/desc"), text.as_bytes()).expect("it goes to memory");
    }
    let bytes = archive.into_inner().expect("it goes to memory");
    SyncDatabase::read(bytes.as_slice()).expect("a database")
}

fn names(numbers: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("package-{number}"))
}

fn numbered(numbers: std::ops::Range<u32>) -> SyncDatabase {
    database_of(names(numbers), "any", LAST)
}

fn architectures() -> Vec<String> {
    vec!["x86_64".to_owned()]
}

#[test]
fn a_later_one_by_the_same_key_is_worth_the_transfer() {
    let last = signed_by(OURS, OURS);
    assert_eq!(reference(&last).weigh(&claim(OURS, LAST + 1, 90_000), NOW), Ok(LAST + 1));
}

#[test]
fn what_a_claim_gives_away_costs_no_transfer() {
    let last = signed_by(OURS, SUBKEY);
    let weigh = |claim: &DatabaseClaim| reference(&last).weigh(claim, NOW);
    let good = claim(SUBKEY, LAST + 1, 90_000);
    assert!(weigh(&good).is_ok());
    assert_eq!(weigh(&DatabaseClaim { signature: Bytes::new(), ..good.clone() }), Err(Objection::Unsigned));
    assert_eq!(weigh(&DatabaseClaim { length: 1_500_000, ..good.clone() }), Err(Objection::Size));
    assert_eq!(weigh(&DatabaseClaim { length: u64::MAX, ..good }), Err(Objection::Size));
    for (key, at, objection) in [
        (OTHER, LAST + 1, Objection::OtherKey),
        (OURS, LAST + 1, Objection::OtherKey),
        (SUBKEY, LAST, Objection::NotNewer),
        (SUBKEY, LAST - 1, Objection::NotNewer),
        (SUBKEY, NOW + 2 * CLOCK_SKEW, Objection::Future),
    ] {
        assert_eq!(weigh(&claim(key, at, 90_000)), Err(objection));
    }
}

#[test]
fn a_database_is_the_next_one_by_its_key_its_date_and_its_packages() {
    let (last, ten) = (signed_by(OURS, OURS), numbered(0..10));
    let judge = |voucher: Signed, next: &SyncDatabase| {
        reference(&last).judge(Some(&ten), &Voucher::Signature(voucher), next, &architectures(), NOW)
    };
    let good = signed(OURS, OURS, LAST + 1);
    assert_eq!(judge(good.clone(), &numbered(0..10)), Ok(()));
    assert_eq!(judge(good.clone(), &numbered(5..15)), Ok(()), "half of them");
    assert_eq!(judge(good.clone(), &numbered(0..20)), Ok(()), "it has grown");
    assert_eq!(judge(good.clone(), &numbered(3..8)), Ok(()), "it has shrunk");
    for other in [6..16, 0..21, 3..7, 3..4, 0..0] {
        assert_eq!(judge(good.clone(), &numbered(other.clone())), Err(Objection::OtherPackages), "{other:?}");
    }
    for (key, at, objection) in [
        (OTHER, LAST + 1, Objection::OtherKey),
        (OURS, LAST, Objection::NotNewer),
        (OURS, NOW + 2 * CLOCK_SKEW, Objection::Future),
    ] {
        assert_eq!(judge(signed(key, key, at), &numbered(0..10)), Err(objection));
    }
}

fn vouched(published: u64) -> Vouched {
    let published = i64::try_from(published).expect("before the end of time");
    Vouched { sha256: Sha256::of(b"next"), length: 90_000, published }
}

/// Distributions sign all architectures with one key, and what they test, too.
#[test]
fn another_architectures_database_and_a_part_of_the_repository_are_refused_though_the_key_signed_them() {
    let last = signed_by(OURS, OURS);
    let judge = |ours: &SyncDatabase, next: &SyncDatabase| {
        let voucher = Voucher::Signature(signed(OURS, OURS, LAST + 1));
        reference(&last).judge(Some(ours), &voucher, next, &architectures(), NOW)
    };
    let of = |architecture| database_of(names(0..10), architecture, LAST);
    assert_eq!(judge(&of("x86_64"), &of("x86_64")), Ok(()));
    assert_eq!(judge(&of("any"), &of("x86_64")), Ok(()));
    assert_eq!(judge(&of("i686"), &of("i686")), Ok(()), "so was our last one");
    for ours in ["x86_64", "any"] {
        assert_eq!(judge(&of(ours), &of("i686")), Err(Objection::OtherArchitecture), "{ours}");
    }
    let testing = database_of(names(0..4), "x86_64", LAST);
    for (ours, next) in [(&of("x86_64"), &testing), (&testing, &of("x86_64"))] {
        assert_eq!(judge(ours, next), Err(Objection::OtherPackages));
    }
}

#[test]
fn a_publisher_takes_the_signatures_place_where_our_last_one_has_none() {
    let unsigned = edition(None);
    assert!(Reference::new(Some(&unsigned), None).is_none() && Reference::new(None, None).is_none());
    let named = DatabaseClaim { id: Sha256::of(b"next"), length: 90_000, signature: Bytes::new() };
    for last in [Some(&unsigned), None] {
        let reference = Reference::new(last, Some(vouched(LAST + 1))).expect("a publisher has named one");
        assert_eq!(reference.weigh(&named, NOW), Ok(LAST + 1));
        let other = DatabaseClaim { id: Sha256::of(b"other"), ..named.clone() };
        assert_eq!(reference.weigh(&other, NOW), Err(Objection::Unsigned));
        let ten = last.map(|_| numbered(0..10));
        let voucher = Voucher::Publisher(LAST + 1, None);
        let judge = |next| reference.judge(ten.as_ref(), &voucher, &next, &architectures(), NOW);
        assert_eq!(judge(numbered(0..10)), Ok(()));
        let behind = database_of(names(0..10), "any", LAST - 1);
        assert_eq!(judge(behind), if last.is_some() { Err(Objection::NotNewer) } else { Ok(()) });
        let others = if last.is_some() { Err(Objection::OtherPackages) } else { Ok(()) };
        assert_eq!(judge(numbered(10..20)), others);
    }
}

#[test]
fn what_a_publisher_named_before_our_last_one_is_not_taken() {
    let unsigned = edition(None);
    let named = DatabaseClaim { id: Sha256::of(b"next"), length: 90_000, signature: Bytes::new() };
    for (published, objection) in [(LAST, Objection::NotNewer), (NOW + 2 * CLOCK_SKEW, Objection::Future)] {
        let reference = Reference::new(Some(&unsigned), Some(vouched(published))).expect("a publisher has named one");
        assert_eq!(reference.weigh(&named, NOW), Err(objection));
    }
    let same = Vouched { sha256: unsigned.id, ..vouched(LAST + 1) };
    assert!(Reference::new(Some(&unsigned), Some(same)).is_none(), "it is our last one");
}

#[test]
fn a_package_that_was_built_in_the_future_keeps_no_published_database_away() {
    let unsigned = edition(None);
    let reference = Reference::new(Some(&unsigned), Some(vouched(LAST + 1))).expect("a publisher has named one");
    let judge = |built| {
        let last = database_of(names(0..10), "any", built);
        reference.judge(Some(&last), &Voucher::Publisher(LAST + 1, None), &numbered(0..10), &architectures(), NOW)
    };
    assert_eq!((judge(NOW), judge(NOW + 1)), (Err(Objection::NotNewer), Ok(())));
}

/// Otherwise whoever is behind, or somebody who keeps the signature back, would take us back; and pacman would keep the signature of
/// the one before beside a file that has none.
#[test]
fn what_a_publisher_names_in_place_of_a_signed_one_is_signed_too_and_later() {
    let last = signed_by(OURS, OURS);
    let reference = Reference::new(Some(&last), Some(vouched(LAST + 1000))).expect("a publisher has named one");
    let named = |signature| DatabaseClaim { signature, ..claim(OTHER, LAST, 90_000) };
    let (ten, same) = (numbered(0..10), numbered(0..10));
    let judge =
        |signed| reference.judge(Some(&ten), &Voucher::Publisher(LAST + 1000, signed), &same, &architectures(), NOW);
    for (at, expected) in [
        (None, Err(Objection::Unsigned)),
        (Some(LAST - 1), Err(Objection::NotNewer)),
        (Some(LAST), Err(Objection::NotNewer)),
        (Some(LAST + 1), Ok(())),
    ] {
        let signature = at.map_or_else(Bytes::new, |at| claim(OTHER, at, 90_000).signature);
        assert_eq!(reference.weigh(&named(signature), NOW), expected.map(|()| LAST + 1000), "{at:?}");
        assert_eq!(judge(at.map(|at| signed(OTHER, OTHER, at))), expected, "{at:?}");
    }
}
