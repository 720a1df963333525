//! What happens in a seed's conversation, and how it ends.

use p2p_package::InfoHash;

use crate::extension::ExtensionFault;
use crate::{Block, FramingFault, Handshake, HandshakeError};

/// What the driver may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedEvent {
    /// Both handshakes are done; this is theirs.
    Opened(Handshake),
    /// The other side has changed its mind about whether it wants something from us.
    Interest(Interest),
    /// The other side accepts connections on this port: with its address, what others may be told.
    ListensOn(u16),
    /// The conversation has ended: transmit what is left, then hang up.
    Closed(CloseReason),
}

/// Whether the other side wants something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Why we end a conversation that nobody is to blame for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The other side needs nothing: it has everything, or says that it never downloads.
    RemoteIsSeed,
    /// No handshake came in time.
    NoHandshake,
    /// No message came for minutes.
    Silent,
    /// Nothing was asked for for minutes.
    Idle,
    /// A block cannot be had, and the other side knows no way to be told so.
    BlockMissing,
}

/// The other side does not keep to the protocol, or to what is bearable: hang up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// Another protocol.
    #[error("the peer sent no handshake")]
    Handshake(#[source] HandshakeError),
    /// It answered for another torrent.
    #[error("the peer's handshake is for {0}")]
    OtherSwarm(InfoHash),
    /// It has our own peer id.
    #[error("the peer is ourselves")]
    Ourselves,
    /// Its bytes are no messages.
    #[error("the peer sent something that is no message")]
    Framing(#[source] FramingFault),
    /// A message of an extension is malformed.
    #[error("the peer sent a malformed extended message")]
    Extension(#[source] ExtensionFault),
    /// It asked for bytes that are not in the torrent.
    #[error("the peer asked for {} bytes at {} of piece {}, which do not exist", .0.length, .0.offset, .0.piece)]
    Range(Block),
    /// It says to have pieces that do not exist.
    #[error("the peer has pieces that do not exist")]
    Pieces,
    /// It sent a block that nobody asked for.
    #[error("the peer sent a block unasked")]
    Unasked,
    /// It asks for far more than it was told to.
    #[error("the peer sent too many requests")]
    Flood,
    /// It asks, and does not read the answers.
    #[error("the peer does not read the answers")]
    NotReading,
}
