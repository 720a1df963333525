//! Signatures fetched beside their packages: pacman asks for one as soon as it has the package.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// How long a signature, or the knowledge that there are none, is good for.
const LIFE: Duration = Duration::from_mins(10);
/// Signatures that are kept; pacman lets none be larger than 16 KiB, and most have a few hundred bytes.
const MAX_KEPT: usize = 1024;

/// What is known about signatures.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    kept: BTreeMap<String, (Instant, Bytes)>,
    /// Repositories of which no mirror had a package's signature.
    unsigned: BTreeMap<String, Instant>,
}

impl Signatures {
    /// Keeps the signature of a package; `key` tells packages apart.
    pub(super) fn put(&self, repository: &str, key: &str, signature: Bytes, now: Instant) {
        let mut table = self.lock();
        table.unsigned.remove(repository);
        table.kept.retain(|_, (at, _)| now.duration_since(*at) < LIFE);
        if table.kept.len() >= MAX_KEPT {
            let oldest = table.kept.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.map(|key| table.kept.remove(&key));
        }
        table.kept.insert(key.to_owned(), (now, signature));
    }

    /// The signature of a package, where it was kept.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Bytes> {
        let table = self.lock();
        table.kept.get(key).filter(|(at, _)| now.duration_since(*at) < LIFE).map(|(_, signature)| signature.clone())
    }

    /// Every mirror said that it has no signature of a package of this repository.
    pub(super) fn note_unsigned(&self, repository: &str, now: Instant) {
        self.lock().unsigned.insert(repository.to_owned(), now);
    }

    /// Whether that was so lately. Then a package does not wait until all mirrors have said it again.
    pub(super) fn are_missing(&self, repository: &str, now: Instant) -> bool {
        self.lock().unsigned.get(repository).is_some_and(|at| now.duration_since(*at) < LIFE)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_kept_for_a_while() {
        let (signatures, start) = (Signatures::default(), Instant::now());
        signatures.put("core", "a", Bytes::from_static(b"signed"), start);
        assert_eq!(signatures.get("a", start + LIFE / 2).as_deref(), Some(b"signed".as_slice()));
        assert_eq!(signatures.get("a", start + LIFE), None);
        assert_eq!(signatures.get("b", start), None);
    }

    #[test]
    fn the_oldest_signature_makes_room() {
        let (signatures, start) = (Signatures::default(), Instant::now());
        for n in 0..=MAX_KEPT {
            let at = start + Duration::from_millis(n as u64);
            signatures.put("core", &format!("{:x}", n.wrapping_mul(7919) % 65_536), Bytes::new(), at);
        }
        assert_eq!(signatures.lock().kept.len(), MAX_KEPT);
        assert_eq!(signatures.get("0", start), None);
    }

    #[test]
    fn a_repository_without_signatures_is_remembered_for_a_while() {
        let (signatures, start) = (Signatures::default(), Instant::now());
        signatures.note_unsigned("core", start);
        assert!(signatures.are_missing("core", start + LIFE / 2));
        assert!(!signatures.are_missing("core", start + LIFE) && !signatures.are_missing("extra", start));
        signatures.put("core", "a", Bytes::new(), start);
        assert!(!signatures.are_missing("core", start), "there is one after all");
    }
}
