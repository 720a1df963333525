//! Keeps connections with a few other daemons, and asks them who has a package.
//!
//! A club is a rendezvous of daemons that share a repository and an architecture; a neighbour is one of them that we
//! hold a connection with. Decisions are pure: time and events go in, wishes come out.

mod calls;
mod circle;
mod connection;
mod conversation;
mod neighbours;
mod presence;
mod quota;
mod remembered;
mod replies;
mod shared;
mod shelf;

pub use calls::Call;
pub use circle::{Circle, CircleOptions, DIAL_TIMEOUT, Direction, Left, Origin, Stay};
pub use connection::End;
pub use conversation::{AskFault, Conversation, ConversationOptions, Event, NeighbourFault};
pub use neighbours::{Caller, Dial, NeighbourOptions, Neighbours};
pub use p2p_wire::{Answer, DatabaseClaim, Holding, Kind, Pointer, Refusal, What, Wishes};
pub use presence::{Neighbour, NeighbourId};
pub use quota::Quota;
pub use remembered::{LoadFault, RememberedFile, TextFault};
pub use replies::{Newcomers, Recent, Recents, Replies, Reply, Transfer};
pub use shelf::{Asker, Shelf, Traffic};
