//! A large package, whole, from one neighbour after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use p2p_package::PackageId;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::lending::receive;
use super::{Event, PackageFetch};
use crate::fetch::story::{Happening, Story};
use crate::fetch::whereabouts;
use crate::services::Services;

/// Neighbours that are asked.
const MOST: usize = 4;
/// A whole package is held in memory: one at a time.
static PLACE: Semaphore = Semaphore::const_new(1);
/// So long others are waited for: a few of them at a good rate.
const PLACE_WITHIN: Duration = Duration::from_secs(30);
/// All neighbours together may take this long, the wait included, and what a slow line needs, in bytes a second.
const WHOLE_WITHIN: Duration = Duration::from_mins(1);
const SLOWEST_RATE: u64 = 500_000;

impl PackageFetch {
    pub(super) fn borrow_large(&mut self) {
        let (services, story) = (Arc::clone(&self.services), Arc::clone(&self.story));
        let (id, events) = (self.known.id.clone(), self.events.clone());
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let event = borrow(&services, &story, &id).await.map_or(Event::LastResortEnd, Event::Lent);
            let _ = events.send(event).await;
        })));
    }
}

/// The whole package from the first who sends it.
async fn borrow(services: &Services, story: &Story, id: &PackageId) -> Option<Vec<u8>> {
    let begun = Instant::now();
    let end = begun + WHOLE_WITHIN + Duration::from_secs(id.size / SLOWEST_RATE);
    // It is never closed.
    let _place = timeout_at(begun + PLACE_WITHIN, PLACE.acquire()).await.ok()?;
    let mut tried = BTreeSet::new();
    while tried.len() < MOST {
        // Somebody may have come meanwhile.
        let mut holders = whereabouts::view(services, &id.sha256).holders;
        holders.retain(|holder| !tried.contains(&holder.id));
        let neighbour = holders.first()?;
        // One that dawdles leaves their share to the others.
        let left = u32::try_from(holders.len().min(MOST - tried.len())).unwrap_or(1);
        let now = Instant::now();
        let share = now + end.saturating_duration_since(now) / left;
        let received = timeout_at(share, receive(services, story, id, neighbour)).await;
        if received.is_err() {
            story.note(Happening::NeighbourFails(neighbour.address));
        }
        if let Ok(Some(bytes)) = received {
            services.whereabouts.note_brought(neighbour.id);
            return Some(bytes);
        }
        services.whereabouts.note_refused(neighbour.id, &id.sha256);
        tried.insert(neighbour.id);
    }
    None
}
