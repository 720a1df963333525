use std::io::Write;

use proptest::prelude::{any, proptest};

use super::*;

const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn desc(file_name: &str, more: &str) -> String {
    format!("%FILENAME%\n{file_name}\n\n%NAME%\na\n\n%VERSION%\n1-1\n\n{more}")
}

fn complete(file_name: &str) -> String {
    desc(file_name, &format!("%CSIZE%\n3\n\n%SHA256SUM%\n{SHA256}\n\n%ARCH%\nany\n\n"))
}

fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, text.as_bytes()).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.include_checksum(true).expect("a valid option");
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn read(bytes: &[u8]) -> Result<SyncDatabase, SyncDatabaseError> {
    SyncDatabase::read(bytes)
}

fn names(database: &SyncDatabase) -> Vec<&str> {
    database.packages().map(|package| package.file_name).collect()
}

#[test]
fn packages_are_found_by_their_file_name() {
    let texts = ["b", "a", "c"].map(|name| complete(&format!("{name}-1-1-any.pkg.tar.zst")));
    let database = read(&archive(&[("b/desc", &texts[0]), ("a/desc", &texts[1]), ("./c/desc", &texts[2])]));
    let database = database.expect("a valid database");
    let package = database.package("b-1-1-any.pkg.tar.zst").expect("a package");
    assert_eq!((package.name, package.version, package.architecture), ("a", "1-1", "any"));
    assert_eq!((package.size, package.sha256, package.signature), (3, Sha256::of(b"abc"), None));
    assert_eq!(package.id().file_name.as_str(), "b-1-1-any.pkg.tar.zst");
    assert_eq!(database.package("d-1-1-any.pkg.tar.zst"), None);
    assert_eq!(names(&database), ["a-1-1-any.pkg.tar.zst", "b-1-1-any.pkg.tar.zst", "c-1-1-any.pkg.tar.zst"]);
}

#[test]
fn packages_without_what_verifies_them_are_skipped_and_counted() {
    let good = complete("good-1-1-any.pkg.tar.zst");
    let sha = format!("%SHA256SUM%\n{SHA256}\n\n");
    let bad = [
        complete("../../etc/passwd"),
        complete("a/b.pkg.tar.zst"),
        complete("plain.zip"),
        complete(""),
        desc("a-1-1-any.pkg.tar.zst", "%CSIZE%\n3\n\n%MD5SUM%\n900150983cd24fb0d6963f7d28e17f72\n\n"),
        desc("a-1-1-any.pkg.tar.zst", &sha),
        desc("a-1-1-any.pkg.tar.zst", &format!("%CSIZE%\n0\n\n{sha}")),
        desc("a-1-1-any.pkg.tar.zst", &format!("%CSIZE%\n-3\n\n{sha}")),
        desc("a-1-1-any.pkg.tar.zst", &format!("%CSIZE%\n99999999999999999999\n\n{sha}")),
        desc("a-1-1-any.pkg.tar.zst", "%CSIZE%\n3\n\n%SHA256SUM%\nba78\n\n"),
        complete("good-1-1-any.pkg.tar.zst").replace("%CSIZE%\n3", "%CSIZE%\n4"),
        String::new(),
    ];
    let mut entries = vec![("good/desc", good.as_str()), ("good/depends", "x"), ("good/files", "y"), ("desc", "z")];
    entries.extend(bad.iter().map(|text| ("bad/desc", text.as_str())));
    let database = read(&archive(&entries)).expect("a valid database");
    assert_eq!(names(&database), ["good-1-1-any.pkg.tar.zst"]);
    assert_eq!(database.at(0).size, 3, "the first of two packages with one file name stays");
    assert_eq!(database.skipped(), bad.len() as u64);
}

#[test]
fn any_compression_is_told_by_its_content() {
    let plain = archive(&[("a/desc", &complete("a-1-1-any.pkg.tar.zst"))]);
    for (name, bytes) in [
        ("plain", plain.clone()),
        ("gz", gzip(&plain)),
        ("xz", xz(&plain)),
        ("bz2", bzip2(&plain)),
        ("zst", zstd(&plain)),
    ] {
        let database = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(names(&database), ["a-1-1-any.pkg.tar.zst"], "{name}");
    }
}

#[test]
fn a_database_without_packages_is_valid_and_an_empty_file_is_not() {
    assert!(read(&gzip(&archive(&[]))).expect("an empty archive").is_empty());
    assert!(matches!(read(b""), Err(SyncDatabaseError::Empty)));
}

