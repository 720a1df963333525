use std::path::PathBuf;
use std::time::Duration;

use p2p_package::{Hasher, PackageId};
use tempfile::TempDir;

use super::*;
use crate::FileStamp;

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("catalog.db")
    }

    fn catalog(&self) -> Catalog {
        Catalog::open(&self.database())
    }

    fn row(&self, name: &str, content: &[u8]) -> Row {
        let path = self.directory.path().join(name);
        fs_err::write(&path, content).expect("a file");
        let file_name: FileName = name.parse().expect("a package name");
        let mut hasher = Hasher::new(content.len() as u64).expect("a package");
        hasher.update(content);
        let hashed = hasher.finish(file_name.clone()).expect("all bytes");
        let id = PackageId { file_name, size: content.len() as u64, sha256: hashed.sha256 };
        let stamp = FileStamp::of_path(&path).expect("a file");
        Row::new(id, hashed.info, path, stamp, "core".into())
    }
}

#[test]
fn rows_are_found_by_torrent_name_path_and_content() {
    let place = Place::new();
    let catalog = place.catalog();
    let a = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"aaa"));
    catalog.insert(place.row("ab-1-1-any.pkg.tar.zst", b"bb"));
    let by_content = catalog.by_sha256(&a.id.sha256);
    for found in [catalog.get(&a.info_hash()), catalog.by_name(&a.id.file_name), catalog.by_path(&a.path), by_content] {
        assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &a)));
    }
    assert!(catalog.by_name(&"0-1-1-any.pkg.tar.zst".parse().unwrap()).is_none());
    assert!(catalog.by_path(place.directory.path()).is_none());
    assert_eq!(catalog.totals(), CatalogTotals { packages: 2, bytes: 5 });
    assert!(catalog.remove(&a.info_hash()).is_some() && a.is_withdrawn());
    assert_eq!(catalog.totals(), CatalogTotals { packages: 1, bytes: 2 });
    assert!(catalog.by_name(&a.id.file_name).is_none());
}

#[test]
fn two_repositories_may_have_different_packages_with_one_name() {
    let place = Place::new();
    let catalog = place.catalog();
    let first = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"one"));
    let second = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"another"));
    assert_eq!(catalog.totals().packages, 2);
    catalog.remove(&first.info_hash());
    assert!(catalog.by_name(&first.id.file_name).is_some_and(|row| Arc::ptr_eq(&row, &second)));
}

#[test]
fn a_row_that_was_replaced_does_not_take_its_successor_along() {
    let place = Place::new();
    let catalog = place.catalog();
    let old = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"one"));
    let removals = catalog.removals();
    let new = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"one"));
    assert!(old.is_withdrawn() && !new.is_withdrawn());
    assert!(removals.has_changed().unwrap());
    catalog.withdraw(&old);
    assert_eq!(catalog.totals(), CatalogTotals { packages: 1, bytes: 3 });
}

#[test]
fn rows_survive_a_restart_unless_their_file_changed() {
    let place = Place::new();
    let catalog = place.catalog();
    let stays = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"aaa"));
    let changes = catalog.insert(place.row("b-1-1-any.pkg.tar.zst", b"bbb"));
    let goes = catalog.insert(place.row("c-1-1-any.pkg.tar.zst", b"ccc"));
    let removed = catalog.insert(place.row("d-1-1-any.pkg.tar.zst", b"ddd"));
    catalog.remove(&removed.info_hash());
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    catalog.touch(&stays.info_hash(), when);
    drop(catalog);
    fs_err::write(&changes.path, b"BBB").unwrap();
    fs_err::remove_file(&goes.path).unwrap();

    let catalog = place.catalog();
    let rows = catalog.rows();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row.id, &row.info, &row.path, row.stamp), (&stays.id, &stays.info, &stays.path, stays.stamp));
    assert_eq!((row.added, row.fetched(), &*row.repository), (stays.added, Some(when), "core"));
}

#[test]
fn what_was_flushed_survives_a_kill() {
    let place = Place::new();
    let catalog = place.catalog();
    catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"aaa"));
    catalog.flush();
    // Another process would see the same files; this one never closes its own.
    std::mem::forget(catalog);
    assert_eq!(place.catalog().totals().packages, 1);
}

#[test]
fn a_damaged_or_foreign_database_is_set_aside() {
    for content in [&b"this is no database, but long enough to look at"[..], b"SQLite format 3\0 and then nothing"] {
        let place = Place::new();
        fs_err::write(place.database(), content).unwrap();
        let catalog = place.catalog();
        catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"aaa"));
        drop(catalog);
        assert_eq!(place.catalog().totals().packages, 1);
        assert_eq!(fs_err::read(place.directory.path().join("catalog.db.broken")).unwrap(), content);
    }
}

#[test]
fn a_database_of_a_later_version_is_set_aside() {
    let place = Place::new();
    let later = rusqlite::Connection::open(place.database()).unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    drop(later);
    assert_eq!(place.catalog().totals().packages, 0);
    assert!(place.directory.path().join("catalog.db.broken").exists());
}

#[test]
fn without_a_place_to_write_the_catalog_lives_in_memory() {
    let place = Place::new();
    let catalog = Catalog::open(&place.directory.path().join("no/such/directory/catalog.db"));
    let row = catalog.insert(place.row("a-1-1-any.pkg.tar.zst", b"aaa"));
    catalog.flush();
    assert!(catalog.get(&row.info_hash()).is_some());
}
