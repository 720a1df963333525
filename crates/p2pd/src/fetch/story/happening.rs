//! What can happen in a fetch, as far as people ask for it.

use std::net::SocketAddr;

use p2p_discovery::Origin;

use crate::fetch::plan::Action;
use crate::fetch::shares::Share;

/// One of them. Mirrors are numbers in the order in which the fetch had them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    MirrorAsked {
        mirror: usize,
        /// Beside another one, which is late.
        beside: bool,
    },
    MirrorAnswers(usize),
    MirrorFails {
        mirror: usize,
        fault: String,
    },
    MirrorStopped,
    NeighboursAsked,
    NeighbourHas(SocketAddr),
    NeighbourWillHave(SocketAddr),
    NeighbourSends(SocketAddr),
    NeighbourSent {
        address: SocketAddr,
        bytes: u64,
    },
    /// It broke off, or sent something else.
    NeighbourFails(SocketAddr),
    /// It is downloading it from a mirror, and is waited for.
    NeighbourBrings,
    NeighboursEnd,
    MetainfoSought,
    MetainfoFound,
    MetainfoMissing,
    /// A mirror's bytes contradict it.
    MetainfoDisputed,
    PeersSought,
    PeerFound {
        address: SocketAddr,
        origin: Origin,
    },
    SwarmJoined,
    SwarmLeft,
    WebseedJoins(usize),
    /// So many others nearby have it, or download it, too, and mirrors are asked for so much.
    Shared {
        share: Share,
        others: usize,
    },
    WebseedLeaves(usize),
    PeerCut,
    BegunAnew,
    /// Whether the SHA-256 was right.
    Verified(bool),
    /// It may not be shared any more, or a client reads what mirrors send.
    MirrorsAlone,
}

impl Happening {
    /// What a decision of the plan means for people; none where it means nothing to them.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else a plan decides is its own business")]
    pub(crate) fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::BeginAnew => Self::BegunAnew,
            Action::OpenStream { mirror, .. } => Self::MirrorAsked { mirror, beside: false },
            Action::OpenRival { mirror, .. } => Self::MirrorAsked { mirror, beside: true },
            Action::CloseStream => Self::MirrorStopped,
            Action::AskNeighbours => Self::NeighboursAsked,
            Action::SeekMetainfo => Self::MetainfoSought,
            Action::SeekPeers => Self::PeersSought,
            Action::JoinSwarm => Self::SwarmJoined,
            Action::AddWebseed { mirror } => Self::WebseedJoins(mirror),
            Action::RemoveWebseed { mirror } => Self::WebseedLeaves(mirror),
            Action::LeaveSwarm | Action::FinishSwarm => Self::SwarmLeft,
            Action::CutSlowestPeer { .. } => Self::PeerCut,
            _ => return None,
        })
    }
}
