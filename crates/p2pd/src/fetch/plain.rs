//! Files that no sync database vouches for: passed on from the first mirror that has them. Databases and signatures can do
//! without mirrors; nothing else here is shared with anybody.

mod attempt;
mod blackout;
mod claims;
mod delivery;
mod signatures;
mod tries;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use p2p_api::{Failed, FailureCode, Ready};
use p2p_package::PackageId;
use p2p_pacman::Kind;
use p2p_webseed::{MirrorFault, Validators};
use tokio::sync::watch;
use url::Url;

use super::content::Content;
use super::databases::Copy;
use super::hedge::{Hedge, Overtaken, Prospect};
use super::package::{sleep_until, stopping};
use super::snapshot::{Outcome, Snapshot};
use super::story::{Happening, Story};
use super::stream::{Body, Opening, Stream};
use crate::services::Services;

/// The largest file that is passed on, in bytes: what pacman's own downloader takes for a package without a known size.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// The largest signature, in bytes (pacman's `dload.c`).
const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;
/// The largest database, in bytes (pacman's `dload.c`).
const MAX_DATABASE_BYTES: u64 = 128 * 1024 * 1024;
/// Mirrors that are asked for a database's signature before it counts as missing: most repositories have none.
const MIRRORS_FOR_DATABASE_SIGNATURE: usize = 2;

/// A file on its way.
#[derive(Debug)]
pub(crate) struct PlainFetch {
    pub(crate) services: Arc<Services>,
    pub(crate) kind: Kind,
    pub(crate) file_name: String,
    /// The repository below one of whose servers it was asked for.
    pub(crate) repository: Option<String>,
    /// The package, where this is the signature of one that a sync database knows.
    pub(crate) package: Option<PackageId>,
    /// A mirror is asked for all of it, whatever we have.
    pub(crate) force: bool,
    pub(crate) mirrors: Vec<Url>,
    pub(crate) publish: Arc<watch::Sender<Snapshot>>,
    /// Where people ask why, of a package.
    pub(crate) story: Option<Arc<Story>>,
}

/// What a mirror has for us.
#[derive(Debug)]
enum Offer {
    /// Nothing newer than our copy.
    Kept(Copy),
    /// Something older than our copy.
    Older(Copy),
    Body(Box<Body>),
}

/// Why no mirror has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Despair {
    /// None has the file.
    AllLack,
    /// Some sent a page, or nothing, instead. Whoever asks them again, without looking, takes that for the file.
    NotThisFile,
    /// At least one is there, or was not asked for want of a place. What neighbours say does not count then.
    Undelivered,
    /// None has answered.
    Unreachable,
}

impl PlainFetch {
    /// Runs to the end, or until nobody waits any more.
    pub(crate) async fn run(self) -> Outcome {
        let services = Arc::clone(&self.services);
        let publish = Arc::clone(&self.publish);
        tokio::select! {
            outcome = self.take_from_any() => outcome,
            () = services.stopping.cancelled() => stopping(),
            () = publish.closed() => Outcome::Abandoned,
        }
    }

    async fn take_from_any(self) -> Outcome {
        let asked = Instant::now();
        let database = self.database();
        if self.is_known_to_be_missing(database.as_deref()).await {
            tracing::debug!(file = self.file_name, "the mirrors had no signature a moment ago");
            return self.failure(Despair::AllLack);
        }
        match database {
            Some(database) if self.kind == Kind::DatabaseSignature => self.signature_of(&database, asked).await,
            Some(_) | None => self.take_from_mirrors(asked).await,
        }
    }

    /// Takes it from a mirror, and where none answers does without.
    async fn take_from_mirrors(&self, asked: Instant) -> Outcome {
        let neighbours_first = self.asks_neighbours_first(asked);
        if neighbours_first && let Some(outcome) = self.signature_of_neighbours().await {
            return outcome;
        }
        let despair = match self.race(asked).await {
            Ok(outcome) => {
                self.keep_signature(&outcome);
                return outcome;
            }
            Err(despair) => despair,
        };
        let outcome = match self.kind {
            Kind::Database if despair == Despair::Unreachable => self.database_without_mirrors().await,
            Kind::Signature(_) if !neighbours_first => self.signature_of_neighbours().await,
            Kind::Package(_)
            | Kind::Signature(_)
            | Kind::Database
            | Kind::DatabaseSignature
            | Kind::Files
            | Kind::Other => None,
        };
        outcome.unwrap_or_else(|| self.failure(despair))
    }

