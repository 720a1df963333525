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

/// A database of packages of these names.
fn database(names: impl IntoIterator<Item = String>) -> SyncDatabase {
    let mut archive = tar::Builder::new(Vec::new());
    for name in names {
        let text = format!(
            "%FILENAME%\n{name}-1-1-any.pkg.tar.zst\n\n%NAME%\n{name}\n\n%VERSION%\n1-1\n\n%CSIZE%\n7\n\n%SHA256SUM%\n{}\n\n",
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

fn numbered(numbers: std::ops::Range<u32>) -> SyncDatabase {
    database(numbers.map(|number| format!("package-{number}")))
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
        reference(&last).judge(Some(&ten), &Voucher::Signature(voucher), next, NOW)
    };
    let good = signed(OURS, OURS, LAST + 1);
    assert_eq!(judge(good.clone(), &numbered(0..10)), Ok(()));
    assert_eq!(judge(good.clone(), &numbered(5..15)), Ok(()), "half of them");
    assert_eq!(judge(good.clone(), &numbered(0..1000)), Ok(()), "it has grown");
    assert_eq!(judge(good.clone(), &numbered(3..4)), Ok(()), "it has shrunk");
    assert_eq!(judge(good.clone(), &numbered(6..16)), Err(Objection::OtherPackages));
    assert_eq!(judge(good, &numbered(0..0)), Err(Objection::OtherPackages));
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

#[test]
fn a_publisher_takes_the_signatures_place() {
    let unsigned = edition(None);
    assert!(Reference::new(Some(&unsigned), None).is_none() && Reference::new(None, None).is_none());
    let named = DatabaseClaim { id: Sha256::of(b"next"), length: 90_000, signature: Bytes::new() };
    for last in [Some(&unsigned), Some(&signed_by(OURS, OURS)), None] {
        let reference = Reference::new(last, Some(vouched(LAST + 1))).expect("a publisher has named one");
        assert_eq!(reference.weigh(&named, NOW), Ok(LAST + 1));
        let other = DatabaseClaim { id: Sha256::of(b"other"), ..named.clone() };
        assert_eq!(reference.weigh(&other, NOW), Err(Objection::Unsigned));
        let ten = last.map(|_| numbered(0..10));
        let judge = |next| reference.judge(ten.as_ref(), &Voucher::Publisher(LAST + 1), &next, NOW);
        assert_eq!(judge(numbered(0..10)), Ok(()));
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
