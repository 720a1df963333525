//! Asks neighbours and the DHT what publishers say, and puts into the DHT what is to stay there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use p2p_neighbours::NeighbourId;
use p2p_package::InfoHash;
use p2p_wire::{Kind, Pointer, PublishedFile, PublisherKey, What};
use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::asking::{Asking, Outcome};
use super::book::{Refusal, Subject};
use super::draft::DraftFault;
use super::rounds::{Duty, Rounds, puts};
use crate::clubs;
use crate::config::Scope;
use crate::services::Services;

/// Neighbours are asked this often, give or take a fifth.
const ASK_INTERVAL: Duration = Duration::from_mins(10);
/// And so often while an index is missing that nobody gave.
const MISSING_INTERVAL: Duration = Duration::from_mins(1);
/// Never more often, whoever comes and goes.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// All answers are here by then; a question is given up after 5 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// The same where somebody waits.
const ANSWERED_SOON: Duration = Duration::from_secs(1);
/// Neighbours that are asked for an index, one after the other.
const MAX_SOURCES: usize = 4;
/// Whoever sends nothing for so long sends no index.
const SILENCE: Duration = Duration::from_secs(10);
/// What an index may take: it needs no fast line, but a drip is none, and is given up before all of the file is due. Bytes a
/// second.
const FETCHED_WITHIN: Duration = Duration::from_secs(20);
const SLOWEST_RATE: u64 = 50_000;
/// Between two looks whether the DHT's node has met others.
const LONELY: Duration = Duration::from_secs(1);

/// Which neighbours have told what a publisher says now. Each once, however often it tells it.
type Sources = BTreeMap<Subject, BTreeSet<NeighbourId>>;

/// What one round of questions has brought.
#[derive(Debug, Default)]
struct Round {
    sources: Sources,
    /// The clubs that somebody has answered for.
    answered: BTreeSet<InfoHash>,
}

