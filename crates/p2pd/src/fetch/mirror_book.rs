//! What mirrors did lately, over all fetches: one that does not answer costs its time-out once, not once for each file.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use p2p_webseed::{MirrorFault, MirrorHealth};
use url::Url;

/// Mirrors that are remembered; beyond that, new ones are taken as healthy.
const MAX_MIRRORS: usize = 256;

/// The health of each mirror by scheme, host and port.
#[derive(Debug, Default)]
pub(crate) struct MirrorBook(Mutex<BTreeMap<String, MirrorHealth>>);

impl MirrorBook {
    /// A mirror failed.
    pub(crate) fn note_fault(&self, mirror: &Url, fault: &MirrorFault, now: Instant) {
        let mut book = self.lock();
        let key = key(mirror);
        if book.len() < MAX_MIRRORS || book.contains_key(&key) {
            book.entry(key).or_default().handle_fault(fault, now);
        }
    }

    /// A mirror delivered.
    pub(crate) fn note_success(&self, mirror: &Url) {
        if let Some(health) = self.lock().get_mut(&key(mirror)) {
            health.handle_success();
        }
    }

    /// Leaves out the mirrors that should be left alone, or where that would be all, orders them by who is back first.
    pub(crate) fn choose(&self, mirrors: &mut Vec<Url>, now: Instant) {
        let book = self.lock();
        let backs_off = |mirror: &Url| book.get(&key(mirror)).and_then(|health| health.backs_off_until(now));
        mirrors.sort_by_key(backs_off);
        let healthy = mirrors.iter().take_while(|mirror| backs_off(mirror).is_none()).count();
        if healthy > 0 {
            mirrors.truncate(healthy);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, MirrorHealth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(mirror: &Url) -> String {
    mirror.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use std::slice;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_mirror_that_failed_is_left_alone_while_another_is_well() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let (bad, good) = (url("http://bad/core/a"), url("http://good/core/a"));
        let (book, now) = (MirrorBook::default(), Instant::now());
        let chosen = || {
            let mut mirrors = vec![bad.clone(), good.clone()];
            book.choose(&mut mirrors, now);
            mirrors
        };
        assert_eq!(chosen(), [bad.clone(), good.clone()]);
        book.note_fault(&url("http://bad/extra/other"), &MirrorFault::Stalled, now);
        assert_eq!(chosen(), slice::from_ref(&good));
        book.note_fault(&good, &MirrorFault::Stalled, now + Duration::from_secs(1));
        assert_eq!(chosen(), [bad.clone(), good.clone()], "where all have failed, all are asked");
        book.note_success(&bad);
        assert_eq!(chosen(), [bad]);
    }
}
