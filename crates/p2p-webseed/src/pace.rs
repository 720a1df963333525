//! Whether a transfer still moves.

use std::time::Duration;

/// Bytes that must arrive within one stall time-out. Any line that can carry an upgrade carries a hundred times that.
const LEAST_BYTES: u64 = 1024;

/// Counts the time that was spent waiting for the other side, and what it brought.
#[derive(Debug)]
pub(crate) struct Pace {
    stall_timeout: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(stall_timeout: Duration) -> Self {
        Self { stall_timeout, waited: Duration::ZERO, bytes: 0 }
    }

    /// How long to wait for the next bytes, before the transfer has stalled.
    pub(crate) fn patience(&self) -> Duration {
        self.stall_timeout.saturating_sub(self.waited)
    }

    /// Notes that `bytes` came after waiting for `waited`. Time in which nobody waited for them does not count.
    pub(crate) fn handle_bytes(&mut self, bytes: usize, waited: Duration) {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.bytes >= LEAST_BYTES {
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_a_stall() {
        let mut pace = Pace::new(Duration::from_secs(10));
        pace.handle_bytes(1023, Duration::from_secs(4));
        assert_eq!(pace.patience(), Duration::from_secs(6));
        pace.handle_bytes(1, Duration::from_secs(4));
        assert_eq!(pace.patience(), Duration::from_secs(10));
        for _ in 0..3 {
            pace.handle_bytes(1, Duration::from_secs(4));
        }
        assert_eq!(pace.patience(), Duration::ZERO);
    }
}
