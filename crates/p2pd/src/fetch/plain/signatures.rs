//! Signatures that come with a database, or from a neighbour.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use p2p_neighbours::{Answer, Neighbour, Replies, Reply};
use p2p_package::{PackageId, Sha256, Sha256Hasher};
use p2p_pacman::Kind;
use p2p_seeder::Row;
use p2p_wire::{What, Wishes};
use tokio::time::timeout_at;

use super::delivery::save;
use super::{Despair, PlainFetch};
use crate::clubs::turn_away;
use crate::fetch::content::Content;
use crate::fetch::snapshot::Outcome;
use crate::fetch::store::Store;
use crate::keyring::{MAX_SIGNATURE_BYTES, VerifyFault, read_signature};
use crate::services::Services;
use crate::sharing::Reach;

/// Neighbours that answer later are not waited for, nor are those that send a signature more slowly.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Neighbours that are asked for a signature at one time.
const MOST_ASKED: usize = 16;
/// Signatures that are looked at; the last one begins this long after neighbours were asked, at the latest.
const MOST_TRIES: usize = 16;
const TRIES_WITHIN: Duration = Duration::from_secs(5);
/// The pause before a neighbour is asked again that does not send a signature at first; twice as long each time.
const BUSY_FOR: Duration = Duration::from_millis(20);
/// Files of one package in the store: one an attempt.
const MOST_ATTEMPTS: u32 = 4;
/// Bytes that are hashed in one go.
const BUFFER: usize = 256 * 1024;

impl PlainFetch {
    /// The signature of a database. Whatever mirrors say, it belongs to the database that was handed over.
    pub(super) async fn signature_of(&self, database: &str, asked: Instant) -> Outcome {
        let despair = tokio::select! {
            biased;
            pair = self.pair(database) => return pair,
            raced = self.race(asked) => match raced {
                Ok(outcome) => return self.signed_by_mirror(database, outcome).await,
                Err(despair) => despair,
            },
        };
        self.services.fetches.settle(database).await;
        if self.services.databases.is_without_mirrors(database, Instant::now()) {
            return self.pair(database).await;
        }
        if let Some(signature) = self.services.databases.get(database).and_then(|copy| copy.signature())
            && matches!(despair, Despair::Undelivered | Despair::Unreachable)
        {
            return self.services.passing.put(signature).await;
        }
        if despair == Despair::AllLack {
            self.services.databases.note_unsigned(database.to_owned(), asked);
        }
        self.failure(despair)
    }

    /// The signature that came with a database which no mirror had a say in; otherwise never ends.
    async fn pair(&self, database: &str) -> Outcome {
        self.services.fetches.settle(database).await;
        if !self.services.databases.is_without_mirrors(database, Instant::now()) {
            return std::future::pending().await;
        }
        match self.services.databases.get(database).and_then(|copy| copy.signature()) {
            Some(signature) => self.services.passing.put(signature).await,
            None => self.failure(Despair::AllLack),
        }
    }

    async fn signed_by_mirror(&self, database: &str, outcome: Outcome) -> Outcome {
        self.services.fetches.settle(database).await;
        let databases = &self.services.databases;
        if databases.is_without_mirrors(database, Instant::now()) {
            return self.pair(database).await;
        }
        if let Outcome::Ready(ready) = &outcome {
            let (services, path, key) = (Arc::clone(&self.services), ready.path.clone(), database.to_owned());
            // The clients need not wait for the disk.
            tokio::task::spawn_blocking(move || {
                let Ok(signature) = fs_err::read(path) else { return };
                if services.databases.sign(&key, &signature)
                    && let Some(copy) = services.databases.get(&key)
                {
                    save(&services.databases, &services.databases.path(&copy));
                }
            });
        }
        outcome
    }

