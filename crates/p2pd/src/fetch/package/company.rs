//! Machines nearby that download the same package: what each asks the mirrors for.

use p2p_wire::PieceSet;

use super::PackageFetch;
use crate::fetch::shares::{Share, Shares};
use crate::fetch::story::Happening;

impl PackageFetch {
    /// The mirrors in the swarm are asked for our share from now on.
    pub(super) fn set_share(&self) {
        let pieces = self.shared_pieces();
        for webseed in self.swarm.iter().flat_map(|swarm| &swarm.webseeds) {
            webseed.peer.set_share(pieces.clone());
        }
        let share = pieces.map_or(Share::Everything, |_| self.plan.share());
        self.story.note(Happening::Shared { share, others: self.plan.company().len() });
    }

    /// The pieces that mirrors are asked for; none for all.
    pub(super) fn shared_pieces(&self) -> Option<PieceSet> {
        let info = &self.metainfo.as_ref()?.info;
        let (id, ours, others) = (&self.known.id.sha256, self.services.whereabouts.us(), self.plan.company());
        Shares { id, info, ours, others }.pieces(self.plan.share())
    }
}
