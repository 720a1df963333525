//! What goes into a plan at its start, and what it wants done.

use std::time::Duration;

use crate::config::Policy;
use crate::fetch::hedge::Prospect;

/// What is known at the start.
#[derive(Debug, Clone)]
pub(crate) struct Brief {
    /// In bytes.
    pub(crate) size: u64,
    /// Pieces of the canonical torrent.
    pub(crate) pieces: u64,
    /// The mirrors in the order in which they are tried.
    pub(crate) prospects: Vec<Prospect>,
    /// False for packages of repositories that are not shared.
    pub(crate) sharing: Sharing,
    pub(crate) policy: Policy,
    pub(crate) urgency: Urgency,
    /// What peers get before a mirror is asked: where those nearby have been much faster lately.
    pub(crate) grace: Option<Duration>,
    /// How long mirrors wait for an answer of the neighbours; none where there are none.
    pub(crate) neighbours: Option<Duration>,
    /// What an earlier run left.
    pub(crate) resume: Resume,
}

/// Whether other people may hear of this package at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    Allowed,
    MirrorsOnly,
}

/// Whether somebody waits for the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Urgent,
    /// Mirrors are spared: peers get the whole grace to come, and to go on once they have stalled.
    Leisurely,
}

/// What an earlier run of the daemon left in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resume {
    /// The first bytes, as a mirror sent them.
    Prefix(u64),
    /// Some pieces of a torrent that was saved beside them.
    Pieces,
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Begin again with an empty file; what came before is dropped.
    BeginAnew,
    /// Stream from this mirror, from this byte on.
    OpenStream { mirror: usize, from: u64 },
    /// Ask this mirror for the same beside the one that is late; the first to answer is the stream from then on.
    OpenRival { mirror: usize, from: u64 },
    /// Stop the stream, keep its bytes.
    CloseStream,
    /// Ask the neighbours, and report what they offer; at last [`handle_neighbours_end`](super::Plan::handle_neighbours_end), unless
    /// an offer is not taken or one brings the package.
    AskNeighbours,
    /// Have the neighbour send the whole package that offers to.
    Borrow,
    /// Have a neighbour send a large package whole; then report it, or at last
    /// [`handle_last_resort_end`](super::Plan::handle_last_resort_end).
    BorrowLarge,
    /// Put what a neighbour has brought into the file, in place of what there is.
    TakeLent,
    /// Look for a `.torrent`.
    SeekMetainfo,
    /// The metainfo that was found has led to another file, or to nothing: report another one that is known, or that there is none.
    DoubtMetainfo,
    /// Look for peers of the metainfo that was found.
    SeekPeers,
    /// Compare the metainfo with what this mirror sent, and sends; then report [`handle_check`](super::Plan::handle_check).
    CheckMetainfo { mirror: Option<usize> },
    /// Hand the file over to the engine.
    JoinSwarm,
    /// Let this mirror join the swarm.
    AddWebseed { mirror: usize },
    /// Ask the mirrors in the swarm for as much as [`share`](super::Plan::share) says, in this [`company`](super::Plan::company).
    SetShare,
    /// Part from this mirror in the swarm.
    RemoveWebseed { mirror: usize },
    /// Dial those again who were found, and with whom there is no connection.
    RetryPeers,
    /// Take the file back from the engine.
    LeaveSwarm,
    /// The engine has every piece, and gives them to those who are there until the SHA-256 says otherwise.
    FinishSwarm,
    /// Part from the slowest peer, which sits on a piece that a mirror could bring; where that has not helped, whatever its
    /// rate was.
    CutSlowestPeer { whatever_its_rate: bool },
    /// All bytes are there: compare the SHA-256, then report [`handle_verified`](super::Plan::handle_verified).
    Verify,
    /// Give up.
    Fail(Despair),
}

/// Why there is nothing left to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Despair {
    /// Every mirror said that it lacks the file.
    NotFound,
    /// Nobody answered, or everybody broke off.
    Unreachable,
    /// Every mirror sent other bytes than the sync database vouches for.
    Mismatch,
}

/// What a webseed does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It has nothing to do.
    Idle,
    /// It owes something, and has sent nothing new.
    Owes,
    /// It has sent something.
    Serves,
}

/// What a mirror's fault says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does not have the file.
    Lacks,
    /// It does not answer or breaks off; it may rest and be asked again.
    Rests(Option<Duration>),
    /// It sent something that cannot be the file.
    Wrong,
}