    /// The signature of a package that a neighbour has, and that is good.
    pub(super) async fn signature_of_neighbours(&self) -> Option<Outcome> {
        let (id, repository) = (self.package.as_ref()?, self.repository.as_deref()?);
        if self.services.neighbours.count() == 0
            || self.services.knowledge.last_sharing().reach(id, repository) == Reach::Nobody
        {
            return None;
        }
        // Nothing can be verified without the package.
        self.services.fetches.settle(&id.sha256.to_string()).await;
        let (services, wanted) = (Arc::clone(&self.services), id.clone());
        let package = tokio::task::spawn_blocking(move || find(&services, &wanted)).await;
        let package = package.expect("reading a package does not panic")?;
        let replies = self.services.neighbours.ask(&[id.sha256], Wishes { info: false, signature: true });
        self.first_good(id.sha256, replies, &package).await
    }

    /// The first signature that is good. Who lies, or is slow, makes way for others.
    async fn first_good(&self, id: Sha256, mut replies: Replies, package: &Path) -> Option<Outcome> {
        let begun = tokio::time::Instant::now();
        let (mut coming, mut is_asking, mut tries) = (FuturesUnordered::new(), true, 0);
        while tries < MOST_TRIES && begun.elapsed() < TRIES_WITHIN {
            let (neighbour, signature) = tokio::select! {
                reply = timeout_at(begun + ANSWERS_WITHIN, replies.next()), if is_asking && coming.len() < MOST_ASKED => {
                    match reply {
                        Ok(Some(reply)) => coming.extend(self.signature_by(id, reply)),
                        Ok(None) | Err(_) => is_asking = false,
                    }
                    continue;
                }
                Some(come) = coming.next() => come,
                else => return None,
            };
            if signature.is_empty() {
                continue;
            }
            if let Some(outcome) = self.take_signature(&neighbour, signature, package).await {
                return Some(outcome);
            }
            tries += 1;
        }
        None
    }

    /// The signature of somebody who has the package; empty where it does not come.
    fn signature_by(&self, id: Sha256, reply: Reply) -> Option<impl Future<Output = (Neighbour, Vec<u8>)>> {
        let Reply { neighbour, answers, .. } = reply;
        let Some(Answer::Here(holding)) = answers.into_iter().next() else { return None };
        Some(async move {
            let signature = match holding.signature {
                Some(signature) => signature.to_vec(),
                None => self.ask_for_signature(&neighbour, id).await,
            };
            (neighbour, signature)
        })
    }

