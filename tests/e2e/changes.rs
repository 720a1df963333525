//! Packages that go, or become others, while somebody downloads them: never a wrong byte, and soon none at all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;
use p2p_package::Info;
use p2p_tests::{Caller, Host, NoPiece, Package, PackageSpec, Payload, wait_until};

use crate::world::{FETCH_WITHIN, Machine, World};

/// "Within a second or so": the directory has to be quiet for a moment first.
const CUT_WITHIN: Duration = Duration::from_millis(2_500);
/// Six pieces.
const SIZE: u64 = 1_500_000;

/// A machine that seeds what lies in pacman's cache, whose store is empty.
struct Seed {
    world: World,
    machine: Machine,
}

/// Somebody who downloads a package over and over, until he is cut off.
struct Leech {
    pieces: Arc<AtomicU32>,
    thread: JoinHandle<(NoPiece, Instant)>,
}

impl Seed {
    /// Seeds these, each in the version that comes last.
    fn of(packages: &[PackageSpec]) -> (Self, Vec<Package>) {
        let world = World::new();
        world.repository.write_database();
        let machine = world.machine(&["http://127.0.0.1:9/$repo/os/$arch".into()]).start();
        let mut seed = Self { world, machine };
        let put = |(count, spec): (u64, &PackageSpec)| {
            let package = seed.world.repository.add(spec);
            seed.list_all();
            fs::copy(&package.path, seed.machine.pacman.cached(&package)).expect("the cache is ours");
            seed.rescan();
            seed.machine.wait_seeding(count);
            package
        };
        let packages = (1..).zip(packages).map(put).collect();
        (seed, packages)
    }

    /// Puts the database in place that lists what the repository has.
    fn list_all(&self) {
        self.world.repository.write_database();
        self.machine.pacman.place_database(&self.world.repository);
    }

    fn rescan(&self) {
        self.machine.daemon.p2pctl(&["rescan"]).succeeded();
    }

    fn leech(&self, package: &Package) -> Leech {
        let mut caller = self.call(package);
        let (pieces, info) = (Arc::new(AtomicU32::new(0)), package.info.clone());
        let counted = Arc::clone(&pieces);
        let thread = std::thread::spawn(move || {
            loop {
                if let Err(end) = all_pieces(&mut caller, &info, &counted) {
                    return (end, Instant::now());
                }
            }
        });
        let leech = Leech { pieces, thread };
        leech.wait_for_more();
        leech
    }

    /// A connection that may ask, and does not.
    fn call(&self, package: &Package) -> Caller {
        let listen = self.machine.daemon.listen();
        let mut caller = Caller::dial(&Host::loopback(), listen, &package.info.info_hash()).expect("the port is open");
        assert!(caller.is_answered(), "{}", self.machine.daemon.log());
        caller.wait_unchoked().expect("there are slots");
        caller
    }

    /// Nobody new gets anything of it.
    #[track_caller]
    fn assert_refused(&self, package: &Package) {
        let listen = self.machine.daemon.listen();
        let mut caller = Caller::dial(&Host::loopback(), listen, &package.info.info_hash()).expect("the port is open");
        assert!(!caller.is_answered());
    }

    #[track_caller]
    fn wait_seeding(&mut self, count: u64) {
        let is_so = |status: &p2p_tests::Status| status.number("packages_seeded") == count;
        self.machine.daemon.wait_for_status("so many packages in the catalog", FETCH_WITHIN, is_so);
    }
}

fn all_pieces(caller: &mut Caller, info: &Info, counted: &AtomicU32) -> Result<(), NoPiece> {
    let last = u32::try_from(info.pieces().len()).expect("a package has few pieces");
    (0..last).try_for_each(|piece| caller.piece(info, piece).map(|()| _ = counted.fetch_add(1, Ordering::Relaxed)))
}

impl Leech {
    /// Waits until all pieces have come once more.
    #[track_caller]
    fn wait_for_more(&self) {
        let before = self.pieces.load(Ordering::Relaxed);
        wait_until("more right pieces", FETCH_WITHIN, || self.pieces.load(Ordering::Relaxed) >= before + 6);
    }

    /// He was cut off soon after `changed`, and had nothing but right pieces.
    #[track_caller]
    fn assert_cut(self, changed: Instant) {
        let (end, at) = self.thread.join().expect("downloading does not panic");
        let NoPiece::Ended(error) = end else { panic!("a wrong piece: {end:?}") };
        let timed_out = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!timed_out, "the connection stayed open");
        let after = at.saturating_duration_since(changed);
        assert!(after < CUT_WITHIN, "cut off {after:?} after the change");
    }
}

fn big(name: &str) -> PackageSpec {
    PackageSpec::new(name).payload(Payload::Random(SIZE))
}

