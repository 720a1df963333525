//! What neighbours claim to have of a repository's database: whom to ask for which one.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use p2p_neighbours::{Neighbour, Recent};
use p2p_wire::{DatabaseClaim, club_id};
use tokio::time::{Instant, timeout_at};

use crate::editions::Reference;
use crate::fetch::databases::Lag;
use crate::fetch::package::seconds_since_1970;
use crate::services::Services;

/// How long neighbours have to say what they have; and those that are slower than the first who has something new.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const OTHERS_WITHIN: Duration = Duration::from_millis(500);

/// A neighbour that claims to have a newer database.
#[derive(Debug)]
pub(super) struct Claimant {
    pub(super) neighbour: Neighbour,
    pub(super) claim: DatabaseClaim,
    /// From when it is, in seconds since 1970, by its signature or its publisher.
    at: u64,
    /// How many neighbours name this database.
    pub(super) bearers: u64,
    /// How slow this neighbour was lately.
    pub(super) lag: Option<Lag>,
}

/// Those who are to be tried, in this order: who was slow lately comes last; then the newest database first, the one that most of
/// them name, and the one that comes with a signature.
pub(super) async fn gather(services: &Services, repository: &str, reference: Reference<'_>) -> Vec<Claimant> {
    // Whoever asks has just looked at the databases.
    let architecture = services.knowledge.last_view().conf.architectures.first().cloned();
    let (Some(architecture), Some(now)) = (architecture, seconds_since_1970(SystemTime::now())) else {
        return Vec::new();
    };
    let mut recents = services.neighbours.recent(club_id(repository, &architecture));
    let (mut until, mut claimants) = (Instant::now() + ANSWERS_WITHIN, Vec::new());
    while let Ok(Some(Recent { neighbour, databases, .. })) = timeout_at(until, recents.next()).await {
        for claim in databases {
            match reference.weigh(&claim, now) {
                Ok(at) => {
                    until = until.min(Instant::now() + OTHERS_WITHIN);
                    let lag = services.databases.lag(neighbour.address, std::time::Instant::now());
                    claimants.push(Claimant { neighbour: neighbour.clone(), claim, at, bearers: 0, lag });
                }
                Err(objection) => {
                    let peer = neighbour.address;
                    tracing::debug!(repo = repository, %peer, error = %objection, "a neighbour's claim is of no use");
                }
            }
        }
    }
    in_order(claimants)
}

/// A neighbour has one chance.
fn in_order(mut claimants: Vec<Claimant>) -> Vec<Claimant> {
    let ids: Vec<_> = claimants.iter().map(|claimant| (claimant.claim.id, claimant.neighbour.id)).collect();
    for claimant in &mut claimants {
        claimant.bearers = ids.iter().filter(|(id, _)| *id == claimant.claim.id).count() as u64;
    }
    claimants.sort_by_key(|Claimant { claim, at, bearers, lag, .. }| {
        (*lag, Reverse((*at, *bearers, !claim.signature.is_empty())))
    });
    let mut heard = BTreeSet::new();
    claimants.retain(|claimant| heard.insert(claimant.neighbour.id));
    claimants
}