    /// Asks again where it ends at once: the neighbour has the package, so it is most likely we who ask too much of it right now.
    async fn ask_for_signature(&self, neighbour: &Neighbour, id: Sha256) -> Vec<u8> {
        let what = What { id, kind: p2p_wire::Kind::Signature };
        let (begun, mut pause) = (tokio::time::Instant::now(), BUSY_FOR);
        loop {
            let mut coming = self.services.neighbours.get(neighbour.id, what, 0..MAX_SIGNATURE_BYTES as u64);
            let (until, mut signature) = (tokio::time::Instant::now() + ANSWERS_WITHIN, Vec::new());
            while let Ok(Some(part)) = timeout_at(until, coming.next()).await {
                signature.extend_from_slice(&part);
            }
            let is_silent = tokio::time::Instant::now() >= until;
            if !signature.is_empty() || is_silent || begun.elapsed() + pause >= TRIES_WITHIN {
                return signature;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn take_signature(&self, neighbour: &Neighbour, signature: Vec<u8>, package: &Path) -> Option<Outcome> {
        let verified = match Content::Signature.judge(&signature) {
            Ok(()) => self.services.keyring.verify(&signature, package).await,
            Err(_) => Err(VerifyFault::Bad(crate::keyring::Flaw::None)),
        };
        match verified {
            Ok(signed) => {
                tracing::debug!(file = self.file_name, peer = %neighbour.address, key = %signed.key, "a neighbour has the signature");
                self.services.counters.add(signature.len() as u64, 0);
                let outcome = self.services.passing.put(signature).await;
                self.keep_signature(&outcome);
                Some(outcome)
            }
            Err(fault) => {
                let error = p2p_api::Report(&fault).to_string();
                tracing::warn!(file = self.file_name, peer = %neighbour.address, error, "a neighbour's signature is not taken");
                if fault.is_the_senders() {
                    turn_away(&self.services, neighbour);
                }
                None
            }
        }
    }

    /// Keeps the signature of a package that lies in the store, so that neighbours can have it, too. In pacman's cache it lies
    /// beside the package.
    pub(super) fn keep_signature(&self, outcome: &Outcome) {
        let (Some(id), Outcome::Ready(ready)) = (self.package.clone(), outcome) else { return };
        let (services, from) = (Arc::clone(&self.services), ready.path.clone());
        tokio::spawn(async move {
            services.fetches.settle(&id.sha256.to_string()).await;
            let kept = tokio::task::spawn_blocking(move || {
                let package = stored(&services.store, services.catalog.by_sha256(&id.sha256).as_deref(), &id);
                let signature = read_signature(&from);
                package
                    .zip(signature)
                    .map_or(Ok(()), |(package, signature)| Store::keep_signature(&package, &signature))
            });
            if let Err(error) = kept.await.expect("writing a file does not panic") {
                tracing::warn!(%error, "a signature cannot be kept");
            }
        });
    }

    /// Whether mirrors are asked for this signature only when neighbours don't have it: all of them failed a moment ago.
    pub(super) fn asks_neighbours_first(&self, asked: Instant) -> bool {
        let book = &self.services.mirror_book;
        matches!(self.kind, Kind::Signature(_))
            && self.mirrors.iter().all(|mirror| book.prospect(mirror, asked).backs_off)
    }
}

/// The package's file: it may be in the catalog, still be on its way there, or lie in pacman's cache.
fn find(services: &Services, id: &PackageId) -> Option<PathBuf> {
    let row = services.catalog.by_sha256(&id.sha256).filter(|row| row.is_unchanged());
    if let Some(row) = row {
        return Some(row.path.clone());
    }
    let stored = (0..MOST_ATTEMPTS).map(|attempt| services.store.path(id, attempt));
    let cached = services.knowledge.view().conf.cache_dirs.clone().into_iter();
    let cached = cached.map(|directory| directory.join(id.file_name.as_str()));
    stored.chain(cached).find(|path| is_it(path, id).unwrap_or(false))
}

/// The package's file in the store; where it is anywhere else, its signature lies beside it already. Whoever reads the signature
/// later verifies it, so what the file's name says is enough.
fn stored(store: &Store, row: Option<&Row>, id: &PackageId) -> Option<PathBuf> {
    if let Some(row) = row.filter(|row| row.is_unchanged()) {
        return store.contains(&row.path).then(|| row.path.clone());
    }
    let is_whole = |path: &PathBuf| {
        let metadata = fs_err::symlink_metadata(path);
        Store::package_at(path).is_some() && metadata.is_ok_and(|metadata| metadata.len() == id.size)
    };
    (0..MOST_ATTEMPTS).map(|attempt| store.path(id, attempt)).find(is_whole)
}

fn is_it(path: &Path, id: &PackageId) -> io::Result<bool> {
    use io::Read;
    let mut file = fs_err::File::open(path)?;
    if file.metadata()?.len() != id.size {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (Sha256Hasher::default(), vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == id.sha256),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::Sha256;

    use super::*;

    #[test]
    fn a_signature_is_kept_by_the_name_and_size_of_a_package_and_nothing_is_hashed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(directory.path().to_owned());
        let file_name = "a-1-1-any.pkg.tar".parse().expect("a package's name");
        let id = PackageId { file_name, size: 5, sha256: Sha256::of(b"right") };
        assert_eq!(stored(&store, None, &id), None);
        fs_err::write(store.path(&id, 0), b"half").expect("a small file");
        assert_eq!(stored(&store, None, &id), None, "it is not whole");
        // Other bytes: whoever reads them would notice.
        fs_err::write(store.path(&id, 1), b"wrong").expect("a small file");
        assert_eq!(stored(&store, None, &id), Some(store.path(&id, 1)));
    }
}
