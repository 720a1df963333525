//! Machines nearby that download the same package: what each asks the mirrors for.

use std::collections::BTreeSet;
use std::time::Instant;

use p2p_wire::PieceSet;

use super::PackageFetch;
use crate::fetch::shares::{self, Machine};

impl PackageFetch {
    /// These download the package, too, or have it already.
    pub(super) fn handle_company(&mut self, others: BTreeSet<Machine>) {
        self.plan.handle_company(others.len(), Instant::now());
        self.company = others;
        self.ask_for_share();
    }

    /// The mirrors in the swarm are asked for our share from now on.
    pub(super) fn ask_for_share(&self) {
        let share = self.share();
        for webseed in self.swarm.iter().flat_map(|swarm| &swarm.webseeds) {
            webseed.peer.set_share(share.clone());
        }
    }

    /// The pieces that mirrors are asked for; none for all.
    pub(super) fn share(&self) -> Option<PieceSet> {
        let info = &self.metainfo.as_ref()?.info;
        let us = self.services.whereabouts.us();
        shares::pieces(self.plan.share(), (&self.known.id.sha256, info), us, &self.company)
    }
}
