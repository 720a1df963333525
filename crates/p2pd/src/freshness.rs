//! How fresh the sync databases are, for people.

use std::time::{Duration, Instant, SystemTime};

use p2p_api::{DatabaseSource, Freshness};

use crate::editions::{Edition, Place};
use crate::fetch::Source;
use crate::services::Services;

/// The newest database of each shared repository, in the order of `pacman.conf`.
pub(crate) fn describe(services: &Services) -> Vec<Freshness> {
    // Whoever asks must not wait for a file, and is answered on a thread that others wait for.
    let (view, sharing) = (services.knowledge.last_view(), services.knowledge.last_sharing());
    let names = view.conf.repositories.iter().map(|repository| &repository.name);
    let shared = names.filter(|name| sharing.rules().shares(name));
    let (now, wall) = (Instant::now(), SystemTime::now());
    let newest = shared.filter_map(|name| Some((name, services.editions.last(name)?)));
    newest.map(|(name, edition)| of(services, name, &edition, now, wall)).collect()
}

fn of(services: &Services, repository: &str, edition: &Edition, now: Instant, wall: SystemTime) -> Freshness {
    let key = format!("{repository}/{repository}.db");
    let copy = services.databases.get(&key).filter(|_| edition.place == Place::Ours);
    let (source, neighbours) = match copy.as_ref().map(|copy| copy.source) {
        Some(Source::Mirror) => (DatabaseSource::Mirror, 0),
        Some(Source::Neighbours(count) | Source::Published(count)) => (DatabaseSource::Neighbour, count),
        Some(Source::Pacman) | None => (DatabaseSource::Pacman, 0),
    };
    let came = copy.filter(|_| source != DatabaseSource::Pacman).map_or(edition.dated, |copy| copy.fetched);
    let confirmed = services.databases.confirmed(&key).filter(|_| source != DatabaseSource::Pacman);
    let age_seconds = confirmed.map_or_else(|| age(came, wall), |at| now.duration_since(at).as_secs());
    Freshness {
        repository: repository.to_owned(),
        signed_age_seconds: edition.signed.as_ref().map(|signed| age(signed.at, wall)),
        key: edition.signed.as_ref().map(|signed| signed.key.to_string()),
        source: if confirmed.is_some() { DatabaseSource::Mirror } else { source },
        neighbours: if confirmed.is_some() { 0 } else { neighbours },
        age_seconds,
    }
}

/// Seconds since a time that is counted in seconds since 1970; 0 where that lies in the future.
fn age(at: u64, now: SystemTime) -> u64 {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(Duration::ZERO, |now| now);
    now.as_secs().saturating_sub(at)
}
