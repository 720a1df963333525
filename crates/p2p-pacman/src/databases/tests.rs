use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use p2p_package::Sha256;
use tempfile::TempDir;

use super::*;

/// A `DBPath` with what the databases of it hold.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().expect("a directory"));
        fs_err::create_dir(root.0.path().join("sync")).expect("a directory");
        root
    }

    fn databases(&self) -> SyncDatabases {
        SyncDatabases::new(self.0.path(), ["core", "extra"])
    }

    fn path(&self, repository: &str) -> PathBuf {
        self.0.path().join(format!("sync/{repository}.db"))
    }

    /// Replaces a database as pacman does: a new file, renamed.
    fn replace(&self, repository: &str, bytes: &[u8]) {
        let part = self.path(repository).with_extension("part");
        fs_err::write(&part, bytes).expect("a file");
        fs_err::rename(part, self.path(repository)).expect("a file");
    }
}

fn database(names: &[&str], content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let sha256 = Sha256::of(content.as_bytes());
        let text =
            format!("%FILENAME%\n{name}-1-1-any.pkg.tar\n\n%CSIZE%\n{}\n\n%SHA256SUM%\n{sha256}\n", content.len());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, format!("{name}-1-1/desc"), text.as_bytes()).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn file_name(name: &str) -> FileName {
    format!("{name}-1-1-any.pkg.tar").parse().expect("a package name")
}

fn found_in(databases: &SyncDatabases, name: &str) -> Option<String> {
    databases.lookup(&file_name(name)).map(|known| known.repository.to_string())
}

#[test]
fn the_first_repository_that_has_a_package_answers() {
    let root = Root::new();
    root.replace("core", &database(&["a", "both"], "core's"));
    root.replace("extra", &database(&["b", "both"], "that of extra"));
    let databases = root.databases();
    assert_eq!(found_in(&databases, "a").as_deref(), Some("core"));
    assert_eq!(found_in(&databases, "b").as_deref(), Some("extra"));
    assert_eq!(found_in(&databases, "both").as_deref(), Some("core"));
    assert_eq!(found_in(&databases, "c"), None);
    let extra = databases.lookup_in("extra", &file_name("both")).expect("a package");
    assert_eq!((extra.id.size, extra.id.sha256), (13, Sha256::of(b"that of extra")));
    assert_eq!(databases.lookup_in("core", &file_name("b")), None);
    assert_eq!(databases.lookup_in("unknown", &file_name("a")), None);
    let names: Vec<_> = databases.packages("extra").map(|known| known.id.file_name).collect();
    assert_eq!(names, [file_name("b"), file_name("both")]);
    assert_eq!(databases.packages("unknown").count(), 0);
}

#[test]
fn a_replaced_database_is_read_at_the_next_question() {
    let root = Root::new();
    let databases = root.databases();
    assert_eq!(found_in(&databases, "a"), None);
    root.replace("core", &database(&["a"], "x"));
    assert_eq!(found_in(&databases, "a").as_deref(), Some("core"));
    root.replace("core", &database(&["b"], "x"));
    assert_eq!(found_in(&databases, "a"), None);
    assert_eq!(found_in(&databases, "b").as_deref(), Some("core"));
}

#[test]
fn an_unchanged_database_is_not_read_again() {
    let root = Root::new();
    root.replace("core", &database(&["a"], "x"));
    let databases = root.databases();
    let first = databases.database("core").expect("a repository");
    assert_eq!(found_in(&databases, "a").as_deref(), Some("core"));
    assert!(Arc::ptr_eq(&first, &databases.database("core").expect("a repository")));
}

#[test]
fn a_broken_or_missing_database_keeps_what_was_known() {
    let root = Root::new();
    root.replace("core", &database(&["a"], "x"));
    let databases = root.databases();
    assert!(found_in(&databases, "a").is_some());

    let whole = database(&["a", "b"], "x");
    root.replace("core", &whole[..whole.len() / 2]);
    assert!(found_in(&databases, "a").is_some());
    assert!(found_in(&databases, "b").is_none());
    let state = databases.states().remove(0);
    assert_eq!((state.packages, state.failed_reads), (1, 1), "a broken file is read once");
    assert!(state.fault.is_some());

    fs_err::remove_file(root.path("core")).expect("a file");
    assert!(found_in(&databases, "a").is_some());
    let state = databases.states().remove(0);
    assert_eq!((state.failed_reads, state.fault), (1, None));

    fs_err::write(root.path("core"), whole).expect("a file");
    assert!(found_in(&databases, "b").is_some());
    assert_eq!(databases.states()[0].packages, 2);
}

#[test]
fn a_fault_is_told_with_its_causes() {
    let root = Root::new();
    root.replace("core", b"<html>");
    fs_err::create_dir(root.path("extra")).expect("a directory");
    let databases = root.databases();
    assert_eq!(found_in(&databases, "a"), None);
    let faults: Vec<_> = databases.states().into_iter().map(|state| state.fault.expect("a fault")).collect();
    assert_eq!(faults[0], "the database cannot be read: failed to read entire block");
    assert!(faults[1].starts_with("the database cannot be read: "), "{faults:?}");
}

#[test]
fn questions_are_answered_while_a_database_is_replaced_again_and_again() {
    let root = Root::new();
    let names: Vec<String> = (0..500).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    root.replace("core", &database(&names, "x"));
    root.replace("extra", &database(&["e"], "x"));
    let databases = root.databases();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(found_in(&databases, "p499").as_deref(), Some("core"));
                        assert_eq!(found_in(&databases, "e").as_deref(), Some("extra"));
                    }
                })
            })
            .collect();
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end && askers.iter().all(|asker| !asker.is_finished()) {
            root.replace("core", &database(&names, "y"));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(databases.states()[0].failed_reads, 0);
}