#[test]
fn what_pacman_cleans_out_of_its_cache_is_not_sent_from_then_on() {
    let (mut seed, packages) = Seed::of(&[big("wanted")]);
    let (leech, mut idle) = (seed.leech(&packages[0]), seed.call(&packages[0]));
    seed.machine.pacman.pacman(&["-Sc"]).succeeded();
    let changed = Instant::now();
    assert!(!seed.machine.pacman.cached(&packages[0]).exists(), "pacman keeps what is installed only");
    assert!(idle.is_hung_up(CUT_WITHIN), "{}", seed.machine.daemon.log());
    leech.assert_cut(changed);
    seed.wait_seeding(0);
    seed.assert_refused(&packages[0]);
}

#[test]
fn an_old_version_that_is_deleted_ends_and_the_new_one_goes_on() {
    let (mut seed, packages) = Seed::of(&[big("wanted"), big("wanted").version("2-1")]);
    let [mut old, mut new] = [&packages[0], &packages[1]].map(|package| (seed.leech(package), seed.call(package)));
    fs::remove_file(seed.machine.pacman.cached(&packages[0])).expect("the cache is ours");
    let changed = Instant::now();
    assert!(old.1.is_hung_up(CUT_WITHIN), "{}", seed.machine.daemon.log());
    old.0.assert_cut(changed);
    seed.wait_seeding(1);
    seed.assert_refused(&packages[0]);
    new.0.wait_for_more();
    new.1.piece(&packages[1].info, 0).expect("a right piece");
    fs::remove_file(seed.machine.pacman.cached(&packages[1])).expect("the cache is ours");
    new.0.assert_cut(Instant::now());
}

#[test]
fn a_connection_that_asks_for_nothing_ends_with_its_package_too() {
    let (mut seed, packages) = Seed::of(&[big("wanted"), big("other")]);
    let [mut idle, mut other] = [&packages[0], &packages[1]].map(|package| seed.call(package));
    fs::remove_file(seed.machine.pacman.cached(&packages[0])).expect("the cache is ours");
    assert!(idle.is_hung_up(CUT_WITHIN), "{}", seed.machine.daemon.log());
    seed.wait_seeding(1);
    other.piece(&packages[1].info, 5).expect("a right piece");
}

/// Runs `replace` on the cached file while it is downloaded.
fn replace_during_download(replace: impl FnOnce(&Path, &[u8])) -> (Seed, Package) {
    let (mut seed, packages) = Seed::of(&[big("wanted")]);
    let package = packages[0].clone();
    let (leech, mut idle) = (seed.leech(&package), seed.call(&package));
    let mut other = package.bytes();
    other.reverse();
    replace(&seed.machine.pacman.cached(&package), &other);
    let changed = Instant::now();
    assert!(idle.is_hung_up(CUT_WITHIN), "{}", seed.machine.daemon.log());
    leech.assert_cut(changed);
    seed.wait_seeding(0);
    seed.assert_refused(&package);
    (seed, package)
}

#[test]
fn a_rebuilt_package_put_in_place_of_one_that_is_being_sent_is_not_sent_as_that() {
    let (mut seed, package) = replace_during_download(|path, other| {
        let aside = path.with_extension("part");
        fs::write(&aside, other).expect("the cache is ours");
        fs::rename(aside, path).expect("the cache is ours");
    });
    // The database follows, with other bytes under the same name: then it is another package.
    let rebuilt = PackageSpec::new("wanted").payload(Payload::Text(SIZE));
    let rebuilt = seed.world.repository.add(&rebuilt);
    assert_eq!(rebuilt.file_name(), package.file_name());
    let cached = seed.machine.pacman.cached(&rebuilt);
    fs::copy(&rebuilt.path, cached.with_extension("part")).expect("the cache is ours");
    fs::rename(cached.with_extension("part"), &cached).expect("the cache is ours");
    seed.list_all();
    seed.rescan();
    seed.wait_seeding(1);
    seed.call(&rebuilt).piece(&rebuilt.info, 0).expect("a right piece");
    seed.assert_refused(&package);
}

#[test]
fn a_package_written_anew_where_it_lies_is_not_sent_half_and_half() {
    replace_during_download(|path, other| fs::write(path, other).expect("the cache is ours"));
}

#[test]
fn a_package_changed_in_the_middle_is_not_sent_even_if_its_time_is_set_back() {
    replace_during_download(|path, other| {
        use std::os::unix::fs::FileExt;
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let file = fs::OpenOptions::new().write(true).open(path).expect("the cache is ours").into_parts().0;
        for start in (0..other.len()).step_by(100_000) {
            let end = (start + 4_000).min(other.len());
            file.write_all_at(&other[start..end], start as u64).expect("the cache is ours");
        }
        file.set_modified(modified).expect("the cache is ours");
    });
}

#[test]
fn a_package_cut_short_is_not_sent() {
    replace_during_download(|path, _| {
        let file = fs::OpenOptions::new().write(true).open(path).expect("the cache is ours");
        file.set_len(100_000).expect("the cache is ours");
    });
}
