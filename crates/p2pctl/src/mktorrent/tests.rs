use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use p2p_package::Metainfo;
use tempfile::TempDir;

use super::*;

const NAMES: [&str; 3] = ["a-1-1-any.pkg.tar.zst", "b-1-1-any.pkg.tar.xz", "libz2-1:2.0+r5-1-x86_64.pkg.tar.zst"];
const TRACKERS: [&str; 2] = ["udp://127.0.0.1:6969/announce", "http://127.0.0.1:6969/announce"];
const MIRROR: &str = "http://127.0.0.1:8080/core/os/x86_64";

/// A directory with three packages of different sizes.
fn packages() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, length) in NAMES.into_iter().zip([1, 262_145, 600_000]) {
        let bytes: Vec<u8> = (0..length).map(|at: u32| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
        fs_err::write(directory.path().join(name), bytes).expect("a file");
    }
    for name in ["a-1-1-any.pkg.tar.zst.sig", "core.db", "c-1-1-any.pkg.tar.zst.part"] {
        fs_err::write(directory.path().join(name), name).expect("a file");
    }
    directory
}

fn options(paths: &[&Path], announce: &[&str], webseed: &[&str]) -> MktorrentOptions {
    MktorrentOptions {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        announce: announce.iter().map(|url| url.parse().expect("a tracker")).collect(),
        webseed: webseed.iter().map(|url| url.parse().expect("a webseed")).collect(),
    }
}

/// Like [`run`], without a word.
fn tally(options: MktorrentOptions) -> Tally {
    let (files, faults) = listed(&options.paths);
    let mut tally = make_all(&files, &Template::new(&options.announce, options.webseed), &Progress::new(0));
    tally.failed += faults.len();
    tally
}

fn counts(tally: Tally) -> (usize, usize, usize) {
    (tally.written, tally.up_to_date, tally.failed)
}

fn torrent_of(directory: &TempDir, name: &str) -> Vec<u8> {
    fs_err::read(directory.path().join(format!("{name}.torrent"))).expect("a torrent")
}

/// Torrents are up to date only where they are newer than the package, on clocks that tick every few milliseconds.
fn age_packages(directory: &TempDir) {
    let newest = fs_err::metadata(directory.path().join(NAMES[2])).expect("a file").modified().expect("a time");
    let probe = directory.path().join("probe");
    loop {
        fs_err::write(&probe, "").expect("a file");
        if fs_err::metadata(&probe).expect("a file").modified().expect("a time") > newest {
            break;
        }
        thread::yield_now();
    }
}

#[test]
fn every_package_of_a_directory_gets_its_torrent() {
    let directory = packages();
    let tally = tally(options(&[directory.path()], &TRACKERS, &[MIRROR]));
    assert_eq!((counts(tally), tally.hashed_bytes), ((3, 0, 0), 862_146));
    for name in NAMES {
        let metainfo = Metainfo::read(&torrent_of(&directory, name)).expect("a torrent");
        assert_eq!(metainfo.info.file_name().as_str(), name);
        assert_eq!(metainfo.trackers, TRACKERS);
        let encoded = name.replace(':', "%3A").replace('+', "%2B");
        assert_eq!(metainfo.webseeds, [format!("{MIRROR}/{encoded}")]);
        let torrent = fs_err::metadata(directory.path().join(format!("{name}.torrent"))).expect("a file");
        assert_eq!(torrent.permissions().mode() & 0o7777, 0o644);
    }
    let files = fs_err::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(files, 3 + 3 + 3, "no temporary file is left");
}

#[test]
fn torrents_that_are_up_to_date_are_left_alone() {
    let directory = packages();
    age_packages(&directory);
    let again = || counts(tally(options(&[directory.path()], &TRACKERS, &[MIRROR])));
    assert_eq!(again(), (3, 0, 0));
    let inode = |name: &str| {
        let path = directory.path().join(format!("{name}.torrent"));
        std::os::unix::fs::MetadataExt::ino(&fs_err::metadata(path).expect("a file"))
    };
    let before = NAMES.map(inode);
    assert_eq!(again(), (0, 3, 0));
    assert_eq!(NAMES.map(inode), before);
}

