//! A large package, whole, from one neighbour after the other.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::lending::receive;
use super::{Event, PackageFetch};
use crate::fetch::whereabouts;

/// Neighbours that are asked.
const MOST: usize = 4;
/// A whole package is held in memory: one at a time.
static PLACE: Semaphore = Semaphore::const_new(1);

impl PackageFetch {
    pub(super) fn borrow_large(&mut self) {
        let (services, story) = (Arc::clone(&self.services), Arc::clone(&self.story));
        let (id, events) = (self.known.id.clone(), self.events.clone());
        self.lookups.push(AbortOnDropHandle::new(tokio::spawn(async move {
            // It is never closed.
            let _place = PLACE.acquire().await;
            for neighbour in whereabouts::view(&services, &id.sha256).holders.iter().take(MOST) {
                if let Some(bytes) = receive(&services, &story, &id, neighbour).await {
                    let _ = events.send(Event::Lent(bytes)).await;
                    return;
                }
            }
            let _ = events.send(Event::LastResortEnd).await;
        })));
    }
}