    /// Whether this is the signature of a database that mirrors lacked a moment ago.
    async fn is_known_to_be_missing(&self, database: Option<&str>) -> bool {
        let Some(database) = database.filter(|_| self.kind == Kind::DatabaseSignature && !self.force) else {
            return false;
        };
        let is_unsigned = || self.services.databases.is_unsigned(database, Instant::now());
        if !is_unsigned() {
            return false;
        }
        // Another database may be on its way, with a signature.
        self.services.fetches.settle(database).await;
        is_unsigned()
    }

    /// Asks one mirror, and where it lets us wait another one beside it, until one has delivered.
    async fn race(&self, asked: Instant) -> Result<Outcome, Despair> {
        let prospects = self.prospects(asked);
        let within = self.mirrors_within(prospects.iter().any(|prospect| !prospect.backs_off));
        let mut until = within.map(|within| asked + within);
        let mut hedge = Hedge::new(prospects, asked);
        let kept = self.kept();
        let mut asking = FuturesUnordered::new();
        let mut despair: Option<Despair> = None;
        loop {
            while let Some(index) = hedge.poll_ask(Instant::now()) {
                self.note_asked(index, !asking.is_empty());
                let kept = kept.as_ref();
                asking.push(async move { (index, self.ask(&self.mirrors[index], kept).await) });
            }
            let (index, offer) = tokio::select! {
                answered = asking.next() => match answered {
                    Some(answered) => answered,
                    None => return Err(despair.unwrap_or(Despair::AllLack)),
                },
                () = sleep_until(hedge.poll_timeout()) => continue,
                () = sleep_until(until) => {
                    // It may not have been asked yet. How long one waits for a place is bounded elsewhere.
                    if !hedge.asks().any(|mirror| !self.has_room(mirror)) {
                        self.give_up(hedge.give_up_all(Instant::now()));
                        return Err(Despair::join(despair, Despair::Unreachable));
                    }
                    until = until_after(within);
                    continue;
                }
            };
            let (has_answered, taken) = match offer {
                Ok(offer) => {
                    // Whoever else was asked need not go on.
                    asking.clear();
                    self.give_up(hedge.handle_answer(index, Instant::now()));
                    (true, self.take(index, offer, asked).await)
                }
                Err(fault) => (false, Err(fault)),
            };
            match taken {
                Ok(outcome) => {
                    self.services.mirror_book.note_success(&self.mirrors[index]);
                    return Ok(outcome);
                }
                Err(fault) => {
                    self.note_fault(index, &fault);
                    hedge.handle_fault(index);
                    if self.kind == Kind::DatabaseSignature
                        && let Some(late) = hedge.give_up_late(Instant::now())
                    {
                        asking.clear();
                        self.give_up([late]);
                    }
                    let reason = Despair::of(&fault, has_answered);
                    despair = Some(Despair::join(despair, reason));
                    if reason != Despair::Unreachable {
                        // While it was at it, nobody else was asked.
                        until = until_after(within);
                    }
                }
            }
        }
    }

    fn note_asked(&self, index: usize, beside: bool) {
        tracing::debug!(file = self.file_name, mirror = %self.mirrors[index], hedged = beside, "a mirror is asked");
        self.note(Happening::MirrorAsked { mirror: index, beside });
    }

    fn note_fault(&self, index: usize, fault: &MirrorFault) {
        let mirror = &self.mirrors[index];
        self.services.mirror_book.note_fault(mirror, fault, Instant::now());
        let error = p2p_api::Report(fault).to_string();
        tracing::debug!(file = self.file_name, %mirror, error, "a mirror fails");
        self.note(Happening::MirrorFails { mirror: index, fault: error });
    }

    fn note(&self, happening: Happening) {
        if let Some(story) = &self.story {
            story.note(happening);
        }
    }

