//! What a seed's conversation is told at its start.

use std::net::IpAddr;

use p2p_package::Info;

use crate::{Handshake, PeerId, PieceSet};

/// What the connection is about.
#[derive(Debug, Clone)]
pub struct SeedTorrent {
    /// The torrent's `info`; also what a peer with only a magnet link gets.
    pub info: Info,
    /// The pieces that the other side may ask for; none for all of them.
    pub offered: Option<PieceSet>,
}

impl SeedTorrent {
    /// All pieces of a torrent.
    #[must_use]
    pub fn whole(info: Info) -> Self {
        Self { info, offered: None }
    }
}

/// Who called whom, and how far the handshakes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We call: our handshake goes first, theirs is awaited.
    Caller,
    /// They called and have said this; ours is still to be sent.
    Answerer(Handshake),
    /// We called, [`Handshake::ours`] has been sent, and they have answered this.
    Introduced(Handshake),
}

/// How a connection behaves.
#[derive(Debug, Clone)]
pub struct SeedOptions {
    /// Who we are.
    pub peer_id: PeerId,
    /// Where we accept connections, told to the other side (`p`); none to say nothing.
    pub listen_port: Option<u16>,
    /// How many requests the other side is told to have on their way at most (`reqq`).
    pub queue_depth: u32,
    /// Bytes of blocks that are wanted or wait to be transmitted at most; one block is always allowed.
    pub send_buffer: usize,
    /// Whether requests are answered from the start.
    pub upload: Upload,
    /// The other side's address, told to it (`yourip`).
    pub your_ip: Option<IpAddr>,
}

impl SeedOptions {
    /// An ordinary seeder's options: 2,000 requests on their way, a send buffer of 64 KiB, unchoked.
    #[must_use]
    pub fn new(peer_id: PeerId) -> Self {
        let (queue_depth, send_buffer) = (2_000, 64 * 1024);
        Self { peer_id, listen_port: None, queue_depth, send_buffer, upload: Upload::Unchoked, your_ip: None }
    }
}

/// Whether requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// They are.
    Unchoked,
    /// Not now: the other side is told to wait.
    Choked,
}
