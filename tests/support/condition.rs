//! Waiting for a condition, with a bound: the only place in the tests that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at. Short against every bound, long against the cost of a look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something, and gives it.
///
/// # Panics
///
/// Where there is nothing within `bound`; `what` completes "waited for …".
#[track_caller]
pub fn wait_for<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {bound:?} in vain for {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Looks until the condition holds.
///
/// # Panics
///
/// Where it does not hold within `bound`; `what` completes "waited for …".
#[track_caller]
pub fn wait_until(what: &str, bound: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, bound, || holds().then_some(()));
}
