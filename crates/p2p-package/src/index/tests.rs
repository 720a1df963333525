use proptest::prelude::{any, proptest};

use super::*;
use crate::{Hashed, Hasher};

const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/publishing/core.index");

/// The rule for bytes of the man page's examples.
fn hashed(name: &str, length: u32) -> IndexEntry {
    let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut hasher = Hasher::new(length.into()).expect("a package's size");
    hasher.update(&bytes);
    let Hashed { sha256, info } = hasher.finish(name.parse().expect("a name")).expect("all bytes were taken in");
    IndexEntry { sha256, info }
}

fn examples() -> BTreeMap<FileName, IndexEntry> {
    let entries = [hashed("one-1-1-any.pkg.tar", 1), hashed("over-1-1-any.pkg.tar.xz", 262_145)];
    entries.into_iter().map(|entry| (entry.info.file_name().clone(), entry)).collect()
}

fn written() -> Vec<u8> {
    Index::write("core", "x86_64", &examples()).expect("a small index")
}

/// Where a text stands in another one.
fn find(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).position(|window| window == part).expect("it is there")
}

#[test]
fn an_index_is_written_as_its_golden_file() {
    assert!(written() == GOLDEN, "what is written: {}", written().escape_ascii());
}

#[test]
fn an_index_is_read_and_its_entries_are_found_again() {
    let index = Index::read(GOLDEN).expect("written by ourselves");
    assert_eq!((index.repository.as_str(), index.architecture.as_str(), index.packages()), ("core", "x86_64", 2));
    for entry in examples().values() {
        let place = index.place(&entry.sha256).expect("it is there");
        let text = &GOLDEN[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()];
        assert_eq!(IndexEntry::read(text).as_ref(), Ok(entry));
        assert_eq!(entry.id().size, entry.info.length());
    }
    assert_eq!(index.place(&Sha256::of(b"another package")), None);
    assert_eq!(Index::entries(GOLDEN), Ok(examples().into_values().collect()));
}

#[test]
fn an_empty_repository_has_an_index() {
    let text = Index::write("core", "any", &BTreeMap::new()).expect("a small index");
    assert_eq!(text, b"d12:architecture3:any8:packagesle10:repository4:core7:versioni1ee");
    assert_eq!(Index::read(&text).map(|index| index.packages()), Ok(0));
}

#[test]
fn a_byte_less_or_more_makes_it_no_index() {
    let text = written();
    for end in 0..text.len() {
        assert!(Index::read(&text[..end]).is_err(), "{end} bytes of {}", text.len());
    }
    assert!(Index::read(&[&text[..], b"e"].concat()).is_err());
}

#[test]
fn entries_that_are_out_of_order_twice_or_not_canonical_are_refused() {
    let text = written();
    let second = find(&text, b"d4:infod6:lengthi262145e");
    let first = find(&text, b"d4:infod6:lengthi1e");
    let end = find(&text, b"e10:repository");
    let (one, over) = (&text[first..second], &text[second..end]);
    let with = |entries: &[&[u8]]| Index::read(&[&text[..first], &entries.concat(), &text[end..]].concat());
    assert!(with(&[one, over]).is_ok());
    assert!(matches!(with(&[over, one]), Err(IndexError::Order(_))));
    assert!(matches!(with(&[one, one]), Err(IndexError::Order(_))));
    let key_more = [&one[..one.len() - 1], b"1:zi1ee"].concat();
    assert!(matches!(with(&[&key_more]), Err(IndexError::Canonical(_))));
    let text_of = |from: &str, to: &str| {
        let at = find(one, from.as_bytes());
        [&one[..at], to.as_bytes(), &one[at + from.len()..]].concat()
    };
    let foreign = text_of("piece lengthi262144e", "piece lengthi524288e");
    assert!(matches!(with(&[&foreign]), Err(IndexError::Canonical(_))));
    let private = text_of("6:sha256", "7:privatei1e6:sha256");
    assert!(with(&[&private]).is_err());
    assert!(matches!(with(&[b"i1e"]), Err(IndexError::Form(_))));
    assert!(matches!(with(&[&text_of("6:lengthi1e", "6:lengthi0e")]), Err(IndexError::Info(..))));
}

#[test]
fn no_index_is_larger_than_any_repository() {
    assert_eq!(Index::read(&vec![b'd'; 64 * 1024 * 1024 + 1]), Err(IndexError::Size));
    assert_eq!(Index::write(&"n".repeat(256), "x86_64", &BTreeMap::new()), Err(IndexError::Size));
    let name = "9".repeat(300);
    assert!(Index::read(format!("d12:architecture{name}:").as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(text in any::<Vec<u8>>(), at in 0_usize..700) {
        let _ = Index::read(&text);
        let _ = IndexEntry::read(&text);
        let whole = written();
        let at = at.min(whole.len());
        let _ = Index::read(&[&whole[..at], &text, &whole[at..]].concat());
    }
}
