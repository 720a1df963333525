//! Waiting for a condition, with a bound: the only place in the tests that sleeps until something happens. What is slow or far
//! away on purpose sleeps by itself, and so does who measures how much is done in a time.

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
pub fn wait_for<T>(what: &str, bound: Duration, look: impl FnMut() -> Option<T>) -> T {
    let Some(found) = look_for(LOOK_EVERY, bound, look) else { panic!("waited {bound:?} in vain for {what}") };
    found
}

/// Looks once in every `pace`, for at most `bound`, until there is something: where a look costs whom one looks at, or where
/// there need not be anything.
pub fn look_for<T>(pace: Duration, bound: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + bound;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        thread::sleep(pace);
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
