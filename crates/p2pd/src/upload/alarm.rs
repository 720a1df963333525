//! Wakes up at a time of the wall clock, also after a suspend, and whenever that clock is set.

use std::io;
use std::os::fd::OwnedFd;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel (`timerfd_create(2)`).
#[derive(Debug)]
pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// Inside of a Tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        #[expect(deprecated, reason = "its successor is unsafe for types that close a descriptor while they live")]
        AsyncFd::new(timer).map(Self)
    }

    /// Returns at this time, at once where it is past, and early where the clock is set meanwhile.
    pub(crate) async fn until(&self, at: Timestamp) -> io::Result<()> {
        // A zero would disarm it.
        let at = Timespec { tv_sec: at.as_second().max(1), tv_nsec: at.subsec_nanosecond().max(0).into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        match timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once) {
            // The clock was set before anybody read of it: the kernel says so, and the timer is armed all the same.
            Ok(_) | Err(Errno::CANCELED) => (),
            Err(error) => return Err(error.into()),
        }
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| match rustix::io::read(timer, &mut [0_u8; 8]) {
                // The clock has been set.
                Ok(_) | Err(Errno::CANCELED) => Ok(()),
                Err(error) => Err(error.into()),
            });
            if let Ok(outcome) = read {
                return outcome;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn it_wakes_up_in_time_and_can_be_set_again() {
        let alarm = Alarm::new().expect("a timer");
        let started = Instant::now();
        for _ in 0..2 {
            let soon = Timestamp::now().checked_add(SignedDuration::from_millis(40)).expect("soon");
            alarm.until(soon).await.expect("it rings");
            assert!(Timestamp::now() >= soon);
        }
        alarm.until(Timestamp::UNIX_EPOCH).await.expect("the past rings at once");
        assert!((Duration::from_millis(80)..Duration::from_secs(5)).contains(&started.elapsed()));
    }
}
