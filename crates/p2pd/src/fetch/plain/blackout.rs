//! A database when no mirror answers: a neighbour's newer one, or else the one that pacman has.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use p2p_api::Ready;
use p2p_pacman::Kind;

use super::PlainFetch;
use super::attempt::{Draft, Gained, Refusal};
use super::claims::{self, Claimant};
use super::delivery::save;
use super::tries::Tries;
use crate::clubs::turn_away;
use crate::editions::{Edition, Reference, Voucher};
use crate::fetch::databases::{Copy, Lag, Source};
use crate::fetch::package::sleep_until;
use crate::fetch::snapshot::Outcome;
use crate::publications::ask_about;

/// How long mirrors may say nothing before pacman gets what there is without them: where one of them was well lately, and where
/// none was.
const MIRRORS_WITHIN: Duration = Duration::from_secs(5);
const BAD_MIRRORS_WITHIN: Duration = Duration::from_secs(2);
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
        let draft = Draft::new(&self.services.databases);
        let (from, to) = (Arc::clone(edition), draft.path().to_owned());
        let copied = tokio::task::spawn_blocking(move || {
            let bytes = from.read(&(0..from.length))?.ok_or_else(|| std::io::Error::other("it has been written to"))?;
            fs_err::write(to, bytes)
        });
        if let Err(error) = copied.await.expect("copying does not panic") {
            tracing::warn!(%error, database = key, "pacman's database cannot be copied");
            return None;
        }
        let ((number, path), now) = (draft.keep(), SystemTime::now());
        let copy = Copy::without_mirror(number, edition.length, Source::Pacman, Some(edition.dated), now);
        Some(self.keep_copy(key, copy.signed(&edition.signature), path))
    }

    /// A newer database that a neighbour has, verified. The first good one is taken, though a slower one may be newer still.
    async fn next_of_neighbours(&self, key: &str, reference: Reference<'_>) -> Option<Copy> {
        let claimants = claims::gather(&self.services, self.own_database()?, reference).await;
        let mut tries = Tries::new(claimants.len(), Instant::now());
        let (mut trying, mut begun) = (FuturesUnordered::new(), Vec::new());
        loop {
            while let Some(index) = tries.poll_begin(Instant::now()) {
                let (claimant, draft) = (&claimants[index], Draft::new(&self.services.databases));
                begun.push(index);
                trying.push(async move { (index, self.try_one(claimant, reference, draft.path()).await, draft) });
            }
            let (index, tried, draft) = tokio::select! {
                // Nobody is asked, and nobody is left.
                ended = trying.next() => ended?,
                () = sleep_until(tries.poll_timeout()) => continue,
            };
            begun.retain(|other| *other != index);
            match tried {
                Ok(gained) => {
                    let earlier = begun.iter().filter(|other| **other < index).map(|other| &claimants[*other]);
                    earlier.for_each(|claimant| self.note_slow(claimant, Lag::Overtaken));
                    return Some(self.take_next(key, &claimants[index], draft.keep(), &gained));
                }
                Err(refusal) => self.refuse(key, &claimants[index], reference, &refusal),
            }
            tries.handle_failed();
        }
    }

    fn refuse(&self, key: &str, claimant: &Claimant, reference: Reference<'_>, refusal: &Refusal) {
        let error = p2p_api::Report(refusal).to_string();
        tracing::warn!(database = key, peer = %claimant.neighbour.address, error, "a neighbour's database is not taken");
        match refusal {
            Refusal::Slow => self.note_slow(claimant, Lag::GivenUp),
            // Perhaps on purpose.
            Refusal::Ended => self.note_slow(claimant, Lag::Overtaken),
            Refusal::Late
            | Refusal::OtherBytes
            | Refusal::Signature(_)
            | Refusal::Objection(_)
            | Refusal::Unreadable
            | Refusal::Ours => {}
        }
        if refusal.is_the_neighbours(reference.published(&claimant.claim).is_some()) {
            turn_away(&self.services, &claimant.neighbour);
        }
    }

    /// What is known of it already is worse than that somebody was faster.
    fn note_slow(&self, claimant: &Claimant, lag: Lag) {
        let lag = claimant.lag.map_or(lag, |before| before.max(lag));
        self.services.databases.note_slow(claimant.neighbour.address, lag, Instant::now());
    }

    fn take_next(&self, key: &str, claimant: &Claimant, file: (u64, PathBuf), gained: &Gained) -> Copy {
        let (number, path) = file;
        let at = match &gained.voucher {
            Voucher::Signature(signed) => signed.at,
            Voucher::Publisher(published, _) => *published,
        };
        let bytes = claimant.claim.length;
        let source = match &gained.voucher {
            Voucher::Signature(_) => Source::Neighbours(claimant.bearers),
            Voucher::Publisher(..) => Source::Published(claimant.bearers),
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
}