/// What the last round has brought, for the one who fetches indexes.
#[derive(Debug, Default)]
struct Heard {
    sources: Mutex<Sources>,
    /// A round has ended.
    round: Notify,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows publishers by what neighbours say, until the daemon stops. A neighbour that is slow with an index holds up neither a
/// changed configuration nor what others say.
pub(crate) async fn with_neighbours(services: Arc<Services>) {
    let heard = Heard::default();
    let all = async { tokio::join!(heed(&services), ask_often(&services, &heard), fetch_often(&services, &heard)) };
    tokio::select! {
        _ = all => {}
        () = services.stopping.cancelled() => {}
    }
}

/// Puts a changed configuration in force at once.
async fn heed(services: &Arc<Services>) {
    let mut changed = services.publications.changed.subscribe();
    let mut sharing = services.knowledge.watch_sharing();
    loop {
        // What changes from here on is looked at again.
        changed.mark_unchanged();
        sharing.mark_unchanged();
        configure(services).await;
        tokio::select! {
            Ok(()) = changed.changed() => {}
            Ok(()) = sharing.changed() => {}
            else => return,
        }
    }
}

/// Asks neighbours when they come and from time to time.
async fn ask_often(services: &Services, heard: &Heard) {
    let mut changed = services.publications.changed.subscribe();
    let mut count = services.neighbours.watch_count();
    let (mut next, mut asking) = (Instant::now(), Asking::default());
    loop {
        changed.mark_unchanged();
        let is_idle = *count.borrow_and_update() == 0 || services.publications.lock().followed().next().is_none();
        if !is_idle && Instant::now() >= next {
            let outcome = ask(services, heard).await;
            next = Instant::now() + asking.handle_round(outcome, interval(services));
        }
        let soonest = Instant::now() + MIN_INTERVAL;
        let wake = async { if is_idle { std::future::pending().await } else { sleep_until(next).await } };
        tokio::select! {
            () = wake => {}
            Ok(()) = count.changed() => {
                asking.handle_neighbours();
                next = next.min(soonest);
            }
            Ok(()) = changed.changed() => next = next.min(soonest),
        }
    }
}

/// Gets the indexes that are missing after each round, one at a time.
async fn fetch_often(services: &Services, heard: &Heard) {
    loop {
        heard.round.notified().await;
        let missing = services.publications.lock().missing();
        for (subject, file) in missing {
            // Whether or not they give it: the next round tells who has it then.
            let tellers = heard.lock().remove(&subject).unwrap_or_default();
            fetch_index(services, subject, file, tellers).await;
        }
    }
}

/// Asks neighbours about one repository now, if we follow a publisher of it: somebody waits, and no mirror answers.
pub(crate) async fn ask_about(services: &Services, repository: &str) {
    let Some(club) = services.publications.lock().club(repository) else { return };
    let _ = timeout(ANSWERED_SOON, hear(services, club, &mut Round::default())).await;
}

/// What the configuration says now: whom we follow.
async fn configure(services: &Arc<Services>) {
    let services = Arc::clone(services);
    // Pacman's configuration may have to be read.
    let follow = move || services.publications.follow(&services.settings().publishers, &services.knowledge);
    tokio::task::spawn_blocking(follow).await.expect("reading the configuration does not panic");
}

fn interval(services: &Services) -> Duration {
    let is_missing = !services.publications.lock().missing().is_empty();
    let interval = if is_missing { MISSING_INTERVAL } else { ASK_INTERVAL };
    interval.mul_f64(rand::rng().random_range(0.8..1.2))
}

async fn ask(services: &Services, heard: &Heard) -> Outcome {
    let mut round = Round::default();
    let clubs: BTreeSet<InfoHash> = services.publications.lock().followed().map(|subject| subject.club).collect();
    for club in clubs.iter().copied() {
        // What comes late comes the next time.
        let _ = timeout(ANSWERED_WITHIN, hear(services, club, &mut round)).await;
    }
    tracing::debug!("the neighbours have been asked for publications");
    let is_answered = clubs.is_subset(&round.answered);
    *heard.lock() = round.sources;
    heard.round.notify_one();
    if is_answered { Outcome::Answered } else { Outcome::Unanswered }
}

async fn hear(services: &Services, club: InfoHash, round: &mut Round) {
    let mut recents = services.neighbours.recent(club);
    while let Some(recent) = recents.next().await {
        round.answered.insert(club);
        for pointer in &recent.pointers {
            let subject = Subject { club, key: PublisherKey::from_bytes(pointer.key) };
            match take_note(services, club, pointer).await {
                Ok(is_news) => {
                    let tellers = round.sources.entry(subject).or_default();
                    if is_news {
                        tellers.clear();
                    }
                    tellers.insert(recent.neighbour.id);
                }
                Err(refusal) => {
                    let error = p2p_api::Report(&refusal).to_string();
                    tracing::debug!(peer = %recent.neighbour.address, seq = pointer.seq, error, "a pointer is refused");
                }
            }
        }
    }
}

/// Whether it is news: then the disk is written to.
async fn take_note(services: &Services, club: InfoHash, pointer: &Pointer) -> Result<bool, Refusal> {
    let (publications, pointer) = (Arc::clone(&services.publications), pointer.clone());
    let heard = tokio::task::spawn_blocking(move || publications.hear(&club, &pointer)).await;
    heard.expect("hearing of a pointer does not panic")
}

/// From those who told of it; where the DHT did, from anybody. In any order, so that nobody can always be the first.
async fn fetch_index(services: &Services, subject: Subject, file: PublishedFile, tellers: BTreeSet<NeighbourId>) {
    let anybody = || services.neighbours.list().into_iter().map(|neighbour| neighbour.id).collect();
    let mut sources: Vec<NeighbourId> = if tellers.is_empty() { anybody() } else { tellers.into_iter().collect() };
    sources.shuffle(&mut rand::rng());
    for from in sources.into_iter().take(MAX_SOURCES) {
        if !is_missing(services, &subject, file) {
            return;
        }
        match fetch_index_from(services, subject, file, from).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(DraftFault::Other) => {
                tracing::warn!("a neighbour has sent a wrong index; no more of it");
                if let Some(liar) = services.neighbours.list().iter().find(|neighbour| neighbour.id == from) {
                    clubs::turn_away(services, liar);
                }
            }
            Err(fault @ DraftFault::Disk(_)) => {
                return tracing::warn!(error = %p2p_api::Report(&fault), "a published index cannot be kept");
            }
        }
    }
}

