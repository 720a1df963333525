//! The examples of the man page, the golden files, and other programs' torrents of the same files.

use std::path::{Path, PathBuf};
use std::process::Command;

use p2p_package::{FileName, Hashed, Hasher, InfoError, Metainfo, MetainfoError};

const MAN_PAGE: &str = include_str!("../spec/p2p-torrent.7.md");

/// One row of the table in the man page.
#[derive(Debug, PartialEq)]
struct Example {
    name: FileName,
    length: u64,
    piece_length: String,
    pieces: String,
    sha256: String,
    info_hash: String,
}

impl Example {
    fn from_row(row: &str) -> Option<Self> {
        let mut cells = row.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").map(|cell| cell.replace('`', ""));
        let mut cell = || cells.next().expect("six columns");
        let name = cell().parse().expect("a package name");
        let length = cell().parse().expect("a number");
        Some(Self { name, length, piece_length: cell(), pieces: cell(), sha256: cell(), info_hash: cell() })
    }

    fn of(hashed: &Hashed) -> Self {
        let info = &hashed.info;
        Self {
            name: info.file_name().clone(),
            length: info.length(),
            piece_length: info.piece_length().bytes().to_string(),
            pieces: info.pieces().len().to_string(),
            sha256: hashed.sha256.to_string(),
            info_hash: info.info_hash().to_string(),
        }
    }

    fn row(&self) -> String {
        let Self { name, length, piece_length, pieces, sha256, info_hash } = self;
        format!("| `{name}` | {length} | {piece_length} | {pieces} | `{sha256}` | `{info_hash}` |")
    }
}

/// The man page's rule for the bytes of the examples.
fn example_byte(at: u64) -> u8 {
    let at = u32::try_from(at).expect("the examples are shorter than 4 GiB");
    at.wrapping_mul(2_654_435_761).to_be_bytes()[0]
}

fn example_chunks(length: u64) -> impl Iterator<Item = Vec<u8>> {
    const CHUNK: u64 = 1024 * 1024;
    let starts = (0..length.div_ceil(CHUNK)).map(|index| index * CHUNK);
    starts.map(move |start| (start..(start + CHUNK).min(length)).map(example_byte).collect())
}

fn hash_example(name: FileName, length: u64) -> Hashed {
    let mut hasher = Hasher::new(length).expect("a size that is shared");
    example_chunks(length).for_each(|chunk| hasher.update(&chunk));
    hasher.finish(name).expect("as many bytes as announced")
}

fn golden_path(name: &FileName) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/torrents");
    directory.join(format!("{name}.torrent"))
}

/// Compares with the golden file, or writes it where `P2P_GOLDEN=write` asks for that.
fn assert_golden(hashed: &Hashed) {
    let metainfo = Metainfo { info: hashed.info.clone(), trackers: Vec::new(), webseeds: Vec::new() };
    let path = golden_path(hashed.info.file_name());
    if std::env::var_os("P2P_GOLDEN").is_some_and(|wish| wish == "write") {
        fs_err::write(&path, metainfo.encode()).expect("a writable golden file");
    }
    let golden = fs_err::read(&path).expect("a golden file; P2P_GOLDEN=write makes it");
    assert!(golden == metainfo.encode(), "{} has other bytes", path.display());
    assert_eq!(Metainfo::read(&golden), Ok(metainfo));
}

#[test]
fn every_example_of_the_man_page_is_true_and_has_its_golden_torrent() {
    let examples: Vec<Example> = MAN_PAGE.lines().filter_map(Example::from_row).collect();
    let lengths: Vec<u64> = examples.iter().map(|example| example.length).collect();
    assert_eq!(lengths, [1, 262_144, 262_145, 1_048_577, 536_870_913]);
    for example in examples {
        let hashed = hash_example(example.name.clone(), example.length);
        let found = Example::of(&hashed);
        assert_eq!(found, example, "the row should be\n{}", found.row());
        assert_golden(&hashed);
    }
}

