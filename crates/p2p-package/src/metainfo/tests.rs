use super::*;
use crate::{FileName, Hasher, InfoError, PackageId, Sha256};

fn torrent(entries: &str) -> Vec<u8> {
    format!("d4:infod{entries}ee").into_bytes()
}

fn entries(name: &str, length: i64, piece_length: i64, hashes: usize) -> String {
    let pieces = "x".repeat(20 * hashes);
    let (name_length, pieces_length) = (name.len(), pieces.len());
    format!(
        "6:lengthi{length}e4:name{name_length}:{name}12:piece lengthi{piece_length}e6:pieces{pieces_length}:{pieces}"
    )
}

const NAME: &str = "a-1-1-any.pkg.tar.zst";

#[test]
fn what_is_written_is_read_again() {
    let mut hasher = Hasher::new(3).expect("a small package");
    hasher.update(b"abc");
    let info = hasher.finish(NAME.parse().expect("a package name")).expect("three bytes").info;
    let trackers = vec!["udp://one:1".to_owned(), "http://two/announce".to_owned()];
    let metainfo = Metainfo { info, trackers, webseeds: vec!["http://mirror/a".to_owned()] };
    assert_eq!(Metainfo::read(&metainfo.encode()), Ok(metainfo));
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    for name in ["../x.pkg.tar.zst", "/abs.pkg.tar.zst", "a/b.pkg.tar.zst", "..", "", "a\0.pkg.tar.zst", "plain"] {
        let read = Metainfo::read(&torrent(&entries(name, 1, 262_144, 1)));
        assert!(matches!(read, Err(MetainfoError::Info(InfoError::Name(_)))), "{name:?}: {read:?}");
    }
}

#[test]
fn absurd_sizes_are_refused() {
    for (length, piece_length, hashes) in [
        (0, 262_144, 0),
        (-1, 262_144, 1),
        (i64::MAX, 262_144, 1),
        (1 << 62, 262_144, 1),
        (1, 0, 1),
        (1, -1, 1),
        (1, 1, 1),
        (1, 1 << 32, 1),
        (262_145, 262_144, 1),
        (262_144, 262_144, 2),
    ] {
        let read = Metainfo::read(&torrent(&entries(NAME, length, piece_length, hashes)));
        assert!(matches!(read, Err(MetainfoError::Info(_))), "{length} {piece_length} {hashes}: {read:?}");
    }
}

#[test]
fn several_files_and_private_torrents_are_refused() {
    let several = format!("5:filesle{}", entries(NAME, 1, 262_144, 1));
    assert_eq!(Metainfo::read(&torrent(&several)), Err(MetainfoError::Info(InfoError::Foreign("files"))));
    let private = format!("{}7:privatei1e", entries(NAME, 1, 262_144, 1));
    assert_eq!(Metainfo::read(&torrent(&private)), Err(MetainfoError::Info(InfoError::Foreign("private"))));
}

#[test]
fn oversized_nested_and_truncated_files_are_refused() {
    assert!(matches!(Metainfo::read(&vec![b'l'; MAX_METAINFO_BYTES + 1]), Err(MetainfoError::TooLarge(_))));
    assert!(matches!(Metainfo::read(&vec![b'l'; MAX_METAINFO_BYTES]), Err(MetainfoError::Bencode(_))));
    let whole = torrent(&entries(NAME, 1, 262_144, 1));
    for end in 0..whole.len() {
        assert!(Metainfo::read(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn only_the_torrent_of_the_expected_package_is_taken() {
    let metainfo = Metainfo::read(&torrent(&entries(NAME, 9, 262_144, 1))).expect("a valid torrent");
    let id = |name: &str, size| PackageId {
        file_name: name.parse::<FileName>().expect("a package name"),
        size,
        sha256: Sha256::of(b""),
    };
    assert!(metainfo.info.clone().expect(&id(NAME, 9)).is_ok());
    assert!(metainfo.info.clone().expect(&id(NAME, 8)).is_err());
    assert!(metainfo.info.expect(&id("b-1-1-any.pkg.tar.zst", 9)).is_err());
}

#[test]
fn only_a_few_trackers_are_taken() {
    let tiers = (0..9).map(|n| format!("l9:udp://t:{n}e")).collect::<Vec<_>>().concat();
    let text = format!("d8:announce9:udp://t:013:announce-listl{tiers}e4:infod{}ee", entries(NAME, 1, 262_144, 1));
    let metainfo = Metainfo::read(text.as_bytes()).expect("a valid torrent");
    assert_eq!(metainfo.trackers, ["udp://t:0", "udp://t:1", "udp://t:2", "udp://t:3"]);
}
