//! One neighbour's database: brought, verified and judged, or not.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use p2p_neighbours::Neighbour;
use p2p_pacman::SyncDatabase;
use p2p_wire::{DatabaseClaim, What};
use tokio::time::timeout_at;

use super::PlainFetch;
use super::claims::Claimant;
use crate::editions::{Objection, Reference, Voucher};
use crate::fetch::assembly::Assembly;
use crate::fetch::databases::{Databases, Lag};
use crate::fetch::package::seconds_since_1970;
use crate::keyring::VerifyFault;

/// What a try may take on a slow line, as long as it would be done then at its pace; longer only as long as so many bytes come a
/// second, once it has begun; and never longer than the last.
const TRY_WITHIN: Duration = Duration::from_secs(15);
const BEGINNING: Duration = Duration::from_secs(3);
const USEFUL_RATE: u64 = 250_000;
const LONGEST_TRY: Duration = Duration::from_mins(1);
/// Who is given up and has sent fewer bytes a second than that is to blame: so slow a line is not worth its place either.
const SLOWEST_LINE: u64 = 16_000;
/// A neighbour that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(2);

/// What a database is taken for.
#[derive(Debug)]
pub(super) struct Gained {
    pub(super) voucher: Voucher,
    /// Its signature; empty where it has none that is good.
    pub(super) signature: Vec<u8>,
}

/// Why a neighbour's database is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it did not come in time")]
    Late,
    #[error("it comes too slowly")]
    Slow,
    #[error("the neighbour ends before all of it has come")]
    Ended,
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

/// A file for a database that may come to nothing, also because nobody waits any more. No client has been told of it.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    databases: &'a Databases,
    number: u64,
    path: PathBuf,
}

impl<'a> Draft<'a> {
    pub(super) fn new(databases: &'a Databases) -> Self {
        let (number, path) = databases.new_file();
        Self { databases, number, path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's number and path, which are the caller's from now on.
    pub(super) fn keep(mut self) -> (u64, PathBuf) {
        (self.number, std::mem::take(&mut self.path))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            self.databases.discard(std::mem::take(&mut self.path), Instant::now());
        }
    }
}

impl PlainFetch {
    pub(super) async fn try_one(
        &self,
        claimant: &Claimant,
        reference: Reference<'_>,
        path: &Path,
    ) -> Result<Gained, Refusal> {
        let Claimant { neighbour, claim, lag, .. } = claimant;
        tracing::debug!(peer = %neighbour.address, bytes = claim.length, "a neighbour's database is fetched");
        self.transfer(claim, (neighbour, *lag), path).await?;
        let verified = self.services.keyring.verify(&claim.signature, path).await;
        let signature = if verified.is_ok() { claim.signature.to_vec() } else { Vec::new() };
        let voucher = match (reference.published(claim), verified) {
            // It says more: a mirror that comes back with an older one is behind.
            (Some(_), Ok(signed)) if reference.is_by_our_key(&signed) => Voucher::Signature(signed),
            (None, Ok(signed)) => Voucher::Signature(signed),
            (None, Err(fault)) => return Err(Refusal::Signature(fault)),
            (Some(_), Err(fault)) if reference.needs_signature() && fault.is_the_senders() => {
                return Err(Refusal::Signature(fault));
            }
            // Where none is needed, the signature beside it may be anybody's.
            (Some(at), verified) => Voucher::Publisher(at, verified.ok()),
        };
        let last = match reference.last() {
            Some(last) => Some(read(last.path().to_owned()).await.ok_or(Refusal::Ours)?),
            None => None,
        };
        let next = read(path.to_owned()).await.ok_or(Refusal::Unreadable)?;
        let (view, now) = (self.services.knowledge.last_view(), seconds_since_1970(SystemTime::now()));
        let architectures = &view.conf.architectures;
        reference
            .judge(last.as_ref(), &voucher, &next, architectures, now.unwrap_or_default())
            .map_err(Refusal::Objection)?;
        Ok(Gained { voucher, signature })
    }

