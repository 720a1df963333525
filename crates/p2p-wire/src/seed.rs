//! The conversation of a peer that has everything, or offers a part of it, wants nothing and answers requests.
//!
//! A seeder drives it with blocks from the package cache, a webseed's virtual peer with blocks from a mirror. After each
//! call of a `handle_*` method, poll until nothing comes: transmit, wanted blocks, events; then sleep until
//! [`SeedConnection::poll_timeout`]. `poll_transmit` is the only drain: call it when the transport takes bytes, and no
//! more blocks are wanted than fit what has been drained.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use p2p_package::Info;

use crate::extension::{ExtendedHandshake, OUR_VERSION, UT_METADATA, UT_PEX};
use crate::limits::{
    DISINTEREST_TIMEOUT, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, KEEP_ALIVE, MAX_BLOCK_BYTES, MAX_DOWNLOADER_MESSAGE_BYTES,
    MAX_EXCESS_REQUESTS, MAX_QUEUED_METADATA, MAX_SMALL_ANSWER_BYTES, METADATA_BLOCK_BYTES, METADATA_ROUNDS,
    SILENCE_TIMEOUT, WAITING_TIMEOUT,
};
use crate::pex::PexSchedule;
use crate::{Block, Framer, Handshake, HandshakeError, Message, MetadataMessage, PieceSet};
pub use event::{CloseReason, Interest, PeerFault, SeedEvent};
pub use options::{Role, SeedOptions, SeedTorrent, Upload};
use outbox::Outbox;
use remote::RemotePieces;
use requests::RequestQueue;

mod event;
mod options;
mod outbox;
mod remote;
mod requests;

/// The number under which we take messages of `ut_metadata`.
const OUR_METADATA_ID: u8 = 2;

/// The state machine; see the module's documentation for how to drive it.
#[derive(Debug)]
pub struct SeedConnection {
    info: Info,
    offered: Option<PieceSet>,
    options: SeedOptions,
    stage: Stage,
    fast: bool,
    metadata_id: Option<u8>,
    pex_id: Option<u8>,
    framer: Framer,
    outbox: Outbox,
    requests: RequestQueue,
    metadata: VecDeque<u32>,
    /// Requests for metadata so far.
    metadata_asked: usize,
    excess: usize,
    remote: RemotePieces,
    pex: PexSchedule,
    clocks: Clocks,
    events: VecDeque<SeedEvent>,
    uploaded_bytes: u64,
}

#[derive(Debug)]
enum Stage {
    /// The part of their handshake that has arrived.
    Handshaking(Vec<u8>),
    Open,
    Closed,
}

/// Since when what has not happened.
#[derive(Debug)]
struct Clocks {
    started: Instant,
    heard: Instant,
    spoke: Instant,
    wanted: Instant,
}

impl SeedConnection {
    /// A conversation about `torrent` that begins now.
    ///
    /// # Errors
    ///
    /// Where the handshake in `role` is for another swarm, or our own.
    pub fn new(torrent: SeedTorrent, role: Role, options: SeedOptions, now: Instant) -> Result<Self, PeerFault> {
        let SeedTorrent { info, offered } = torrent;
        let pieces = u32::try_from(info.pieces().len()).expect("a package has fewer than 2^32 pieces");
        let mut connection = Self {
            stage: Stage::Handshaking(Vec::new()),
            fast: false,
            metadata_id: None,
            pex_id: None,
            framer: Framer::new(MAX_DOWNLOADER_MESSAGE_BYTES.max(info.pieces().len().div_ceil(8) + 1)),
            outbox: Outbox::default(),
            requests: RequestQueue::default(),
            metadata: VecDeque::new(),
            metadata_asked: 0,
            excess: 0,
            remote: RemotePieces::new(pieces),
            pex: PexSchedule::default(),
            clocks: Clocks { started: now, heard: now, spoke: now, wanted: now },
            events: VecDeque::new(),
            uploaded_bytes: 0,
            info,
            offered,
            options,
        };
        if !matches!(role, Role::Introduced(_)) {
            let ours = Handshake::ours(connection.info.info_hash(), connection.options.peer_id);
            connection.outbox.push(Bytes::copy_from_slice(&ours.encode()));
        }
        if let Role::Answerer(theirs) | Role::Introduced(theirs) = role {
            connection.open(theirs, now)?;
        }
        Ok(connection)
    }

