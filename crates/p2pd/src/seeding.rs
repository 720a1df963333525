//! What of the cache may be shared, by the sync databases of this moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use p2p_package::FileName;
use p2p_seeder::{Judge, Verdict};

use crate::forgotten::Forgotten;
use crate::handovers::Handovers;
use crate::knowledge::Knowledge;

/// Lets the cache scan ask what we know of pacman.
#[derive(Debug)]
pub(crate) struct DatabaseJudge {
    pub(crate) knowledge: Arc<Knowledge>,
    pub(crate) handovers: Arc<Handovers>,
    pub(crate) forgotten: Arc<Forgotten>,
}

impl Judge for DatabaseJudge {
    fn refresh(&self) {
        self.knowledge.sharing();
    }

    fn judge(&self, name: &FileName) -> Vec<Verdict> {
        // Of the last look, not of a new one for each file: see `refresh`.
        let sharing = self.knowledge.last_sharing();
        let named = sharing.named(name).filter(|(id, _)| !self.forgotten.contains(&id.sha256));
        named.map(|(id, repository)| Verdict { id, repository }).collect()
    }

    fn is_in_use(&self, path: &Path) -> bool {
        self.handovers.is_in_use(path, Instant::now())
    }
}
