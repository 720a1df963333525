//! What mirrors did, over all fetches and over the daemon's restarts: one that does not answer costs its time-out once, not
//! once for each file.

mod saved;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_webseed::{MirrorFault, MirrorHealth};
use url::Url;

use super::hedge::{Overtaken, Prospect};

/// Mirrors that are remembered; beyond that, the one that was not used for longest is forgotten.
const MAX_MIRRORS: usize = 256;
/// What a mirror of which nothing is known is expected to need for a [`USUAL_SIZE`].
const UNKNOWN_TIME: Duration = Duration::from_millis(500);
/// The size by which mirrors are compared, in bytes.
const USUAL_SIZE: f64 = 1024.0 * 1024.0;

/// The health of each mirror by scheme, host and port.
#[derive(Debug, Default)]
pub(crate) struct MirrorBook {
    path: PathBuf,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    mirrors: BTreeMap<String, Entry>,
    /// Whether there is something to be saved.
    has_changed: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    health: MirrorHealth,
    used: SystemTime,
}

impl MirrorBook {
    /// What an earlier run saved; nothing where the file is missing or wrong, for these are no more than hints.
    pub(crate) fn load(path: PathBuf, now: Instant, wall: SystemTime) -> Self {
        let mirrors = saved::read(&path, now, wall);
        Self { path, book: Mutex::new(Book { mirrors, has_changed: false }) }
    }

    /// Writes down what has been learnt since the last time. Blocks.
    pub(crate) fn save(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        let mut book = self.lock();
        if !std::mem::take(&mut book.has_changed) {
            return Ok(());
        }
        let text = saved::text(&book.mirrors, now, wall);
        drop(book);
        p2p_state::replace(&self.path, &text)
    }

    /// A mirror failed.
    pub(crate) fn note_fault(&self, mirror: &Url, fault: &MirrorFault, now: Instant) {
        self.change(mirror, |health| _ = health.handle_fault(fault, now));
    }

    /// A mirror delivered.
    pub(crate) fn note_success(&self, mirror: &Url) {
        self.change(mirror, MirrorHealth::handle_success);
    }

    /// A mirror sent a file that is not what the sync database says.
    pub(crate) fn note_bad_bytes(&self, mirror: &Url, now: Instant) {
        self.change(mirror, |health| health.handle_bad_bytes(now));
    }

    /// A mirror began to answer after `elapsed`.
    pub(crate) fn note_first_byte(&self, mirror: &Url, elapsed: Duration) {
        self.change(mirror, |health| health.handle_first_byte(elapsed));
    }

    /// A mirror sent so many bytes over `elapsed`.
    pub(crate) fn note_bytes(&self, mirror: &Url, bytes: u64, elapsed: Duration) {
        self.change(mirror, |health| health.handle_bytes(bytes, elapsed));
    }

    /// A mirror had not answered when one that was asked later did.
    pub(crate) fn note_overtaken(&self, mirror: &Url, overtaken: Overtaken, now: Instant) {
        self.change(mirror, |health| health.handle_silence(overtaken.silence, now));
    }

    /// Orders the mirrors of a file: those that should be left alone last, by who is back first; else the one that pacman
    /// named, then who has been much faster, then as configured.
    pub(crate) fn choose(&self, mirrors: &mut [Url], now: Instant) {
        let book = self.lock();
        let health = |mirror: &Url| book.mirrors.get(&key(mirror)).map(|entry| &entry.health);
        let named = mirrors.first().cloned();
        mirrors.sort_by_cached_key(|mirror| {
            let health = health(mirror);
            let slowness = health.and_then(expected_time).unwrap_or(UNKNOWN_TIME).as_millis().max(1).ilog2();
            (health.and_then(|health| health.backs_off_until(now)), named.as_ref() != Some(mirror), slowness)
        });
    }

    /// Bytes a second that one stream of this mirror brings; none where nothing is known.
    pub(crate) fn rate(&self, mirror: &Url) -> Option<u64> {
        self.lock().mirrors.get(&key(mirror)).and_then(|entry| entry.health.rate())
    }

    /// What to expect of a mirror that may be asked.
    pub(crate) fn prospect(&self, mirror: &Url, now: Instant) -> Prospect {
        let book = self.lock();
        let unknown = MirrorHealth::default();
        let health = book.mirrors.get(&key(mirror)).map_or(&unknown, |entry| &entry.health);
        Prospect { patience: health.patience(), backs_off: health.backs_off_until(now).is_some(), rate: health.rate() }
    }

