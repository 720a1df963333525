//! A database when no mirror answers: a neighbour's newer one, or else the one that pacman has.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use p2p_api::Ready;
use p2p_neighbours::Neighbour;
use p2p_pacman::{Kind, SyncDatabase};
use p2p_wire::{DatabaseClaim, What};
use tokio::time::timeout_at;

use super::PlainFetch;
use super::claims::{self, Claimant};
use super::delivery::save;
use crate::editions::{Edition, Objection, Reference, Voucher};
use crate::fetch::assembly::Assembly;
use crate::fetch::databases::{Copy, Source};
use crate::fetch::package::seconds_since_1970;
use crate::fetch::snapshot::Outcome;
use crate::keyring::VerifyFault;
use crate::publications::ask_about;

/// How long mirrors may say nothing before pacman gets what there is without them: where one of them was well lately, and where
/// none was.
const MIRRORS_WITHIN: Duration = Duration::from_secs(5);
const BAD_MIRRORS_WITHIN: Duration = Duration::from_secs(2);
/// No try is begun later than this. One that goes on is bounded by itself.
const TRIES_WITHIN: Duration = Duration::from_mins(1);
/// What a try may take on a slow line; longer only as long as so many bytes come a second, once it has begun.
const TRY_WITHIN: Duration = Duration::from_secs(15);
const BEGINNING: Duration = Duration::from_secs(3);
const USEFUL_RATE: u64 = 250_000;
/// Who sends fewer bytes a second than that is given up sooner, and is to blame: so slow a line is not worth its place either.
const SLOWEST_LINE: u64 = 16_000;
/// A neighbour that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(2);
/// One that has sent what it did not claim is not heard for so long.
const BARRED_FOR: Duration = Duration::from_mins(30);

/// What a database is taken for.
#[derive(Debug)]
struct Gained {
    voucher: Voucher,
    /// Its signature; empty where it has none that is good.
    signature: Vec<u8>,
}

