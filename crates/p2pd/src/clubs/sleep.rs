//! Notices that the machine has slept.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use p2p_discovery::slept_since_boot;

use crate::upload::Alarm;

/// Connections outlast what is shorter.
const LONG: Duration = Duration::from_secs(30);

/// Until when the alarm waits, which wakes up before: any time that does not come.
const LATER: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How long the machine has slept, as far as has been noticed.
#[derive(Debug)]
pub(crate) struct Sleep {
    /// The kernel takes waking up for a clock that was set.
    alarm: Option<Alarm>,
    noticed: Duration,
}

impl Sleep {
    /// Inside of a Tokio runtime.
    pub(crate) fn new() -> Self {
        let alarm =
            Alarm::new().inspect_err(|error| tracing::warn!(%error, "nobody notices when the machine has slept"));
        Self { alarm: alarm.ok(), noticed: slept_since_boot() }
    }

    /// Returns when the machine has slept for half a minute or more, and is awake again.
    pub(crate) async fn end(&mut self) {
        while !self.notice(slept_since_boot()) {
            let Some(alarm) = &self.alarm else { return std::future::pending().await };
            if let Err(error) = alarm.until(Timestamp::now().saturating_add(LATER).unwrap_or(Timestamp::MAX)).await {
                tracing::warn!(%error, "nobody notices any more when the machine has slept");
                self.alarm = None;
            }
        }
    }

    /// Whether there was a sleep since the last one that was noticed.
    fn notice(&mut self, slept: Duration) -> bool {
        let is_long = slept >= self.noticed + LONG;
        if is_long {
            self.noticed = slept;
        }
        is_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_long_sleep_is_noticed_once() {
        let mut sleep = Sleep { alarm: None, noticed: Duration::from_secs(100) };
        let notices =
            [100, 129, 130, 131, 159, 160, 500, 500].map(|seconds| sleep.notice(Duration::from_secs(seconds)));
        assert_eq!(notices, [false, false, true, false, false, true, true, false]);
    }

    #[tokio::test]
    async fn who_has_slept_before_the_first_look_is_told_at_once() {
        let mut sleep = Sleep::new();
        let now = slept_since_boot();
        if let Some(before) = now.checked_sub(LONG) {
            sleep.noticed = before;
            sleep.end().await;
        }
        assert!(!sleep.notice(slept_since_boot()), "the machine of the tests is awake");
    }
}