    /// How long a mirror should still be left alone, since it has failed; none where it need not be.
    pub(crate) fn rest(&self, mirror: &Url, now: Instant) -> Option<Duration> {
        let book = self.lock();
        let until = book.mirrors.get(&key(mirror))?.health.backs_off_until(now)?;
        Some(until.saturating_duration_since(now))
    }

    fn change(&self, mirror: &Url, change: impl FnOnce(&mut MirrorHealth)) {
        let mut book = self.lock();
        let key = key(mirror);
        if book.mirrors.len() >= MAX_MIRRORS && !book.mirrors.contains_key(&key) {
            let oldest = book.mirrors.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| book.mirrors.remove(&oldest));
        }
        let used = SystemTime::now();
        let entry = book.mirrors.entry(key).or_insert_with(|| Entry { health: MirrorHealth::default(), used });
        change(&mut entry.health);
        entry.used = used;
        book.has_changed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a file of the usual size takes, where anything is known of the mirror.
fn expected_time(health: &MirrorHealth) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let transfer = health.rate().map(|rate| Duration::from_secs_f64(USUAL_SIZE / rate.max(1) as f64));
    health.first_byte().map(|first_byte| first_byte + transfer.unwrap_or_default()).or(transfer)
}

fn key(mirror: &Url) -> String {
    mirror.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_mirror_that_failed_is_left_alone_while_another_is_well() {
        let (bad, good) = (url("http://bad/core/a"), url("http://good/core/a"));
        let (book, now) = (MirrorBook::default(), Instant::now());
        let chosen = || {
            let mut mirrors = vec![bad.clone(), good.clone()];
            book.choose(&mut mirrors, now);
            mirrors
        };
        assert_eq!(chosen(), [bad.clone(), good.clone()]);
        book.note_fault(&url("http://bad/extra/other"), &MirrorFault::Stalled, now);
        assert_eq!(chosen(), [good.clone(), bad.clone()], "it is the last one to be asked");
        book.note_fault(&good, &MirrorFault::Stalled, now + Duration::from_secs(1));
        assert_eq!(chosen(), [bad.clone(), good.clone()]);
        book.note_success(&bad);
        book.note_success(&good);
        book.note_bad_bytes(&bad, now);
        assert_eq!(chosen(), [good.clone(), bad.clone()]);
    }

    #[test]
    fn the_named_mirror_is_first_and_the_fastest_of_the_others_next() {
        let [named, slow, unknown, fast] =
            ["named", "slow", "unknown", "fast"].map(|host| url(&format!("http://{host}/a")));
        let (book, now) = (MirrorBook::default(), Instant::now());
        for (mirror, millis, rate) in [(&named, 1500, 10_000), (&slow, 900, 500_000), (&fast, 20, 20_000_000)] {
            book.note_first_byte(mirror, Duration::from_millis(millis));
            book.note_bytes(mirror, rate, Duration::from_secs(1));
        }
        let mut mirrors = vec![named.clone(), slow.clone(), unknown.clone(), fast.clone()];
        book.choose(&mut mirrors, now);
        assert_eq!(mirrors, [named, fast, unknown, slow]);
    }

    #[test]
    fn what_was_learnt_survives_a_restart() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("mirrors.json");
        let (dead, slow) = (url("http://dead/core/a"), url("http://slow/core/a"));
        let (now, wall) = (Instant::now(), SystemTime::now());
        let read = |after: Duration| MirrorBook::load(path.clone(), now, wall + after);
        let book = read(Duration::ZERO);
        book.note_fault(&dead, &MirrorFault::Stalled, now);
        book.note_first_byte(&slow, Duration::from_millis(600));
        book.save(now, wall).expect("a temporary directory");
        let patience = book.prospect(&slow, now).patience;
        assert!(read(Duration::from_secs(50)).prospect(&dead, now).backs_off);
        assert!(!read(Duration::from_secs(70)).prospect(&dead, now).backs_off);
        assert_eq!(read(Duration::ZERO).prospect(&slow, now).patience, patience);
        fs_err::remove_file(&path).expect("the file");
        book.save(now, wall).expect("a temporary directory");
        assert!(!path.exists(), "nothing has changed since");
    }

    #[test]
    fn no_more_than_so_many_are_remembered_and_the_newest_are() {
        let book = MirrorBook::default();
        for number in 0..2 * MAX_MIRRORS {
            book.note_first_byte(&url(&format!("http://m{number}/a")), Duration::from_millis(1));
        }
        let last = url(&format!("http://m{}/a", 2 * MAX_MIRRORS - 1));
        let mirrors = &book.lock().mirrors;
        assert_eq!(mirrors.len(), MAX_MIRRORS);
        assert!(mirrors.contains_key(&key(&last)));
    }
}