/// Why a neighbour's database is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it did not come in time")]
    Late,
    #[error("it comes too slowly")]
    Slow,
    #[error("it has other bytes than those that were named")]
    OtherBytes,
    #[error("it cannot be verified")]
    Signature(#[source] VerifyFault),
    #[error("it is not the next one")]
    Objection(#[source] Objection),
    #[error("it cannot be read")]
    Unreadable,
    #[error("our own cannot be read")]
    Ours,
}

impl PlainFetch {
    /// How long mirrors may say nothing; for ever where there would be nothing without them.
    pub(super) fn mirrors_within(&self, one_is_well: bool) -> Option<Duration> {
        let is_of_use = match self.kind {
            Kind::Database => self.services.editions.standing(self.own_database()?).is_some(),
            Kind::Signature(_) => self.package.is_some() && self.services.neighbours.count() > 0,
            Kind::Package(_) | Kind::DatabaseSignature | Kind::Files | Kind::Other => false,
        };
        is_of_use.then_some(if one_is_well { MIRRORS_WITHIN } else { BAD_MIRRORS_WITHIN })
    }

    /// The repository whose sync database is asked for.
    fn own_database(&self) -> Option<&str> {
        let repository = self.repository.as_deref()?;
        let is_its_own = self.kind == Kind::Database && self.file_name.strip_suffix(".db") == Some(repository);
        is_its_own.then_some(repository)
    }

    /// What pacman gets of a database when mirrors are dead: never an older one than it has.
    pub(super) async fn database_without_mirrors(&self) -> Option<Outcome> {
        let (repository, key) = (self.own_database()?, self.database()?);
        self.services.editions.look(repository).await;
        let latest = self.services.editions.latest(repository);
        let shares = self.services.knowledge.last_sharing().rules().shares(repository);
        ask_about(&self.services, repository).await;
        let vouched = self.services.publications.vouched(repository);
        let reference = Reference::new(latest.as_deref(), vouched).filter(|_| shares);
        let gained = match reference {
            Some(reference) => self.next_of_neighbours(&key, reference).await,
            None => None,
        };
        let is_news = gained.is_some();
        let copy = match gained {
            Some(copy) => copy,
            None => self.standing(repository, &key).await?,
        };
        self.services.databases.note_without_mirrors(&key, Instant::now());
        let from_peers = if is_news { copy.size } else { 0 };
        self.services.counters.add(from_peers, 0);
        Some(Outcome::Ready(Ready { from_peers, ..self.ready(&copy) }))
    }

    /// What pacman has, as a file of our own: clients read no others.
    async fn standing(&self, repository: &str, key: &str) -> Option<Copy> {
        let edition = self.services.editions.standing(repository)?;
        let databases = &self.services.databases;
        let ours = databases.get(key).filter(|copy| databases.path(copy) == edition.path());
        let copy = match ours {
            Some(copy) => copy,
            None => self.adopt(key, &edition).await?,
        };
        tracing::warn!(database = key, "no mirror answers; pacman stays with the database that it has");
        Some(copy)
    }

    async fn adopt(&self, key: &str, edition: &Arc<Edition>) -> Option<Copy> {
        let (number, path) = self.services.databases.new_file();
        let (from, to) = (Arc::clone(edition), path.clone());
        let copied = tokio::task::spawn_blocking(move || {
            let bytes = from.read(&(0..from.length))?.ok_or_else(|| std::io::Error::other("it has been written to"))?;
            fs_err::write(to, bytes)
        });
        if let Err(error) = copied.await.expect("copying does not panic") {
            tracing::warn!(%error, database = key, "pacman's database cannot be copied");
            self.services.databases.retire(path, Instant::now());
            return None;
        }
        let now = SystemTime::now();
        let copy = Copy::without_mirror(number, edition.length, Source::Pacman, Some(edition.dated), now);
        Some(self.keep_copy(key, copy.signed(&edition.signature), path))
    }

    /// A newer database that a neighbour has, verified.
    async fn next_of_neighbours(&self, key: &str, reference: Reference<'_>) -> Option<Copy> {
        let until = tokio::time::Instant::now() + TRIES_WITHIN;
        for claimant in claims::gather(&self.services, self.own_database()?, reference).await {
            if tokio::time::Instant::now() >= until {
                tracing::debug!(database = key, "there is no time left for other neighbours");
                break;
            }
            let (number, path) = self.services.databases.new_file();
            let refusal = match self.try_one(&claimant, reference, &path).await {
                Ok(gained) => return Some(self.take_next(key, &claimant, (number, path), &gained)),
                Err(refusal) => refusal,
            };
            self.services.databases.retire(path, Instant::now());
            let error = p2p_api::Report(&refusal).to_string();
            let peer = claimant.neighbour.address;
            tracing::warn!(database = key, %peer, error, "a neighbour's database is not taken");
            if refusal.is_the_neighbours(reference.published(&claimant.claim).is_some()) {
                self.turn_away(&claimant.neighbour);
            }
        }
        None
    }

    async fn try_one(&self, claimant: &Claimant, reference: Reference<'_>, path: &Path) -> Result<Gained, Refusal> {
        let Claimant { neighbour, claim, .. } = claimant;
        tracing::debug!(peer = %neighbour.address, bytes = claim.length, "a neighbour's database is fetched");
        self.transfer(claim, neighbour, path).await?;
        let verified = self.services.keyring.verify(&claim.signature, path).await;
        let gained = match (reference.published(claim), verified) {
            // The signature beside it may be anybody's.
            (Some(at), Ok(_)) => Gained { voucher: Voucher::Publisher(at), signature: claim.signature.to_vec() },
            (Some(at), Err(_)) => Gained { voucher: Voucher::Publisher(at), signature: Vec::new() },
            (None, Ok(signed)) => Gained { voucher: Voucher::Signature(signed), signature: claim.signature.to_vec() },
            (None, Err(fault)) => return Err(Refusal::Signature(fault)),
        };
        let last = match reference.last() {
            Some(last) => Some(read(last.path().to_owned()).await.ok_or(Refusal::Ours)?),
            None => None,
        };
        let next = read(path.to_owned()).await.ok_or(Refusal::Unreadable)?;
        let now = seconds_since_1970(SystemTime::now()).unwrap_or_default();
        reference.judge(last.as_ref(), &gained.voucher, &next, now).map_err(Refusal::Objection)?;
        Ok(gained)
    }

    /// Brings the very bytes that were named.
    async fn transfer(&self, claim: &DatabaseClaim, neighbour: &Neighbour, path: &Path) -> Result<(), Refusal> {
        let assembly = Assembly::open(path, 0, Some(claim.length)).map_err(|_| Refusal::Ours)?;
        let what = What { id: claim.id, kind: p2p_wire::Kind::Database };
        let mut coming = self.services.neighbours.get_file(neighbour.id, what, claim.length);
        let begun = tokio::time::Instant::now();
        let (appender, mut received) = (assembly.appender(), 0);
        while received < claim.length {
            let wait = (begun + allowance(received)).min(tokio::time::Instant::now() + SILENCE);
            let part = timeout_at(wait, coming.next()).await.ok().flatten();
            let part = part.ok_or_else(|| too_late(received, begun.elapsed()))?;
            received += part.len() as u64;
            appender.append(part).await;
        }
        let sha256 = assembly.finish().await;
        drop(appender);
        assembly.close().await;
        if sha256 == Some(claim.id) { Ok(()) } else { Err(Refusal::OtherBytes) }
    }

    fn take_next(&self, key: &str, claimant: &Claimant, file: (u64, PathBuf), gained: &Gained) -> Copy {
        let (number, path) = file;
        let at = match &gained.voucher {
            Voucher::Signature(signed) => signed.at,
            Voucher::Publisher(published) => *published,
        };
        let bytes = claimant.claim.length;
        let source = match &gained.voucher {
            Voucher::Signature(_) => Source::Neighbours(claimant.bearers),
            Voucher::Publisher(_) => Source::Published(claimant.bearers),
        };
        let copy = Copy::without_mirror(number, bytes, source, Some(at), SystemTime::now());
        let voucher = &gained.voucher;
        tracing::info!(database = key, ?voucher, bytes, "a newer database has come from a neighbour");
        self.keep_copy(key, copy.signed(&gained.signature), path)
    }

    fn keep_copy(&self, key: &str, copy: Copy, path: PathBuf) -> Copy {
        let now = Instant::now();
        self.services.databases.keep(key, copy.clone(), now, now);
        let services = Arc::clone(&self.services);
        // The clients need not wait for the disk.
        tokio::task::spawn_blocking(move || save(&services.databases, &path));
        copy
    }

    pub(super) fn turn_away(&self, neighbour: &Neighbour) {
        self.services.neighbours.turn_away(neighbour.id);
        self.services.gate.cut(neighbour.club, neighbour.address, BARRED_FOR);
    }
}

impl Refusal {
    /// Whether somebody honest would not have come to this. `is_named`: a configured publisher has named these very bytes, and
    /// answers for what is in them.
    fn is_the_neighbours(&self, is_named: bool) -> bool {
        match self {
            Self::Late | Self::OtherBytes => true,
            // Distributions that name a repository alike share its club; a signature need not tell its key before it is verified.
            Self::Objection(Objection::OtherKey) | Self::Ours | Self::Slow => false,
            Self::Objection(_) | Self::Unreadable => !is_named,
            Self::Signature(fault) => fault.is_the_senders(),
        }
    }
}

/// How long a try may take in all when so many bytes have come.
fn allowance(received: u64) -> Duration {
    let at = |rate| BEGINNING + Duration::from_millis(received.saturating_mul(1000) / rate);
    at(SLOWEST_LINE).min(TRY_WITHIN).max(at(USEFUL_RATE))
}

/// What to say of one that has sent so many bytes in that time, and is given up.
fn too_late(received: u64, elapsed: Duration) -> Refusal {
    let least = u128::from(SLOWEST_LINE) * elapsed.as_millis() / 1000;
    if received == 0 || u128::from(received) < least { Refusal::Late } else { Refusal::Slow }
}

async fn read(path: PathBuf) -> Option<SyncDatabase> {
    let reading = tokio::task::spawn_blocking(move || {
        let file = fs_err::File::open(path).ok()?;
        SyncDatabase::read(BufReader::with_capacity(256 * 1024, file)).ok()
    });
    reading.await.expect("reading a database does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Flaw;

    #[test]
    fn a_try_is_short_unless_bytes_come_at_a_useful_rate() {
        assert_eq!(allowance(0), BEGINNING);
        assert_eq!(allowance(16_000), BEGINNING + Duration::from_secs(1), "it drips");
        assert_eq!([200_000, 2_000_000].map(allowance), [TRY_WITHIN; 2]);
        assert_eq!(allowance(8_500_000), Duration::from_secs(37));
    }

    #[test]
    fn who_sends_next_to_nothing_is_blamed_and_who_has_a_slow_line_is_not() {
        for (received, is_blamed) in [(0, true), (130_000, true), (2_000_000, false)] {
            assert_eq!(too_late(received, TRY_WITHIN).is_the_neighbours(false), is_blamed, "{received}");
        }
        assert!(too_late(0, Duration::ZERO).is_the_neighbours(false));
    }

    #[test]
    fn an_old_keyring_costs_no_neighbour_its_place() {
        let is_blamed = |flaw| Refusal::Signature(VerifyFault::Bad(flaw)).is_the_neighbours(false);
        assert!(is_blamed(Flaw::OtherBytes) && !is_blamed(Flaw::UnknownKey) && !is_blamed(Flaw::Expired));
    }

    #[test]
    fn nobody_is_blamed_for_what_the_publisher_named_or_for_another_distributions_key() {
        for is_named in [false, true] {
            assert!(!Refusal::Objection(Objection::OtherKey).is_the_neighbours(is_named));
            assert!(Refusal::OtherBytes.is_the_neighbours(is_named));
            for refusal in [Refusal::Objection(Objection::OtherPackages), Refusal::Unreadable] {
                assert_eq!(refusal.is_the_neighbours(is_named), !is_named, "{refusal:?}");
            }
        }
    }
}
