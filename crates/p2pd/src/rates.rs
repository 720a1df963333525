//! How fast bytes move now, for people: measured once a second from totals.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Bytes a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) upload: u64,
    pub(crate) download: u64,
}

/// The last measurement.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    last: Mutex<Option<Measurement>>,
}

#[derive(Debug, Clone, Copy)]
struct Measurement {
    at: Instant,
    uploaded: u64,
    downloaded: u64,
    now: Now,
}

impl Rates {
    /// Takes the totals in, in bytes.
    pub(crate) fn measure(&self, uploaded: u64, downloaded: u64, at: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = last.map_or(Now::default(), |last| last.until(uploaded, downloaded, at));
        *last = Some(Measurement { at, uploaded, downloaded, now });
    }

    /// The rates between the last two measurements.
    pub(crate) fn now(&self) -> Now {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).map_or(Now::default(), |last| last.now)
    }
}

impl Measurement {
    fn until(&self, uploaded: u64, downloaded: u64, at: Instant) -> Now {
        let millis = u64::try_from(at.duration_since(self.at).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |before: u64, after: u64| after.saturating_sub(before).saturating_mul(1000) / millis;
        Now { upload: rate(self.uploaded, uploaded), download: rate(self.downloaded, downloaded) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let (rates, start) = (Rates::default(), Instant::now());
        rates.measure(100, 1000, start);
        assert_eq!(rates.now(), Now::default());
        rates.measure(300, 1000, start + Duration::from_millis(500));
        assert_eq!(rates.now(), Now { upload: 400, download: 0 });
    }
}
