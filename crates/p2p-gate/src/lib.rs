//! Owns every connection with strangers: accepts, dials, filters, limits, counts.
//!
//! A caller gives its handshake within five seconds; then the [`Doorman`] says who speaks for the info hash: the engine,
//! whose loopback listener the caller is spliced with, or somebody in this process. Peers that discovery finds are
//! [introduced](Gate::introduce), dialled, and treated alike. What the engine dials by itself passes through the
//! [proxy](Gate::proxy). So nobody else has sockets to strangers, and one place limits and counts them.
//!
//! The decisions are pure: `filter` (which addresses), `network` (what counts as one), `admission` and `tally` (how many),
//! `eviction` (who makes room), `dial_queue` (who next), `backoff` (who not yet), `pacer` (how fast), `vigil` (who may be
//! silent, who floods). `book` holds them under one lock; everything else moves bytes.

mod admission;
mod backoff;
mod book;
mod claim;
mod clock;
mod connections;
mod dial_queue;
mod doorman;
mod embargo;
mod engine_link;
mod eviction;
mod filter;
mod gate;
mod gatehouse;
mod handshaking;
mod incoming;
mod listener;
mod meter;
mod network;
mod on_link;
mod options;
mod outgoing;
mod pacer;
mod probe;
mod proxy;
mod socks;
mod splice;
mod stream;
mod tally;
mod throttle;
mod transport;
mod utp;
mod vigil;

pub use admission::Limits;
pub use book::IntroduceFault;
pub use claim::{Claim, Claims};
pub use connections::PeerTraffic;
pub use doorman::{Change, Destination, Direction, Doorman, Serving, Visitor};
pub use filter::{AddressFault, Origin, Scope};
pub use gate::{Gate, GateError, Totals};
pub use options::{GateOptions, Secret};
pub use outgoing::DIAL_WITHIN;
pub use proxy::ProxyAddress;
pub use stream::PeerStream;
pub use transport::Transport;
