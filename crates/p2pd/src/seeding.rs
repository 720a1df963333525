//! What of the cache may be shared, by the sync databases of this moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use p2p_package::FileName;
use p2p_seeder::{Judge, Verdict};

use crate::handovers::Handovers;
use crate::knowledge::Knowledge;

/// Lets the cache scan ask what we know of pacman.
#[derive(Debug)]
pub(crate) struct DatabaseJudge {
    pub(crate) knowledge: Arc<Knowledge>,
    pub(crate) handovers: Arc<Handovers>,
}

impl Judge for DatabaseJudge {
    fn judge(&self, name: &FileName) -> Vec<Verdict> {
        let shared = self.knowledge.shared_packages(name).into_iter();
        shared.map(|known| Verdict { id: known.id, repository: known.repository }).collect()
    }

    fn is_in_use(&self, path: &Path) -> bool {
        self.handovers.is_in_use(path, Instant::now())
    }
}