#[test]
fn other_lists_a_newer_package_and_a_broken_torrent_are_reasons_to_write() {
    let directory = packages();
    age_packages(&directory);
    let make = |announce: &[&str], webseed: &[&str]| counts(tally(options(&[directory.path()], announce, webseed)));
    assert_eq!(make(&TRACKERS, &[]), (3, 0, 0));
    assert_eq!(make(&TRACKERS[..1], &[]), (3, 0, 0), "a tracker less");
    assert_eq!(make(&TRACKERS[..1], &[MIRROR]), (3, 0, 0), "a webseed more");
    assert_eq!(make(&TRACKERS[..1], &[MIRROR]), (0, 3, 0));

    let torrent = directory.path().join(format!("{}.torrent", NAMES[0]));
    fs_err::write(&torrent, "d4:spam4:eggse").expect("a file");
    assert_eq!(make(&TRACKERS[..1], &[MIRROR]), (1, 2, 0), "a broken torrent");
    let other = torrent_of(&directory, NAMES[1]);
    fs_err::write(&torrent, other).expect("a file");
    assert_eq!(make(&TRACKERS[..1], &[MIRROR]), (1, 2, 0), "the torrent of another package");

    // As rsync and cp -p do it: other bytes, and an old modification time.
    let package = directory.path().join(NAMES[1]);
    let old = fs_err::metadata(&package).expect("a file").modified().expect("a time");
    fs_err::write(&package, vec![7; 262_145]).expect("a file");
    fs_err::File::options().write(true).open(&package).expect("a file").set_modified(old).expect("our file");
    assert_eq!(make(&TRACKERS[..1], &[MIRROR]), (1, 2, 0), "a replaced package");
}

#[test]
fn one_bad_package_does_not_keep_the_others_back() {
    let directory = packages();
    fs_err::write(directory.path().join("empty-1-1-any.pkg.tar"), "").expect("a file");
    let (missing, database) = (directory.path().join("none-1-1-any.pkg.tar"), directory.path().join("core.db"));
    let paths = [directory.path(), &missing, &database, Path::new("/dev/null")];
    assert_eq!(counts(tally(options(&paths, &[], &[]))), (3, 0, 4));
    let failed = run(options(&paths, &[], &[])).expect_err("four faults");
    assert_eq!(failed.to_string(), "4 of 7 could not be done");
}

#[test]
fn a_package_named_twice_and_a_link_are_done_once_each() {
    let directory = packages();
    let link = directory.path().join("linked-1-1-any.pkg.tar.xz");
    fs_err::os::unix::fs::symlink(NAMES[1], &link).expect("a link");
    fs_err::os::unix::fs::symlink("nowhere", directory.path().join("broken-1-1-any.pkg.tar")).expect("a link");
    let first = directory.path().join(NAMES[0]);
    assert_eq!(counts(tally(options(&[directory.path(), &first, &link], &[], &[]))), (4, 0, 0));
    let torrent = Metainfo::read(&torrent_of(&directory, "linked-1-1-any.pkg.tar.xz")).expect("a torrent");
    assert_eq!(torrent.info.length(), 262_145);
}

#[test]
fn faults_name_the_file_and_the_cause() {
    for (path, reason) in [("/nonexistent/a-1-1-any.pkg.tar", "cannot be read"), ("/etc/passwd", "not a package")] {
        let fault = package::packages_at(Path::new(path)).expect_err("no package");
        let cause = std::error::Error::source(&fault).expect("a reason");
        assert_eq!((fault.to_string().as_str(), cause.to_string().as_str()), (path, reason));
        assert!(cause.source().is_some(), "{path}: the reason has a cause");
    }
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn other_programs_read_the_torrents() {
    let directory = packages();
    assert_eq!(tally(options(&[directory.path()], &TRACKERS, &[MIRROR])).written, 3);
    let torrent = directory.path().join(format!("{}.torrent", NAMES[2]));
    let info_hash = Metainfo::read(&torrent_of(&directory, NAMES[2])).expect("a torrent").info.info_hash().to_string();
    let webseed = format!("{MIRROR}/libz2-1%3A2.0%2Br5-1-x86_64.pkg.tar.zst");
    for mut command in [Command::new("transmission-show"), Command::new("aria2c")] {
        if command.get_program() == "aria2c" {
            command.arg("-S");
        }
        let shown = output_of(command.arg(&torrent));
        let expected = [info_hash.as_str(), &webseed, NAMES[2], TRACKERS[0], TRACKERS[1]];
        for text in expected.into_iter().filter(|text| command.get_program() != "aria2c" || *text != webseed) {
            assert!(shown.contains(text), "{command:?} shows no {text}:\n{shown}");
        }
    }
}
