//! The one place where this crate reads the time: tests that pause Tokio's clock pause this one.

use std::time::Instant;

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
