use std::collections::HashMap;

use p2p_package::{Hasher, Sha256};
use tempfile::TempDir;

use super::*;
use crate::Row;

const NAME: &str = "a-1-1-any.pkg.tar.zst";
const OTHER: &str = "b-1-1-any.pkg.tar.zst";
/// How [`NAME`] is called in the store.
const STORED: &str = "1=a-1-1-any.pkg.tar.zst~";
/// No test waits longer for what should take milliseconds.
const BOUND: Duration = Duration::from_secs(20);

/// Sync databases that list what a test put in.
#[derive(Default)]
struct Databases(Mutex<HashMap<FileName, Vec<Verdict>>>);

impl Databases {
    fn list(&self, name: &str, content: &[u8]) {
        let file_name: FileName = name.parse().expect("a package name");
        let id = PackageId { file_name: file_name.clone(), size: content.len() as u64, sha256: Sha256::of(content) };
        let verdict = Verdict { id, repository: "core".into() };
        self.0.lock().unwrap().entry(file_name).or_default().push(verdict);
    }
}

impl Judge for Databases {
    fn judge(&self, name: &FileName) -> Vec<Verdict> {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

struct Machine {
    directory: TempDir,
    databases: Arc<Databases>,
    catalog: Catalog,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["cache", "store"] {
            fs_err::create_dir(directory.path().join(name)).expect("a directory");
        }
        let catalog = Catalog::open(&directory.path().join("catalog.db"));
        Self { directory, databases: Arc::default(), catalog }
    }

    fn scan(&self) -> CacheScan {
        let options = ScanOptions { cache_dirs: vec![self.directory.path().join("cache")], store: Some(self.store()) };
        CacheScan::start(options, self.catalog.clone(), Arc::clone(&self.databases) as Arc<dyn Judge>).expect("a scan")
    }

    fn store(&self) -> StoreDir {
        let package_at: fn(&Path) -> _ = |path| path.to_str()?.strip_suffix('~')?.rsplit_once('=')?.1.parse().ok();
        StoreDir { path: self.directory.path().join("store"), package_at }
    }

    fn path(&self, directory: &str, name: &str) -> PathBuf {
        self.directory.path().join(directory).join(name)
    }

    /// Puts a file in place as pacman does: written aside, then renamed.
    fn put(&self, directory: &str, name: &str, content: &[u8]) -> PathBuf {
        let aside = self.path(directory, &format!("{name}.part"));
        fs_err::write(&aside, content).expect("a file");
        fs_err::rename(&aside, self.path(directory, name)).expect("a rename");
        self.path(directory, name)
    }

    fn by_name(&self, name: &str) -> Option<Arc<Row>> {
        self.catalog.by_name(&name.parse().expect("a package name"))
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn what_lies_in_the_cache_and_is_listed_is_catalogued() {
    let machine = Machine::new();
    let path = machine.put("cache", NAME, b"content");
    machine.put("cache", OTHER, b"from a private repository");
    machine.databases.list(NAME, b"another package, in another repository");
    machine.databases.list(NAME, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    let row = machine.by_name(NAME).expect("a row");
    assert_eq!((&row.path, row.id.sha256), (&path, Sha256::of(b"content")));
    assert!(machine.by_name(OTHER).is_none());
    let progress = *scan.progress().borrow();
    assert_eq!((progress.hashed, progress.hashed_bytes, progress.waiting), (1, 7, 0));
}

#[tokio::test]
async fn an_unchanged_file_is_never_hashed_again() {
    let machine = Machine::new();
    machine.put("cache", NAME, b"content");
    machine.databases.list(NAME, b"content");
    machine.scan().rescan().await;
    let scan = machine.scan();
    scan.rescan().await;
    scan.rescan().await;
    assert!(machine.by_name(NAME).is_some());
    assert_eq!(scan.progress().borrow().hashed, 0);
}

#[tokio::test]
async fn other_content_than_the_database_says_is_hashed_once_and_not_catalogued() {
    let machine = Machine::new();
    machine.put("cache", NAME, b"c0ntent");
    machine.databases.list(NAME, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    scan.rescan().await;
    let progress = *scan.progress().borrow();
    assert_eq!((progress.mismatched, progress.hashed), (1, 1));
    assert!(machine.by_name(NAME).is_none());
    // A database that lists it after all is believed at the next scan.
    machine.databases.list(NAME, b"c0ntent");
    scan.rescan().await;
    assert!(machine.by_name(NAME).is_some());
    assert_eq!(scan.progress().borrow().mismatched, 0);
}

#[tokio::test]
async fn the_scan_follows_the_directory_without_being_told() {
    let machine = Machine::new();
    machine.databases.list(NAME, b"content");
    machine.databases.list(NAME, b"rebuilt");
    let scan = machine.scan();
    scan.rescan().await;
    let path = machine.put("cache", NAME, b"content");
    until("a new file is catalogued", || machine.by_name(NAME).is_some()).await;
    let first = machine.by_name(NAME).expect("a row");
    machine.put("cache", NAME, b"rebuilt");
    let is_new = || machine.by_name(NAME).is_some_and(|row| row.id.sha256 == Sha256::of(b"rebuilt"));
    until("a replaced file is catalogued anew", is_new).await;
    assert!(first.is_withdrawn());
    fs_err::remove_file(path).unwrap();
    until("a removed file leaves", || machine.catalog.totals().packages == 0).await;
}

#[tokio::test]
async fn a_directory_that_was_replaced_is_followed() {
    let machine = Machine::new();
    machine.databases.list(NAME, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    let cache = machine.directory.path().join("cache");
    fs_err::rename(&cache, machine.directory.path().join("old")).unwrap();
    fs_err::create_dir(&cache).unwrap();
    scan.rescan().await;
    machine.put("cache", NAME, b"content");
    until("a file in the new directory is catalogued", || machine.by_name(NAME).is_some()).await;
}

#[tokio::test]
async fn the_stores_copy_goes_once_the_cache_has_the_package() {
    let machine = Machine::new();
    machine.databases.list(NAME, b"content");
    let stored = machine.put("store", STORED, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    assert_eq!(machine.by_name(NAME).expect("a row").path, stored);
    let cached = machine.put("cache", NAME, b"content");
    scan.rescan().await;
    assert_eq!(machine.by_name(NAME).expect("a row").path, cached);
    assert!(!stored.exists());
}

#[tokio::test]
async fn what_lies_in_the_store_is_found_again_after_the_catalog_was_lost() {
    let mut machine = Machine::new();
    machine.databases.list(NAME, b"content");
    machine.databases.list(OTHER, b"other content");
    let stored = machine.put("store", STORED, b"content");
    // In the cache as well: one of the two is enough.
    let superfluous = machine.put("store", "2=b-1-1-any.pkg.tar.zst~", b"other content");
    let cached = machine.put("cache", OTHER, b"other content");
    let incomplete = machine.put("store", "3=a-1-1-any.pkg.tar.zst~", b"cont");
    for lost in [true, false] {
        if lost {
            machine.catalog = Catalog::open(&machine.directory.path().join("another.db"));
        }
        let scan = machine.scan();
        scan.rescan().await;
        assert_eq!(machine.by_name(NAME).expect("a row").path, stored);
        assert_eq!(machine.by_name(OTHER).expect("a row").path, cached);
        scan.rescan().await;
        assert!(incomplete.exists() && stored.exists() && !superfluous.exists());
        assert_eq!(scan.progress().borrow().hashed > 0, lost);
    }
}

#[tokio::test]
async fn what_has_just_come_into_the_store_is_left_to_who_put_it_there() {
    let machine = Machine::new();
    machine.databases.list(NAME, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    machine.put("store", STORED, b"content");
    scan.rescan().await;
    assert_eq!(scan.progress().borrow().hashed, 0);
}

#[tokio::test]
async fn hashing_waits_while_it_is_held_unless_somebody_waits_for_it() {
    let machine = Machine::new();
    for name in [NAME, OTHER] {
        machine.databases.list(name, b"content");
    }
    let goes = machine.put("cache", NAME, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    let hold = scan.hold();
    machine.put("cache", OTHER, b"content");
    let mut progress = scan.progress();
    progress.wait_for(|progress| progress.waiting == 1).await.expect("the scan runs");
    // What is gone leaves the catalog nevertheless.
    fs_err::remove_file(goes).unwrap();
    until("a removed file leaves", || machine.catalog.totals().packages == 0).await;
    assert_eq!(progress.borrow().hashed, 1);
    scan.rescan().await;
    assert!(machine.by_name(OTHER).is_some());
    // Dropped while it is held back, the scan ends at once.
    machine.databases.list(NAME, b"content");
    machine.put("cache", NAME, b"content");
    progress.wait_for(|progress| progress.waiting == 1).await.expect("the scan runs");
    drop((scan, hold));
}

#[tokio::test]
async fn hashing_goes_on_after_the_hold() {
    let machine = Machine::new();
    machine.databases.list(NAME, b"content");
    let scan = machine.scan();
    scan.rescan().await;
    let hold = scan.hold();
    machine.put("cache", NAME, b"content");
    scan.progress().wait_for(|progress| progress.waiting == 1).await.expect("the scan runs");
    drop(hold);
    until("the new file is catalogued", || machine.by_name(NAME).is_some()).await;
}

#[tokio::test]
async fn when_one_of_two_copies_goes_the_other_is_served() {
    let machine = Machine::new();
    machine.databases.list(NAME, b"content");
    let second = machine.directory.path().join("second");
    fs_err::create_dir(&second).unwrap();
    let paths = [machine.put("cache", NAME, b"content"), machine.put("second", NAME, b"content")];
    let options = ScanOptions { cache_dirs: vec![machine.directory.path().join("cache"), second], store: None };
    let scan = CacheScan::start(options, machine.catalog.clone(), machine.databases.clone()).expect("a scan");
    scan.rescan().await;
    let served = machine.by_name(NAME).expect("a row").path.clone();
    fs_err::remove_file(&served).unwrap();
    scan.rescan().await;
    let other = paths.iter().find(|path| **path != served).expect("two paths");
    assert_eq!(&machine.by_name(NAME).expect("a row").path, other);
}

#[tokio::test]
async fn what_looks_like_a_copy_of_a_package_has_its_own_pieces() {
    let machine = Machine::new();
    let second = machine.directory.path().join("second");
    fs_err::create_dir(&second).unwrap();
    let options = ScanOptions { cache_dirs: vec![machine.directory.path().join("cache"), second], store: None };
    let scan = CacheScan::start(options, machine.catalog.clone(), machine.databases.clone()).expect("a scan");
    for (directory, content) in [("cache", b"one"), ("second", b"two")] {
        machine.databases.list(NAME, content);
        let path = machine.put(directory, NAME, content);
        scan.rescan().await;
        let row = machine.catalog.by_path(&path).expect("a row");
        let mut hasher = Hasher::new(3).expect("a small package");
        hasher.update(content);
        assert_eq!(row.info, hasher.finish(NAME.parse().unwrap()).expect("three bytes").info);
    }
    assert_eq!(machine.catalog.totals().packages, 2);
}

#[tokio::test]
async fn newer_files_are_hashed_first() {
    let machine = Machine::new();
    for (age, name) in [(3, "old-1-1-any.pkg.tar.zst"), (1, NAME), (2, OTHER)] {
        machine.databases.list(name, name.as_bytes());
        let path = machine.put("cache", name, name.as_bytes());
        let modified = std::time::SystemTime::now() - Duration::from_hours(age);
        fs_err::File::options().write(true).open(path).unwrap().into_parts().0.set_modified(modified).unwrap();
    }
    let directories = vec![machine.directory.path().join("cache")];
    let options = ScanOptions { cache_dirs: directories, store: None };
    let mut pass = Pass::new(options, machine.catalog.clone(), machine.databases.clone());
    let order: Vec<_> = pass.reconcile().iter().map(|candidate| format!("{candidate:?}")).collect();
    assert_eq!(order.len(), 3);
    assert!(order[0].contains(NAME) && order[1].contains(OTHER), "{order:?}");
}

#[tokio::test]
async fn missing_directories_are_waited_for() {
    let machine = Machine::new();
    let later = machine.directory.path().join("later");
    machine.databases.list(NAME, b"content");
    let options = ScanOptions { cache_dirs: vec![later.clone()], store: None };
    let scan = CacheScan::start(options, machine.catalog.clone(), machine.databases.clone()).expect("a scan");
    scan.rescan().await;
    assert_eq!(scan.progress().borrow().unreadable_dirs, 1);
    fs_err::create_dir(&later).unwrap();
    machine.put("later", NAME, b"content");
    scan.rescan().await;
    assert!(machine.by_name(NAME).is_some());
    assert_eq!(scan.progress().borrow().unreadable_dirs, 0);
}

#[tokio::test]
async fn only_the_scans_own_thread_has_a_low_priority() {
    let ours = PathBuf::from("/proc/thread-self");
    let before = niceness(&ours);
    let scan = Machine::new().scan();
    scan.rescan().await;
    let mut threads = fs_err::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let is_scan = |path: &PathBuf| fs_err::read_to_string(path.join("comm")).is_ok_and(|name| name == "cache-scan\n");
    let scans = threads.find(is_scan).expect("the scan has a thread");
    // Tests may run at a low priority themselves: then it is kept.
    assert_eq!((niceness(&ours), niceness(&scans)), (before, before.max(15)));
}

/// Field 19 of proc(5), of a thread.
fn niceness(thread: &Path) -> i32 {
    let stat = fs_err::read_to_string(thread.join("stat")).expect("a living thread");
    let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
    after_name.split_whitespace().nth(16).and_then(|field| field.parse().ok()).expect("a number")
}
