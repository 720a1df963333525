//! The file beside the socket that a living daemon touches every second.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use p2p_api::{HEARTBEAT_MAX_AGE, heartbeat_path};

/// Looks at one daemon's heartbeat file.
#[derive(Debug)]
pub(crate) struct Heartbeat(PathBuf);

impl Heartbeat {
    pub(crate) fn of(socket: &Path) -> Self {
        Self(heartbeat_path(socket))
    }

    /// Whether the daemon has certainly stopped touching the file. A file that can't be read says nothing.
    pub(crate) fn is_stale(&self) -> bool {
        let touched = rustix::fs::stat(&self.0).ok().and_then(|stat| {
            let since_epoch = Duration::from_secs(stat.st_mtime.try_into().ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since_epoch + Duration::from_nanos(stat.st_mtime_nsec))
        });
        touched.is_some_and(|touched| is_too_old(touched, SystemTime::now()))
    }
}

/// A time in the future is no proof: somebody has set the clock back.
fn is_too_old(touched: SystemTime, now: SystemTime) -> bool {
    now.duration_since(touched).is_ok_and(|age| age > HEARTBEAT_MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_too_old_after_three_seconds_and_never_when_from_the_future() {
        let now = SystemTime::now();
        assert!(!is_too_old(now, now));
        assert!(!is_too_old(now - HEARTBEAT_MAX_AGE, now));
        assert!(is_too_old(now - HEARTBEAT_MAX_AGE - Duration::from_millis(1), now));
        assert!(!is_too_old(now + Duration::from_hours(1), now));
    }

    #[test]
    fn a_missing_heartbeat_says_nothing() {
        assert!(!Heartbeat::of(Path::new("/nonexistent/p2pd.sock")).is_stale());
    }
}
