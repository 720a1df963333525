//! What has been asked for, and how much of it was given, since the start.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use p2p_package::InfoHash;

/// Packages that are remembered: twice a full mirror's. An entry takes some 70 bytes, so all of them 2.5 MB.
const MAX_PACKAGES: usize = 32 * 1024;

/// What peers have had of one package since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Handshakes about it.
    pub handshakes: u32,
    /// Bytes of its blocks that have been handed to connections.
    pub uploaded_bytes: u64,
    /// When a peer came last to ask for it.
    pub last_asked: SystemTime,
}

/// The activity of all packages that somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Activities(Mutex<HashMap<InfoHash, Activity>>);

impl Activities {
    pub(crate) fn note_handshake(&self, info_hash: InfoHash, now: SystemTime) {
        let mut activities = self.lock();
        if activities.len() >= MAX_PACKAGES && !activities.contains_key(&info_hash) {
            forget_oldest(&mut activities);
        }
        let new = Activity { handshakes: 0, uploaded_bytes: 0, last_asked: now };
        let activity = activities.entry(info_hash).or_insert(new);
        activity.handshakes = activity.handshakes.saturating_add(1);
        activity.last_asked = now;
    }

    /// Counts bytes of a package that a connection is about.
    pub(crate) fn note_uploaded(&self, info_hash: InfoHash, bytes: u64) {
        if let Some(activity) = self.lock().get_mut(&info_hash) {
            activity.uploaded_bytes += bytes;
        }
    }

    pub(crate) fn get(&self, info_hash: &InfoHash) -> Option<Activity> {
        self.lock().get(info_hash).copied()
    }

    /// Handshakes of each package, the most wanted first.
    pub(crate) fn demand(&self) -> Vec<(InfoHash, u32)> {
        let mut demand: Vec<_> = self.lock().iter().map(|(hash, activity)| (*hash, activity.handshakes)).collect();
        demand.sort_unstable_by_key(|(hash, handshakes)| (std::cmp::Reverse(*handshakes), *hash));
        demand
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InfoHash, Activity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the quarter that nobody has asked for longest, so that it is not to be done again soon.
fn forget_oldest(activities: &mut HashMap<InfoHash, Activity>) {
    let mut times: Vec<_> = activities.values().map(|activity| activity.last_asked).collect();
    let quarter = times.len() / 4;
    let (_, oldest, _) = times.select_nth_unstable(quarter);
    let oldest = *oldest;
    let mut left = quarter + 1;
    activities.retain(|_, activity| {
        let goes = left > 0 && activity.last_asked <= oldest;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hash(n: usize) -> InfoHash {
        InfoHash::of(&n.to_le_bytes())
    }

    #[test]
    fn demand_names_the_most_wanted_first() {
        let activities = Activities::default();
        for n in [1, 2, 2, 3, 2, 3] {
            activities.note_handshake(hash(n), SystemTime::UNIX_EPOCH);
        }
        activities.note_uploaded(hash(2), 7);
        activities.note_uploaded(hash(4), 7);
        assert_eq!(activities.demand(), [(hash(2), 3), (hash(3), 2), (hash(1), 1)]);
        assert_eq!(activities.get(&hash(2)).map(|activity| activity.uploaded_bytes), Some(7));
        assert_eq!(activities.get(&hash(4)), None, "nobody shook hands about it");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes() {
        let activities = Activities::default();
        let time = |n: usize| SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64);
        for n in 0..3 * MAX_PACKAGES {
            activities.note_handshake(hash(n), time(n));
            assert!(activities.lock().len() <= MAX_PACKAGES);
        }
        let last = 3 * MAX_PACKAGES - 1;
        assert_eq!(activities.get(&hash(last)).map(|activity| activity.last_asked), Some(time(last)));
        assert_eq!(activities.get(&hash(0)), None);
    }
}