    /// What to expect of the mirrors that are worth asking.
    fn prospects(&self, asked: Instant) -> Vec<Prospect> {
        let book = &self.services.mirror_book;
        let mut prospects: Vec<_> = self.mirrors.iter().map(|mirror| book.prospect(mirror, asked)).collect();
        if self.kind == Kind::DatabaseSignature {
            // Those that back off come last, and are not worth the time.
            let well = prospects.iter().filter(|prospect| !prospect.backs_off).count();
            prospects.truncate(well.clamp(1, MIRRORS_FOR_DATABASE_SIGNATURE));
        }
        prospects
    }

    fn give_up(&self, silent: impl IntoIterator<Item = Overtaken>) {
        for overtaken in silent.into_iter().filter(|overtaken| self.has_room(overtaken.mirror)) {
            self.services.mirror_book.note_overtaken(&self.mirrors[overtaken.mirror], overtaken, Instant::now());
        }
    }

    /// Whether a request to this mirror need not wait for one of our own; otherwise its silence says nothing.
    fn has_room(&self, mirror: usize) -> bool {
        self.services.mirrors.has_room(&self.mirrors[mirror])
    }

    /// Asks one mirror for something newer than what we have.
    async fn ask(&self, mirror: &Url, kept: Option<&Copy>) -> Result<Offer, MirrorFault> {
        let Some(kept) = kept else { return self.open(mirror, &Validators::default()).await?.body() };
        match self.open(mirror, &kept.validators(mirror)).await? {
            Opening::Unmodified(answer) if kept.is_confirmed(mirror, &answer) => Ok(Offer::Kept(kept.clone())),
            Opening::Unmodified(_) => {
                tracing::debug!(file = self.file_name, %mirror, "a mirror calls another database unmodified");
                self.open(mirror, &Validators::default()).await?.body()
            }
            Opening::Body(body) if kept.is_newer(mirror, body.opened().modified) => {
                tracing::debug!(file = self.file_name, %mirror, "a mirror has an older database than another one");
                Ok(Offer::Older(kept.clone()))
            }
            Opening::Body(body) => Ok(Offer::Body(body)),
        }
    }

    async fn open(&self, mirror: &Url, validators: &Validators) -> Result<Opening, MirrorFault> {
        let limit = match &self.kind {
            Kind::Signature(_) | Kind::DatabaseSignature => MAX_SIGNATURE_BYTES,
            Kind::Database | Kind::Files => MAX_DATABASE_BYTES,
            Kind::Package(_) | Kind::Other => MAX_BYTES,
        };
        let stream = Stream { url: mirror.clone(), from: 0, size: None, limit, content: Content::of(&self.kind) };
        stream.open(&self.services.mirrors, &self.services.mirror_book, validators).await
    }

    async fn take(&self, index: usize, offer: Offer, asked: Instant) -> Result<Outcome, MirrorFault> {
        self.note(Happening::MirrorAnswers(index));
        let mirror = &self.mirrors[index];
        let outcome = match offer {
            Offer::Body(body) => self.deliver(mirror, *body, asked).await?,
            // The signature of the older one is of no use.
            Offer::Older(copy) if copy.signature().is_some() => {
                self.database()
                    .iter()
                    .for_each(|key| self.services.databases.note_without_mirrors(key, Instant::now()));
                return Ok(Outcome::Ready(self.ready(&copy)));
            }
            Offer::Kept(copy) | Offer::Older(copy) => Outcome::Ready(self.ready(&copy)),
        };
        if matches!(self.kind, Kind::Database | Kind::Files) && matches!(outcome, Outcome::Ready(_)) {
            self.database().iter().for_each(|key| self.services.databases.note_mirror(key, Instant::now()));
        }
        Ok(outcome)
    }

    /// The record for a copy of a database.
    fn ready(&self, copy: &Copy) -> Ready {
        Ready {
            path: self.services.databases.path(copy),
            size: copy.size,
            modified: copy.modified,
            verified: false,
            from_peers: 0,
            from_mirrors: 0,
            signature: None,
            transaction: None,
        }
    }

    /// The name under which a database is kept: its own, or that of the signature's database.
    fn database(&self) -> Option<String> {
        let name = match self.kind {
            Kind::Database | Kind::Files => &self.file_name,
            Kind::DatabaseSignature => self.file_name.strip_suffix(".sig")?,
            Kind::Package(_) | Kind::Signature(_) | Kind::Other => return None,
        };
        Some(format!("{}/{name}", self.repository.as_ref()?))
    }

