//! Sync databases as the real repo-add writes them, against what the real pacman reads in them.

use std::path::Path;
use std::process::Command;

use p2p_package::Sha256;
use p2p_pacman::{SyncDatabase, SyncDatabases};
use tempfile::TempDir;

/// File name, name, version, architecture.
const PACKAGES: [(&str, &str, &str, &str); 4] = [
    ("alpha-1.0-1-any.pkg.tar.zst", "alpha", "1.0-1", "any"),
    ("libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst", "libz2", "1:2.0+r5.gabc-1", "x86_64"),
    ("old-3_rc1-2-any.pkg.tar.xz", "old", "3_rc1-2", "any"),
    ("c++-tools-1.2.r3-1-any.pkg.tar", "c++-tools", "1.2.r3-1", "any"),
];

/// What repo-add puts into `%PGPSIG%` without looking at it.
const SIGNATURE: &[u8] = b"\x89\x02\x33\x04\x00not a real signature, but bytes\xff\x00";

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Package files with a `.PKGINFO`; the second one has a signature.
fn packages() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (file_name, name, version, architecture) in PACKAGES {
        let info = format!(
            "pkgname = {name}\npkgbase = {name}\npkgver = {version}\npkgdesc = %NAME% in a description\n\
             url = http://localhost\nbuilddate = 1700000000\npackager = Nobody\nsize = 1\narch = {architecture}\n\
             license = GPL\ndepend = glibc\n"
        );
        fs_err::write(directory.path().join(".PKGINFO"), info).expect("a file");
        run(Command::new("bsdtar").current_dir(&directory).args(["-caf", file_name, ".PKGINFO"]));
    }
    fs_err::write(directory.path().join(format!("{}.sig", PACKAGES[1].0)), SIGNATURE).expect("a file");
    directory
}

fn repo_add(directory: &Path, database: &str) {
    let mut command = Command::new("repo-add");
    run(command.current_dir(directory).args(["-q", database]).args(PACKAGES.map(|(file_name, ..)| file_name)));
}

fn read(path: &Path) -> SyncDatabase {
    let file = fs_err::File::open(path).expect("repo-add wrote it");
    SyncDatabase::read(std::io::BufReader::new(file)).expect("repo-add writes valid databases")
}

/// What `pacman -Sl` says of the repository `r`: name and version, sorted.
fn pacman_list(root: &Path, database: &Path) -> Vec<(String, String)> {
    fs_err::create_dir_all(root.join("sync")).expect("a directory");
    fs_err::copy(database, root.join("sync/r.db")).expect("a file");
    let conf = root.join("pacman.conf");
    fs_err::write(&conf, "[options]\nSigLevel = Never\n[r]\nServer = http://localhost\n").expect("a file");
    let list = run(Command::new("pacman").arg("--config").arg(conf).arg("--dbpath").arg(root).args(["-Sl", "r"]));
    let words = |line: &str| {
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        (words.next().expect("a name"), words.next().expect("a version"))
    };
    let mut found: Vec<_> = list.lines().map(words).collect();
    found.sort_unstable();
    found
}

#[test]
fn every_compression_of_repo_add_is_read_as_pacman_reads_it() {
    let directory = packages();
    for suffix in ["db.tar", "db.tar.gz", "db.tar.bz2", "db.tar.xz", "db.tar.zst"] {
        let file = format!("r-{}.{suffix}", suffix.replace('.', "-"));
        repo_add(directory.path(), &file);
        let path = directory.path().join(file);
        let database = read(&path);
        assert_eq!(database.skipped(), 0, "{suffix}");

        let mut ours: Vec<_> =
            database.packages().map(|package| (package.name.to_owned(), package.version.to_owned())).collect();
        ours.sort_unstable();
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(ours, pacman_list(root.path(), &path), "{suffix}");
    }
}

#[test]
fn file_names_sizes_checksums_and_signatures_are_those_of_the_files() {
    let directory = packages();
    repo_add(directory.path(), "r.db.tar.gz");
    let database = read(&directory.path().join("r.db.tar.gz"));
    assert_eq!(database.len(), PACKAGES.len());
    for (file_name, name, version, architecture) in PACKAGES {
        let bytes = fs_err::read(directory.path().join(file_name)).expect("a package");
        let package = database.package(file_name).unwrap_or_else(|| panic!("{file_name} is missing"));
        assert_eq!((package.name, package.version, package.architecture), (name, version, architecture));
        assert_eq!((package.size, package.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
        let signature = (file_name == PACKAGES[1].0).then_some(SIGNATURE);
        assert_eq!(package.signature, signature, "{file_name}");
    }
}

#[test]
fn the_link_that_repo_add_makes_is_followed_when_it_is_replaced() {
    let directory = packages();
    let root = tempfile::tempdir().expect("a directory");
    fs_err::os::unix::fs::symlink(directory.path(), root.path().join("sync")).expect("a link");
    let databases = SyncDatabases::new(root.path(), ["r"]);
    let file_name = PACKAGES[0].0.parse().expect("a package name");
    assert_eq!(databases.lookup(&file_name), None);
    repo_add(directory.path(), "r.db.tar.gz");
    assert!(databases.lookup(&file_name).is_some());
    run(Command::new("repo-remove").current_dir(&directory).args(["-q", "r.db.tar.gz", "alpha"]));
    assert_eq!(databases.lookup(&file_name), None);
    assert_eq!(databases.packages("r").count(), PACKAGES.len() - 1);
}