#[test]
fn half_of_a_database_is_never_taken_for_a_whole_one() {
    let texts: Vec<_> = (0..40).map(|number| complete(&format!("p{number}-1-1-any.pkg.tar.zst"))).collect();
    let entries: Vec<_> = texts.iter().map(|text| ("p/desc", text.as_str())).collect();
    let plain = archive(&entries);
    for end in (0..plain.len() - 1024).step_by(256) {
        assert!(read(&plain[..end]).is_err(), "plain, cut at {end} of {}", plain.len());
    }
    for bytes in [gzip(&plain), xz(&plain), bzip2(&plain), zstd(&plain)] {
        for end in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            assert!(read(&bytes[..end]).is_err(), "{:x?}, cut at {end} of {}", &bytes[..4], bytes.len());
        }
    }
}

#[test]
fn a_changed_byte_is_noticed_by_the_checksum_at_the_end() {
    let mut bytes = gzip(&archive(&[("a/desc", &complete("a-1-1-any.pkg.tar.zst"))]));
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    assert!(matches!(read(&bytes), Err(SyncDatabaseError::Read(_))));
}

#[test]
fn long_paths_are_read_in_both_dialects() {
    let long = format!("{}-1-1", "n".repeat(180));
    let text = complete("a-1-1-any.pkg.tar.zst");
    let path = format!("{long}/desc");
    let gnu = archive(&[(&path, &text)]);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", path.as_bytes())]).expect("memory");
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    builder.append_data(&mut header, "shortened", text.as_bytes()).expect("memory");
    for bytes in [gnu, builder.into_inner().expect("memory")] {
        assert_eq!(read(&bytes).expect("a valid database").len(), 1);
    }
}

#[test]
fn small_files_that_grow_without_bound_end_in_an_error() {
    let mut header = tar::Header::new_gnu();
    header.set_path("a/other").expect("a short path");
    header.set_size(1 << 40);
    header.set_cksum();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.write_all(header.as_bytes()).expect("memory");
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..=MAX_BYTES / zeros.len() as u64 {
        encoder.write_all(&zeros).expect("memory");
    }
    assert!(matches!(read(&encoder.finish().expect("memory")), Err(SyncDatabaseError::TooLarge)));
    header.set_path("a/desc").expect("a short path");
    header.set_cksum();
    assert!(matches!(read(header.as_bytes()), Err(SyncDatabaseError::TooLarge)));
}

#[test]
fn a_file_that_claims_gigabytes_of_memory_is_refused() {
    let mut bytes = xz(&archive(&[("a/desc", &complete("a-1-1-any.pkg.tar.zst"))]));
    // The block header: its size, flags, the LZMA2 filter with one byte that codes the dictionary's size, a checksum.
    assert_eq!((bytes[12], &bytes[14..16]), (2, &[0x21, 1][..]));
    bytes[16] = 40;
    let mut checksum = flate2::Crc::new();
    checksum.update(&bytes[12..20]);
    bytes[20..24].copy_from_slice(&checksum.sum().to_le_bytes());
    assert!(matches!(read(&bytes), Err(SyncDatabaseError::Read(_))));

    // A zstd frame with a window of 2 GiB and an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0];
    assert!(matches!(read(&frame), Err(SyncDatabaseError::Read(_))));
}

#[test]
fn other_files_are_no_database() {
    for text in ["<!DOCTYPE html><html><body>404 Not Found</body></html>", "\x1f\u{8b}", "BZh9", "%FILENAME%\na\n"] {
        assert!(read(text.as_bytes()).is_err(), "{text}");
    }
    assert!(read(&[b'x'; 4096]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), magic in 0_usize..5) {
        let magics: [&[u8]; 5] = [b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9"];
        let _ = read(&[magics[magic], &bytes].concat());
    }

    #[test]
    fn no_desc_makes_it_panic(text in any::<String>(), sections in proptest::collection::vec("%?[A-Z0-9]{0,9}%?\n*", 0..9)) {
        let text = format!("{text}\n{}", sections.concat());
        let _ = read(&archive(&[("a/desc", &text)]));
    }

    #[test]
    fn no_change_of_an_archive_makes_it_panic(at in 0_usize..2560, byte in any::<u8>()) {
        let mut bytes = archive(&[("a/desc", &complete("a-1-1-any.pkg.tar.zst"))]);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(database) = read(&bytes) {
            database.packages().for_each(|package| drop(package.id()));
        }
    }
}

#[test]
fn the_build_date_is_read_where_there_is_a_good_one() {
    let name = |number: usize| format!("{number}-1-1-any.pkg.tar");
    let dates = ["%BUILDDATE%\n1700000000\n\n", "%BUILDDATE%\nyesterday\n\n", ""];
    let texts: Vec<_> = dates.iter().enumerate().map(|(at, date)| complete(&name(at)) + date).collect();
    let entries: Vec<_> = texts.iter().map(|text| ("a-1-1/desc", text.as_str())).collect();
    let database = read(&archive(&entries)).expect("a database");
    let built: Vec<_> = database.packages().map(|package| package.built).collect();
    assert_eq!(built, [1_700_000_000, 0, 0]);
}