    /// Takes bytes in that the other side sent.
    ///
    /// # Errors
    ///
    /// What the other side did wrong; the conversation is over then.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<(), PeerFault> {
        let outcome = self.receive(bytes, now);
        if outcome.is_err() {
            self.stop();
        }
        outcome
    }

    /// Takes a block in that was wanted; one that was cancelled meanwhile is ignored.
    pub fn handle_block(&mut self, block: Block, data: Bytes, now: Instant) {
        if data.len() as u64 != u64::from(block.length) {
            return self.handle_block_missing(block, now);
        }
        if self.requests.take(block) {
            self.outbox.push(Message::piece_header(block));
            self.outbox.push(data);
            self.uploaded_bytes += u64::from(block.length);
            self.excess = 0;
            self.clocks.spoke = now;
        }
    }

    /// Notes that a block that was wanted cannot be had: it is rejected, or the conversation ends.
    pub fn handle_block_missing(&mut self, block: Block, now: Instant) {
        if !self.requests.take(block) {
            return;
        }
        if self.fast {
            self.say(&Message::Reject(block), now);
        } else {
            self.close(CloseReason::BlockMissing);
        }
    }

    /// Does what is due; call it when [`Self::poll_timeout`]'s time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.stage {
            Stage::Handshaking(_) if now >= self.clocks.started + HANDSHAKE_TIMEOUT => {
                self.close(CloseReason::NoHandshake);
            }
            Stage::Open if now >= self.clocks.heard + SILENCE_TIMEOUT => self.close(CloseReason::Silent),
            Stage::Open if now >= self.idle_at() => self.close(CloseReason::Idle),
            Stage::Open => self.speak_up(now),
            Stage::Handshaking(_) | Stage::Closed => (),
        }
    }

    /// Answers requests from now on, or lets the other side wait. What waits is rejected where it can be (BEP 6), and
    /// forgotten otherwise (BEP 3).
    pub fn set_upload(&mut self, upload: Upload, now: Instant) {
        if self.options.upload == upload {
            return;
        }
        self.options.upload = upload;
        self.clocks.wanted = now;
        if !matches!(self.stage, Stage::Open) {
            return;
        }
        match upload {
            Upload::Unchoked => self.say(&Message::Unchoke, now),
            Upload::Choked => {
                self.say(&Message::Choke, now);
                for block in self.requests.clear() {
                    if self.fast {
                        self.say(&Message::Reject(block), now);
                    }
                }
            }
        }
    }

    /// Notes a peer of this swarm that the other side shall be told of (BEP 11).
    pub fn tell_added(&mut self, peer: SocketAddr) {
        self.pex.add(peer);
    }

    /// Notes that a peer has left the swarm.
    pub fn tell_dropped(&mut self, peer: SocketAddr) {
        self.pex.drop(peer);
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.outbox.bytes() < METADATA_BLOCK_BYTES
            && let Some(block) = self.metadata.pop_front()
            && let Some(id) = self.metadata_id
        {
            let payload = MetadataMessage::answer(self.info.encoded(), block).encode();
            self.outbox.push(Message::Extended { id, payload: payload.into() }.encode());
        }
        self.outbox.pop()
    }

    /// The next block that the driver shall get, and then pass to [`Self::handle_block`] in any order.
    pub fn poll_wanted_block(&mut self) -> Option<Block> {
        if !matches!(self.stage, Stage::Open) {
            return None;
        }
        let used = self.outbox.bytes() + self.requests.handed_out_bytes();
        self.requests.hand_out(self.options.send_buffer.saturating_sub(used), used == 0)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SeedEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called, whatever happens before; none once the conversation is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Handshaking(_) => Some(self.clocks.started + HANDSHAKE_TIMEOUT),
            Stage::Open => {
                // Who knew the extension and no longer does must not leave a deadline behind that nothing meets.
                let pex = self.pex_id.and_then(|_| self.pex.due());
                let speak = pex.into_iter().chain([self.clocks.spoke + KEEP_ALIVE]).min()?;
                Some(speak.min(self.clocks.heard + SILENCE_TIMEOUT).min(self.idle_at()))
            }
            Stage::Closed => None,
        }
    }

    /// Bytes of blocks that have been transmitted, or wait to be.
    pub fn uploaded_bytes(&self) -> u64 {
        self.uploaded_bytes
    }

    fn receive(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), PeerFault> {
        if matches!(self.stage, Stage::Closed) {
            return Ok(());
        }
        if let Stage::Handshaking(received) = &mut self.stage {
            let (theirs, rest) = bytes.split_at(bytes.len().min(Handshake::BYTES - received.len()));
            received.extend_from_slice(theirs);
            if !Handshake::may_start_with(received) {
                return Err(PeerFault::Handshake(HandshakeError));
            }
            let Ok(theirs) = received.as_slice().try_into() else {
                return Ok(());
            };
            let theirs = Handshake::decode(theirs).map_err(PeerFault::Handshake)?;
            self.open(theirs, now)?;
            bytes = rest;
        }
        // A long read goes in by parts, so that the buffer never holds more than one message and one part.
        for part in bytes.chunks(MAX_DOWNLOADER_MESSAGE_BYTES) {
            self.framer.push(part);
            while matches!(self.stage, Stage::Open)
                && let Some(message) = self.framer.next_message().map_err(PeerFault::Framing)?
            {
                self.clocks.heard = now;
                self.handle_message(message, now)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, theirs: Handshake, now: Instant) -> Result<(), PeerFault> {
        if theirs.info_hash != self.info.info_hash() {
            return Err(PeerFault::OtherSwarm(theirs.info_hash));
        }
        if theirs.peer_id == self.options.peer_id {
            return Err(PeerFault::Ourselves);
        }
        self.stage = Stage::Open;
        self.fast = theirs.knows_fast();
        (self.clocks.heard, self.clocks.wanted) = (now, now);
        self.events.push_back(SeedEvent::Opened(theirs));
        if theirs.knows_extensions() {
            let payload = self.extended_handshake().encode();
            self.say(&Message::Extended { id: 0, payload: payload.into() }, now);
        }
        let offer = match &self.offered {
            Some(offered) => Message::Bitfield(offered.encoded()),
            None if self.fast => Message::HaveAll,
            None => Message::Bitfield(PieceSet::all(self.remote.pieces()).encoded()),
        };
        self.say(&offer, now);
        if self.options.upload == Upload::Unchoked {
            self.say(&Message::Unchoke, now);
        }
        Ok(())
    }

    fn extended_handshake(&self) -> ExtendedHandshake {
        ExtendedHandshake {
            extensions: vec![(UT_METADATA.to_owned(), OUR_METADATA_ID), (UT_PEX.to_owned(), 1)],
            port: self.options.listen_port,
            queue_depth: Some(self.options.queue_depth),
            metadata_bytes: u32::try_from(self.info.encoded().len()).ok(),
            upload_only: true,
            version: Some(OUR_VERSION.to_owned()),
            your_ip: self.options.your_ip,
        }
    }

    fn handle_message(&mut self, message: Message, now: Instant) -> Result<(), PeerFault> {
        match message {
            Message::Request(block) => self.handle_request(block, now)?,
            Message::Cancel(block) if self.requests.cancel(block) => self.refuse(block, now)?,
            Message::Interested => self.note_interest(Interest::Yes, now),
            Message::NotInterested => self.note_interest(Interest::No, now),
            Message::Have(piece) => self.remote.have(piece)?,
            Message::Bitfield(bits) => self.remote.have_bitfield(&bits)?,
            Message::HaveAll => self.remote.have_all(),
            Message::Extended { id: 0, payload } => self.handle_extended_handshake(&payload, now)?,
            Message::Extended { id: OUR_METADATA_ID, payload } => self.handle_metadata(&payload)?,
            Message::Piece { .. } => return Err(PeerFault::Unasked),
            // We want nothing, so it does not matter whether they would serve us. What they know of other peers we
            // could use only by dialling seeds and downloaders on a stranger's word.
            Message::KeepAlive
            | Message::Cancel(_)
            | Message::Choke
            | Message::Unchoke
            | Message::Port(_)
            | Message::Suggest(_)
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast(_)
            | Message::Extended { .. }
            | Message::Unknown(_) => (),
        }
        if self.remote.is_complete() && matches!(self.stage, Stage::Open) {
            self.close(CloseReason::RemoteIsSeed);
        }
        Ok(())
    }

    fn handle_request(&mut self, block: Block, now: Instant) -> Result<(), PeerFault> {
        if block.length > MAX_BLOCK_BYTES || block.range(&self.info).is_none() {
            return Err(PeerFault::Range(block));
        }
        self.clocks.wanted = now;
        let is_offered = self.offered.as_ref().is_none_or(|offered| offered.contains(block.piece));
        if is_offered && self.options.upload == Upload::Unchoked && self.requests.add(block) {
            return Ok(());
        }
        self.excess += 1;
        if self.excess > MAX_EXCESS_REQUESTS {
            return Err(PeerFault::Flood);
        }
        self.refuse(block, now)
    }

    fn handle_extended_handshake(&mut self, payload: &[u8], now: Instant) -> Result<(), PeerFault> {
        let theirs = ExtendedHandshake::read(payload).map_err(PeerFault::Extension)?;
        self.metadata_id = theirs.id_of(UT_METADATA);
        self.pex_id = theirs.id_of(UT_PEX);
        if self.pex_id.is_some() {
            self.pex.start(now);
        }
        if let Some(port) = theirs.port {
            self.events.push_back(SeedEvent::ListensOn(port));
        }
        if theirs.upload_only {
            self.close(CloseReason::RemoteIsSeed);
        }
        Ok(())
    }

    fn handle_metadata(&mut self, payload: &Bytes) -> Result<(), PeerFault> {
        let message = MetadataMessage::read(payload).map_err(PeerFault::Extension)?;
        if let Some(MetadataMessage::Request { block }) = message {
            // Metadata needs no slot, and so there is little of it: whoever means it asks for each block once, or again
            // after a mistake. It is no sign either of wanting the package.
            self.metadata_asked += 1;
            if self.metadata_asked > METADATA_ROUNDS * self.metadata_blocks() {
                return Err(PeerFault::Flood);
            }
            if self.metadata.len() < MAX_QUEUED_METADATA && !self.metadata.contains(&block) {
                self.metadata.push_back(block);
            }
        }
        Ok(())
    }

    fn metadata_blocks(&self) -> usize {
        self.info.encoded().len().div_ceil(METADATA_BLOCK_BYTES)
    }

    fn note_interest(&mut self, interest: Interest, now: Instant) {
        if self.remote.set_interest(interest) {
            self.clocks.wanted = now;
            self.events.push_back(SeedEvent::Interest(interest));
        }
    }

    fn refuse(&mut self, block: Block, now: Instant) -> Result<(), PeerFault> {
        if !self.fast {
            return Ok(());
        }
        self.say(&Message::Reject(block), now);
        if self.outbox.small_bytes() > MAX_SMALL_ANSWER_BYTES { Err(PeerFault::NotReading) } else { Ok(()) }
    }

    fn speak_up(&mut self, now: Instant) {
        if let Some(id) = self.pex_id
            && let Some(message) = self.pex.take(now)
        {
            self.say(&Message::Extended { id, payload: message.encode().into() }, now);
        }
        if now >= self.clocks.spoke + KEEP_ALIVE {
            // Whoever does not read needs no sign of life.
            if self.outbox.bytes() == 0 {
                self.outbox.push_small(&Message::KeepAlive.encode());
            }
            self.clocks.spoke = now;
        }
    }

    fn idle_at(&self) -> Instant {
        // While it waits for us its silence is not its fault; but it does not stay for ever either.
        let waits_for_us = !self.requests.is_empty()
            || self.options.upload == Upload::Choked && self.remote.interest() == Interest::Yes;
        self.clocks.wanted
            + match self.remote.interest() {
                _ if waits_for_us => WAITING_TIMEOUT,
                Interest::Yes => IDLE_TIMEOUT,
                Interest::No => DISINTEREST_TIMEOUT,
            }
    }

    fn say(&mut self, message: &Message, now: Instant) {
        self.outbox.push_small(&message.encode());
        self.clocks.spoke = now;
    }

    fn close(&mut self, reason: CloseReason) {
        self.stop();
        self.events.push_back(SeedEvent::Closed(reason));
    }

    fn stop(&mut self) {
        self.stage = Stage::Closed;
        self.requests.clear();
        self.metadata.clear();
    }
}

#[cfg(test)]
mod tests;
