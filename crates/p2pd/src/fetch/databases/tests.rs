use std::time::SystemTime;

use url::Url;

use super::*;

const CORE: &str = "core/core.db";

fn url() -> Url {
    "http://one/core/core.db".parse().expect("a URL")
}

fn opened(directory: &tempfile::TempDir) -> Databases {
    Databases::open(directory.path().to_owned(), Instant::now())
}

/// Keeps these bytes as a mirror's answer.
fn keep(databases: &Databases, key: &str, bytes: &[u8]) -> Copy {
    let (number, path) = databases.new_file();
    fs::write(&path, bytes).expect("a temporary directory");
    let url = url();
    let origin = Origin { url: &url, origin: "http://one".to_owned(), etag: None, modified: None };
    let copy = Copy::new(number, bytes.len() as u64, origin, SystemTime::now());
    databases.keep(key, copy.clone(), Instant::now(), Instant::now());
    databases.save(&path).expect("a temporary directory");
    copy
}

#[test]
fn a_copy_survives_a_restart_and_leftovers_do_not() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copy = keep(&opened(&directory), CORE, b"good");
    fs::write(directory.path().join("77"), b"half").expect("a temporary directory");
    let databases = opened(&directory);
    assert_eq!(databases.get(CORE), Some(copy.clone()));
    assert_eq!(fs::read(databases.path(&copy)).expect("our file"), b"good");
    assert!(!directory.path().join("77").exists());
    let newer = keep(&databases, CORE, b"newer");
    assert_ne!(databases.path(&newer), databases.path(&copy));
}

#[test]
fn a_copy_whose_file_is_gone_or_has_another_size_is_none() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let databases = opened(&directory);
    let copy = keep(&databases, CORE, b"good");
    fs::write(databases.path(&copy), b"").expect("our file");
    assert_eq!(databases.get(CORE), None);
    assert_eq!(opened(&directory).get(CORE), None);
}

#[test]
fn a_wrong_index_is_no_more_than_lost() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for wrong in [b"{".as_slice(), b"[]", b"{\"databases\":{\"core/core.db\":{\"number\":-1}}}"] {
        fs::write(directory.path().join(INDEX), wrong).expect("a temporary directory");
        let databases = opened(&directory);
        assert_eq!(databases.get(CORE), None);
        let copy = keep(&databases, CORE, b"good");
        assert_eq!(opened(&directory).get(CORE), Some(copy));
    }
}

#[test]
fn a_replaced_copy_stays_until_clients_have_had_time_to_copy_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let databases = opened(&directory);
    let (old, new) = (keep(&databases, CORE, b"old"), keep(&databases, CORE, b"new"));
    let now = Instant::now();
    databases.sweep(now, |_| false);
    assert!(databases.path(&old).exists());
    let later = now + LIFE + Duration::from_secs(1);
    databases.sweep(later, |_| true);
    assert!(databases.path(&old).exists());
    databases.sweep(later, |_| false);
    assert!(!databases.path(&old).exists());
    assert!(databases.path(&new).exists());
}

#[test]
fn no_more_than_so_many_are_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let databases = opened(&directory);
    for number in 0..=MAX_COPIES {
        keep(&databases, &format!("{number}/{number}.db"), b"a");
    }
    assert_eq!(databases.lock().kept.len(), MAX_COPIES);
    assert_eq!(databases.get("0/0.db"), None);
    assert!(databases.get(&format!("{MAX_COPIES}/{MAX_COPIES}.db")).is_some());
}

#[test]
fn a_missing_signature_is_remembered_for_a_while_and_for_one_copy_only() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let databases = opened(&directory);
    let now = Instant::now();
    databases.note_unsigned(CORE.to_owned(), now);
    assert!(!databases.is_unsigned(CORE, now), "there is no copy that it could belong to");
    keep(&databases, CORE, b"good");
    assert!(databases.is_unsigned(CORE, now), "it was asked for beside its database");
    let asked = now + Duration::from_secs(5);
    databases.note_unsigned(CORE.to_owned(), asked);
    assert!(databases.is_unsigned(CORE, asked + UNSIGNED_LIFE / 2));
    assert!(!databases.is_unsigned(CORE, asked + UNSIGNED_LIFE));
    databases.note_unsigned(CORE.to_owned(), asked);
    let copy = databases.get(CORE).expect("the copy");
    databases.keep(CORE, copy, asked + 2 * BESIDE, asked);
    assert!(!databases.is_unsigned(CORE, asked), "the copy is another one");
}

#[test]
fn a_copy_that_turns_out_to_be_broken_is_forgotten_and_a_newer_one_is_not() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let databases = opened(&directory);
    let (old, new) = (keep(&databases, CORE, b"old"), keep(&databases, CORE, b"new"));
    databases.forget(CORE, old.number, Instant::now());
    assert_eq!(databases.get(CORE), Some(new.clone()));
    databases.forget(CORE, new.number, Instant::now());
    assert_eq!(databases.get(CORE), None);
    assert!(databases.path(&new).exists(), "a client may be copying it");
}

#[test]
fn a_signature_stays_with_its_copy_over_a_restart_and_goes_with_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let databases = opened(&directory);
    let changes = databases.watch();
    let copy = keep(&databases, CORE, b"good");
    assert!(databases.sign(CORE, b"signed") && !databases.sign(CORE, b"signed"), "once is enough");
    assert!(!databases.sign("extra/extra.db", b"signed"), "there is no such copy");
    assert!(changes.has_changed().expect("a living sender"));
    databases.save(&databases.path(&copy)).expect("a temporary directory");
    let databases = opened(&directory);
    assert_eq!(databases.get(CORE).and_then(|copy| copy.signature()).as_deref(), Some(b"signed".as_slice()));
    keep(&databases, CORE, b"newer");
    assert_eq!(databases.get(CORE).and_then(|copy| copy.signature()), None);
}

#[test]
fn a_hand_over_without_mirrors_binds_the_signature_until_a_mirror_speaks_or_it_is_long_ago() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (databases, now) = (opened(&directory), Instant::now());
    keep(&databases, CORE, b"good");
    assert!(!databases.is_without_mirrors(CORE, now));
    databases.note_without_mirrors(CORE, now);
    assert!(databases.is_without_mirrors(CORE, now + PAIR_LIFE / 2) && databases.confirmed(CORE).is_none());
    databases.note_mirror(CORE, now);
    assert!(!databases.is_without_mirrors(CORE, now) && databases.confirmed(CORE) == Some(now));
    databases.note_without_mirrors(CORE, now);
    assert!(!databases.is_without_mirrors(CORE, now + PAIR_LIFE));
}
