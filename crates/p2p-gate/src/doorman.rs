//! What the rest of the daemon tells the gate: where an info hash is spoken for.

use std::net::SocketAddr;
use std::pin::Pin;

use p2p_package::InfoHash;
use p2p_wire::Handshake;

use crate::claim::Claims;
use crate::stream::PeerStream;

/// Who speaks for an info hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The engine.
    Engine {
        /// Where it listens, on loopback.
        listener: SocketAddr,
        /// How many pieces the torrent has.
        pieces: u32,
    },
    /// Somebody in this process: [`Doorman::serve`].
    Here,
    /// Nobody yet, but perhaps in a moment: [`Doorman::await_speaker`].
    Soon,
    /// Nobody; the connection is closed.
    Nowhere,
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They called us.
    Incoming,
    /// We called them.
    Outgoing,
}

/// A peer that asks for an info hash spoken for [here](Destination::Here).
#[derive(Debug)]
pub struct Visitor {
    /// The connection, after their handshake.
    pub stream: PeerStream,
    /// What they said.
    pub handshake: Handshake,
    /// From where they called, or where we did.
    pub address: SocketAddr,
    /// Whether the address is on a local network, or on this host.
    pub is_local: bool,
    /// Whether the rate limits hold for it, and a pause does: nearly the opposite, but a provider's network of global IPv4
    /// addresses is both.
    pub is_metered: bool,
    /// Who dialled. Where they did, our handshake is still to be sent; where we did, [`Handshake::ours`] has been.
    pub direction: Direction,
    /// Where is noted whether he waits for his turn.
    pub claims: Claims,
}

/// A conversation with a [`Visitor`].
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ends when the [destination](Doorman::destination) of an info hash may have changed.
pub type Change = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the gate where connections go. Its methods are called for strangers: none may block.
pub trait Doorman: Send + Sync {
    /// Who speaks for `info_hash` now.
    fn destination(&self, info_hash: InfoHash) -> Destination;

    /// A caller waits to be heard for an info hash whose destination is [`Destination::Soon`].
    fn await_speaker(&self, info_hash: InfoHash) -> Change;

    /// A peer that the engine speaks with says that it has got a piece; the engine is about to hear it.
    fn note_have(&self, info_hash: InfoHash);

    /// Speaks with a visitor until either side has enough. The gate drops the future to hang up, so the conversation has to
    /// take place in it, and not in a task of its own.
    fn serve(&self, visitor: Visitor) -> Serving;
}
