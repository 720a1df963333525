//! The mirror book as a file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use p2p_webseed::{HealthRecord, MirrorHealth};
use serde::{Deserialize, Serialize};

use super::{Entry, MAX_MIRRORS};
use crate::fetch::package::seconds_since_1970;

/// A mirror that was not used for so long is forgotten.
const LIFE: Duration = Duration::from_hours(24 * 30);
/// The largest file that is read, in bytes: twice what [`MAX_MIRRORS`] need.
const MAX_BYTES: u64 = 256 * 1024;

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    mirrors: BTreeMap<String, Mirror>,
}

/// One mirror. Times of day are seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
struct Mirror {
    used: u64,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    leave_alone_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_microseconds: Option<u64>,
    deviation_microseconds: u64,
}

/// The text of the file.
pub(super) fn text(mirrors: &BTreeMap<String, Entry>, now: Instant, wall: SystemTime) -> Vec<u8> {
    let mirrors = mirrors.iter().map(|(name, entry)| (name.clone(), Mirror::new(entry, now, wall))).collect();
    serde_json::to_vec_pretty(&File { mirrors }).expect("texts and numbers are JSON")
}

/// What the file says; nothing where it is missing or wrong.
pub(super) fn read(path: &Path, now: Instant, wall: SystemTime) -> BTreeMap<String, Entry> {
    let file = match fs_err::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Ok(metadata) if metadata.len() > MAX_BYTES => Err(io::Error::other("it is too large")),
        Ok(_) => fs_err::read(path).and_then(|text| Ok(serde_json::from_slice::<File>(&text)?)),
        Err(error) => Err(error),
    };
    let file = file.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was known of mirrors cannot be read");
        File::default()
    });
    let mut mirrors: Vec<_> = file.mirrors.into_iter().filter(|(_, mirror)| mirror.is_recent(wall)).collect();
    mirrors.sort_by_key(|(_, mirror)| std::cmp::Reverse(mirror.used));
    mirrors.truncate(MAX_MIRRORS);
    mirrors.into_iter().map(|(name, mirror)| (name, mirror.entry(now, wall))).collect()
}

impl Mirror {
    fn new(entry: &Entry, now: Instant, wall: SystemTime) -> Self {
        let record = entry.health.record(now);
        Self {
            used: seconds_since_1970(entry.used).unwrap_or_default(),
            failures: record.failures,
            leave_alone_until: record.back_off.and_then(|wait| seconds_since_1970(wall + wait)),
            bytes_per_second: record.rate,
            first_byte_microseconds: record.first_byte.map(microseconds),
            deviation_microseconds: microseconds(record.deviation),
        }
    }

    /// A date in the future is of a clock that was wrong.
    fn is_recent(&self, wall: SystemTime) -> bool {
        let now = seconds_since_1970(wall).unwrap_or_default();
        now.saturating_sub(self.used) < LIFE.as_secs()
    }

    fn entry(&self, now: Instant, wall: SystemTime) -> Entry {
        let seconds = seconds_since_1970(wall).unwrap_or_default();
        let left = self.leave_alone_until.map(|until| until.saturating_sub(seconds)).filter(|left| *left > 0);
        let record = HealthRecord {
            failures: self.failures,
            back_off: left.map(Duration::from_secs),
            rate: self.bytes_per_second,
            first_byte: self.first_byte_microseconds.map(Duration::from_micros),
            deviation: Duration::from_micros(self.deviation_microseconds),
        };
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(self.used.min(seconds));
        Entry { health: MirrorHealth::restored(&record, now), used }
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors_in(text: &str) -> BTreeMap<String, Entry> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("mirrors.json");
        fs_err::write(&path, text).expect("a temporary directory");
        read(&path, Instant::now(), SystemTime::UNIX_EPOCH + LIFE * 10)
    }

    fn mirror(used: u64) -> String {
        format!("\"http://m{used}\": {{ \"used\": {used}, \"failures\": 0, \"deviation_microseconds\": 0 }}")
    }

    #[test]
    fn a_file_that_is_wrong_or_too_large_says_nothing() {
        let huge = " ".repeat(300_000);
        for wrong in ["", "{", "[]", "{\"mirrors\": {\"http://a\": 1}}", &huge] {
            assert!(mirrors_in(wrong).is_empty());
        }
    }

    #[test]
    fn mirrors_not_used_for_long_are_forgotten_and_so_are_too_many() {
        let (old, recent, future) = (LIFE.as_secs(), LIFE.as_secs() * 10 - 5, u64::MAX);
        let text = [old, recent, future].map(mirror).join(",");
        let read = mirrors_in(&format!("{{\"mirrors\": {{ {text} }} }}"));
        assert_eq!(read.len(), 2);
        assert!(read[&format!("http://m{future}")].used <= SystemTime::UNIX_EPOCH + LIFE * 10);
        let many: Vec<String> = (0..400).map(|number| mirror(recent - number)).collect();
        let read = mirrors_in(&format!("{{\"mirrors\": {{ {} }} }}", many.join(",")));
        assert_eq!(read.len(), MAX_MIRRORS);
        assert!(read.contains_key(&format!("http://m{recent}")));
    }
}