    /// The copy of this database that may still be the latest.
    fn kept(&self) -> Option<Copy> {
        if self.force || self.kind == Kind::DatabaseSignature {
            return None;
        }
        let copy = self.services.databases.get(&self.database()?)?;
        copy.is_trusted(&self.mirrors, SystemTime::now()).then_some(copy)
    }

    fn failure(&self, despair: Despair) -> Outcome {
        let name = &self.file_name;
        let (code, message, hint) = match despair {
            Despair::AllLack => (FailureCode::NotFound, format!("no mirror has {name}"), None),
            Despair::NotThisFile => {
                let hint = "the network may want you to log in: open any web page";
                (FailureCode::NotFound, format!("what the mirrors send is not {name}"), Some(hint.to_owned()))
            }
            Despair::Undelivered => (FailureCode::Unreachable, format!("no mirror delivers {name}"), None),
            Despair::Unreachable => (FailureCode::Unreachable, format!("no mirror answers for {name}"), None),
        };
        Outcome::Failed(Failed { code, message, hint })
    }
}

/// Until when mirrors may say nothing from now on.
fn until_after(within: Option<Duration>) -> Option<Instant> {
    within.map(|within| Instant::now() + within)
}

impl Despair {
    /// What a mirror's fault comes to; `has_answered`: after its first bytes, which were good.
    fn of(fault: &MirrorFault, has_answered: bool) -> Self {
        match fault {
            MirrorFault::Lacks(_) => Self::AllLack,
            // What wants somebody to log in sends a page, or leads to one.
            MirrorFault::NotThisFile(_) | MirrorFault::Redirect(_) => Self::NotThisFile,
            MirrorFault::Busy { .. }
            | MirrorFault::Refused(_)
            | MirrorFault::NoRanges
            | MirrorFault::WrongRange
            | MirrorFault::TooLong
            | MirrorFault::Crowded => Self::Undelivered,
            MirrorFault::Network(_) | MirrorFault::Stalled | MirrorFault::TooShort if has_answered => Self::Undelivered,
            MirrorFault::Network(_) | MirrorFault::Stalled | MirrorFault::TooShort => Self::Unreachable,
        }
    }

    /// What one more mirror's fault makes of those before it.
    fn join(before: Option<Self>, one: Self) -> Self {
        match (before, one) {
            (None, one) => one,
            (Some(before), one) if before == one => one,
            (Some(Self::AllLack | Self::NotThisFile), Self::AllLack | Self::NotThisFile) => Self::NotThisFile,
            (Some(_), _) => Self::Undelivered,
        }
    }
}

impl Opening {
    /// The body that an unconditional request brings.
    fn body(self) -> Result<Offer, MirrorFault> {
        match self {
            Self::Body(body) => Ok(Offer::Body(body)),
            Self::Unmodified(_) => Err(MirrorFault::Refused(304)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn despair(faults: &[(MirrorFault, bool)]) -> Despair {
        let reasons = faults.iter().map(|(fault, has_answered)| Despair::of(fault, *has_answered));
        reasons.fold(None, |before, one| Some(Despair::join(before, one))).expect("there are faults")
    }

    #[test]
    fn mirrors_are_unreachable_only_where_none_has_answered() {
        let dead = || (MirrorFault::Stalled, false);
        assert_eq!(despair(&[dead(), (MirrorFault::TooShort, false)]), Despair::Unreachable);
        let busy = MirrorFault::Busy { status: 503, retry_after: None };
        for there in [
            (busy, false),
            (MirrorFault::Refused(500), false),
            (MirrorFault::Crowded, false),
            (MirrorFault::Lacks(404), false),
            (MirrorFault::Redirect("to a private address"), false),
            (MirrorFault::Stalled, true),
            (MirrorFault::TooShort, true),
        ] {
            let text = format!("{there:?}");
            assert_eq!(despair(&[dead(), there, dead()]), Despair::Undelivered, "{text}");
        }
    }

    #[test]
    fn a_redirect_to_where_we_do_not_go_is_not_the_file_also_beside_a_mirror_that_lacks_it() {
        let redirect = || (MirrorFault::Redirect("to a private address"), false);
        assert_eq!(despair(&[redirect(), redirect()]), Despair::NotThisFile);
        assert_eq!(despair(&[(MirrorFault::Lacks(404), false), redirect()]), Despair::NotThisFile);
    }
}
