//! How fast the peers nearby have been: those of the local networks and of the configuration, who may have the next package
//! too.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Fewer bytes than this say nothing about a rate: most of the time went into connecting.
const WORTH_NOTING: u64 = 512 * 1024;
/// Who was here so long ago may have gone.
const LIFE: Duration = Duration::from_mins(10);

/// What they did lately.
#[derive(Debug, Default)]
pub(crate) struct PeerBook(Mutex<Option<Record>>);

#[derive(Debug, Clone, Copy)]
struct Record {
    /// Bytes a second, of one swarm.
    rate: u64,
    at: Instant,
}

impl PeerBook {
    /// So many bytes came from peers nearby in a swarm of `size` bytes that took `elapsed`.
    pub(crate) fn note(&self, bytes: u64, size: u64, elapsed: Duration, now: Instant) {
        if size < WORTH_NOTING {
            return;
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let present = bytes.saturating_mul(1000) / millis;
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = record.map_or(present, |record| record.rate);
        *record = Some(Record { rate: before.midpoint(present), at: now });
    }

    /// They were given the first turn, and did not come: less is expected of them, after a few times nothing.
    pub(crate) fn note_absence(&self) {
        let mut record = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = &mut *record {
            record.rate /= 2;
        }
    }

    /// Bytes a second that may be expected of them in one swarm; none where nothing is known.
    pub(crate) fn rate(&self, now: Instant) -> Option<u64> {
        let record = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        record.filter(|record| now.duration_since(record.at) < LIFE).map(|record| record.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn what_peers_do_is_averaged_and_forgotten_after_a_while() {
        let (book, now) = (PeerBook::default(), Instant::now());
        assert_eq!(book.rate(now), None);
        book.note(200_000, 200_000, Duration::from_millis(1), now);
        assert_eq!(book.rate(now), None, "too small to say anything");
        book.note(10 * MIB, 10 * MIB, Duration::from_secs(1), now);
        assert_eq!(book.rate(now), Some(10 * MIB));
        book.note(0, 10 * MIB, Duration::from_secs(1), now);
        assert_eq!(book.rate(now), Some(5 * MIB));
        assert_eq!(book.rate(now + LIFE), None);
        book.note_absence();
        assert_eq!(book.rate(now), Some(5 * MIB / 2));
    }
}