/// Whether there is an answer: false where this neighbour does not have it, or is too slow, or nobody wants it any more.
async fn fetch_index_from(
    services: &Services,
    subject: Subject,
    file: PublishedFile,
    from: NeighbourId,
) -> Result<bool, DraftFault> {
    let mut draft = services.publications.draft(file).await.map_err(DraftFault::Disk)?;
    let what = What { id: file.sha256, kind: Kind::Index };
    let mut transfer = services.neighbours.get_file(from, what, file.length);
    let begun = Instant::now();
    while draft.left() > 0 {
        let taken = file.length - draft.left();
        let due = begun + FETCHED_WITHIN + Duration::from_secs(taken / SLOWEST_RATE);
        let until = due.min(Instant::now() + SILENCE);
        let Ok(Some(bytes)) = timeout_at(until, transfer.next()).await else { return Ok(false) };
        draft.take(&bytes).await?;
        if !is_missing(services, &subject, file) {
            return Ok(false);
        }
    }
    if services.publications.adopt_index(subject, draft).await? {
        tracing::info!(bytes = file.length, "a published index has come");
    } else {
        // Signed, but none, or another repository's; or a newer one has been named meanwhile.
        tracing::warn!(sha256 = %file.sha256, "a published index is of no use");
    }
    Ok(true)
}

/// Whether this is still the index to be got: the user may have removed the key, or the publisher have named another one.
fn is_missing(services: &Services, subject: &Subject, file: PublishedFile) -> bool {
    let book = services.publications.lock();
    book.get(subject).is_some_and(|entry| entry.is_followed && entry.missing() == Some(file))
}

/// Whether the configuration of the start lets us into the DHT.
pub(crate) fn uses_dht(services: &Services) -> bool {
    let discovery = &services.started_with.discovery;
    discovery.dht && discovery.scope == Scope::Public
}

/// Looks publishers up in the DHT, and keeps pointers there, until the daemon stops.
pub(crate) async fn in_dht(services: Arc<Services>) {
    let mut changed = services.publications.changed.subscribe();
    let mut rounds = Rounds::default();
    if !uses_dht(&services) {
        return;
    }
    loop {
        changed.mark_unchanged();
        rounds.handle_duties(&duties(&services), rand::rng().random(), Instant::now().into_std());
        let wake = match rounds.poll(Instant::now().into_std()) {
            Some(_) if services.discovery.health().dht_nodes == 0 => Some(Instant::now() + LONELY),
            Some((subject, duty)) => {
                let succeeded = tokio::select! {
                    succeeded = round(&services, subject, duty) => succeeded,
                    () = services.stopping.cancelled() => return,
                };
                rounds.handle_done(&subject, succeeded, rand::rng().random(), Instant::now().into_std());
                continue;
            }
            None => rounds.poll_timeout().map(Instant::from_std),
        };
        let wake = async { if let Some(at) = wake { sleep_until(at).await } else { std::future::pending().await } };
        tokio::select! {
            () = wake => {}
            Ok(()) = changed.changed() => {}
            () = services.stopping.cancelled() => return,
        }
    }
}

fn duties(services: &Services) -> BTreeMap<Subject, Duty> {
    let clubs = clubs::names(&services.knowledge);
    let book = services.publications.lock();
    let shared = book.entries().filter(|(subject, _)| clubs.contains_key(&subject.club));
    let duty = |(subject, entry): (&Subject, &super::Entry)| {
        let seq = entry.said.as_ref().filter(|_| entry.is_own).map(|(pointer, _)| pointer.seq);
        (*subject, seq.map_or(Duty::Follow, Duty::Publish))
    };
    shared.map(duty).collect()
}

/// Whether it was of any use.
async fn round(services: &Services, subject: Subject, duty: Duty) -> bool {
    let Subject { club, key } = subject;
    let mut found = None;
    if duty == Duty::Follow
        && let Some(pointer) = services.discovery.get_pointer(key, club).await
    {
        found = Some(pointer.seq);
        if let Err(refusal) = take_note(services, club, &pointer).await {
            tracing::debug!(error = %p2p_api::Report(&refusal), seq = pointer.seq, "the dht's pointer is refused");
        }
    }
    let known = services.publications.lock().get(&subject).and_then(|entry| entry.said.clone());
    let Some((pointer, _)) = known else { return found.is_some() };
    if duty == Duty::Follow && !puts(found, Some(pointer.seq), rand::rng().random()) {
        return true;
    }
    services.discovery.put_pointer(&pointer, club).await > 0
}
