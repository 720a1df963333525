//! What we announce as ours: each package of the catalog that everybody may have.

mod demand;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_discovery::Discovery;
use p2p_package::InfoHash;
use p2p_seeder::{Catalog, Row};

use self::demand::Demand;

/// Says what is offered. What is due when, and within which budget, is discovery's to decide.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    /// Held while offers are made and reviewed, so that a review never takes back what came while it looked.
    demand: Mutex<Demand>,
}

impl Offers {
    /// Announces a package that has just come into the catalog.
    pub(crate) fn make(&self, discovery: &Discovery, info_hash: InfoHash, trackers: &[String]) {
        let _reviewing = self.lock();
        discovery.offer(info_hash, SystemTime::now(), trackers);
    }

    /// Offers exactly what of the catalog is public now.
    pub(crate) fn review(&self, discovery: &Discovery, catalog: &Catalog, is_public: impl Fn(&Row) -> bool) {
        let _making = self.lock();
        let rows = catalog.rows();
        let public = rows.iter().filter(|row| is_public(row));
        discovery.hold(public.map(|row| (row.info_hash(), newest(row))));
    }

    /// Passes on what peers ask for: `totals` counts how often each package was asked for since the start.
    pub(crate) fn tell_demand(&self, discovery: &Discovery, totals: &[(InfoHash, u32)], now: Instant) {
        let lately = self.lock().handle_totals(totals, now);
        discovery.demand(&lately);
    }

    fn lock(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How new a package is: when it was fetched, or, for one that lay there already, when its file was made. pacman gives
/// files the mirror's time; and a first scan adds everything at once.
fn newest(row: &Row) -> SystemTime {
    let modified = u64::try_from(row.stamp.modified_ns).unwrap_or(0);
    let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(modified);
    row.fetched().map_or(modified, |fetched| fetched.max(modified))
}