#[test]
fn the_info_dictionary_in_the_man_page_is_that_of_its_first_example() {
    let hashed = hash_example("one-1-1-any.pkg.tar".parse().expect("a package name"), 1);
    let encoded = hashed.info.encoded();
    let (before, after) = encoded.split_at(encoded.len() - 21);
    let hash = hashed.info.pieces()[0];
    assert_eq!(&after[..20], hash.as_bytes());
    let text = format!("{}<{hash}>e", std::str::from_utf8(before).expect("ASCII"));
    assert!(MAN_PAGE.lines().any(|line| line.trim() == text), "the man page lacks\n    {text}");
}

/// Writes the example file and has the real mktorrent make a torrent of it.
fn mktorrent(name: &str, length: u64, arguments: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let bytes: Vec<u8> = example_chunks(length).flatten().collect();
    fs_err::write(directory.path().join(name), bytes).expect("a file");
    let mut command = Command::new("mktorrent");
    command.current_dir(&directory).args(["-o", "out.torrent"]).args(arguments).arg(name);
    let output = command.output().expect("this test needs mktorrent");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs_err::read(directory.path().join("out.torrent")).expect("mktorrent wrote it")
}

#[test]
fn mktorrent_derives_the_same_info_hash() {
    let announce = ["-l", "18", "-a", "http://127.0.0.1:1/announce", "-w", "http://127.0.0.1:1/", "-c", "a comment"];
    for (name, length) in [
        ("one-1-1-any.pkg.tar", 1),
        ("exact-1-1-any.pkg.tar.zst", 262_144),
        ("over-1-1-any.pkg.tar.xz", 262_145),
        ("libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst", 1_048_577),
    ] {
        let ours = hash_example(name.parse().expect("a package name"), length).info;
        for arguments in [&announce[..2], &["-l", "18", "-d"], &announce] {
            let theirs = Metainfo::read(&mktorrent(name, length, arguments)).expect("a valid torrent").info;
            assert_eq!(theirs, ours, "{name} {arguments:?}");
        }
    }
}

#[test]
fn mktorrent_needs_the_next_piece_length_beyond_512_mib() {
    const MIB: u64 = 1024 * 1024;
    let directory = tempfile::tempdir().expect("a directory");
    for (length, exponent) in [(512 * MIB, "18"), (512 * MIB + 1, "19")] {
        // A file of zeros takes no space.
        let file = fs_err::File::create(directory.path().join("a-1-1-any.pkg.tar")).expect("a file");
        file.set_len(length).expect("a sparse file");
        let torrent = format!("{exponent}.torrent");
        let mut command = Command::new("mktorrent");
        command.current_dir(&directory).args(["-l", exponent, "-o", &torrent, "a-1-1-any.pkg.tar"]);
        assert!(command.output().expect("this test needs mktorrent").status.success());
        let theirs = fs_err::read(directory.path().join(torrent)).expect("mktorrent wrote it");

        let mut hasher = Hasher::new(length).expect("a size that is shared");
        let zeros = vec![0; 1024 * 1024];
        (0..512).for_each(|_| hasher.update(&zeros));
        hasher.update(&zeros[..usize::try_from(length - 512 * MIB).expect("one byte at most")]);
        let ours = hasher.finish("a-1-1-any.pkg.tar".parse().expect("a package name")).expect("all bytes").info;
        assert_eq!(Metainfo::read(&theirs).expect("a valid torrent").info, ours, "{length}");
    }
}

#[test]
fn other_options_of_mktorrent_make_another_torrent() {
    let name = "one-1-1-any.pkg.tar";
    let ours = hash_example(name.parse().expect("a package name"), 1).info.info_hash();
    for arguments in [["-l", "19"], ["-s", "somewhere"]] {
        let theirs = Metainfo::read(&mktorrent(name, 1, &arguments)).expect("a torrent that we would join");
        assert_ne!(theirs.info.info_hash(), ours, "{arguments:?}");
    }
    let private = Metainfo::read(&mktorrent(name, 1, &["-p"]));
    assert_eq!(private, Err(MetainfoError::Info(InfoError::Foreign("private"))));
}