    /// Brings the very bytes that were named.
    async fn transfer(
        &self,
        claim: &DatabaseClaim,
        (neighbour, lag): (&Neighbour, Option<Lag>),
        path: &Path,
    ) -> Result<(), Refusal> {
        let assembly = Assembly::open(path, 0, Some(claim.length)).map_err(|_| Refusal::Ours)?;
        let what = What { id: claim.id, kind: p2p_wire::Kind::Database };
        let mut coming = self.services.neighbours.get_file(neighbour.id, what, claim.length);
        let begun = tokio::time::Instant::now();
        let (appender, mut received) = (assembly.appender(), 0);
        while received < claim.length {
            let wait = (begun + allowance(received, claim.length, lag)).min(tokio::time::Instant::now() + SILENCE);
            let part = timeout_at(wait, coming.next()).await.map_err(|_| too_late(received, begun.elapsed()))?;
            let part = part.ok_or(Refusal::Ended)?;
            received += part.len() as u64;
            appender.append(part).await;
        }
        let sha256 = assembly.finish().await;
        drop(appender);
        assembly.close().await;
        if sha256 == Some(claim.id) { Ok(()) } else { Err(Refusal::OtherBytes) }
    }
}

impl Refusal {
    /// Whether somebody honest would not have come to this. `is_named`: a configured publisher has named these very bytes, and
    /// answers for what is in them.
    pub(super) fn is_the_neighbours(&self, is_named: bool) -> bool {
        match self {
            Self::Late | Self::OtherBytes => true,
            // Distributions that name a repository alike share its club; a signature need not tell its key before it is verified.
            // Who says no, or has gone, costs no time; and it may be we who ask too much of it.
            Self::Objection(Objection::OtherKey) | Self::Ours | Self::Slow | Self::Ended => false,
            Self::Objection(_) | Self::Unreadable => !is_named,
            Self::Signature(fault) => fault.is_the_senders(),
        }
    }
}

/// How long a try may take in all when so many bytes of `length` have come. Who was given up as slow before has not the time that a
/// slow line gets.
fn allowance(received: u64, length: u64, lag: Option<Lag>) -> Duration {
    let useful = BEGINNING + Duration::from_millis(received.saturating_mul(1000) / USEFUL_RATE);
    let in_proportion = TRY_WITHIN.as_millis() * u128::from(received) / u128::from(length.max(1));
    let in_proportion = Duration::from_millis(u64::try_from(in_proportion).unwrap_or(u64::MAX));
    let slow = if lag == Some(Lag::GivenUp) { BEGINNING } else { in_proportion.max(BEGINNING) };
    useful.max(slow).min(LONGEST_TRY)
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
    fn a_try_is_short_unless_it_will_be_done_soon_or_bytes_come_at_a_useful_rate() {
        assert_eq!(allowance(0, 1_500_000, None), BEGINNING);
        assert!(allowance(50_000, 1_500_000, None) < BEGINNING + Duration::from_secs(1), "it drips");
        assert_eq!(allowance(50_000, 100_000, None), TRY_WITHIN / 2, "half of it has come");
        assert_eq!(allowance(100_000, 100_000, None), TRY_WITHIN);
        assert_eq!(allowance(50_000, 100_000, Some(Lag::Overtaken)), TRY_WITHIN / 2);
        assert!(allowance(50_000, 100_000, Some(Lag::GivenUp)) < BEGINNING + Duration::from_secs(1));
        assert_eq!(allowance(8_500_000, 20_000_000, None), Duration::from_secs(37));
        assert_eq!([u64::MAX, 60_000_000].map(|received| allowance(received, u64::MAX, None)), [LONGEST_TRY; 2]);
    }

    #[test]
    fn who_sends_next_to_nothing_is_blamed_and_who_has_a_slow_line_or_says_no_is_not() {
        for (received, is_blamed) in [(0, true), (130_000, true), (2_000_000, false)] {
            assert_eq!(too_late(received, TRY_WITHIN).is_the_neighbours(false), is_blamed, "{received}");
        }
        assert!(too_late(0, Duration::ZERO).is_the_neighbours(false));
        assert!(!Refusal::Ended.is_the_neighbours(false));
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

    #[test]
    fn a_file_that_comes_to_nothing_is_removed_whatever_the_reason_and_one_that_is_kept_is_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let databases = Databases::open(directory.path().to_owned(), Instant::now());
        let [kept, dropped] = [true, false].map(|is_kept| {
            let draft = Draft::new(&databases);
            let path = draft.path().to_owned();
            fs_err::write(&path, b"half").expect("a small file");
            if is_kept { draft.keep().1 } else { path }
        });
        databases.sweep(Instant::now(), |_| false);
        assert!(!dropped.exists() && kept.exists());
    }
}
