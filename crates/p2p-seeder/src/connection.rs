//! Drives one [`SeedConnection`]: bytes between it and a stream, blocks from the cache.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use p2p_wire::{Block, CloseReason, PeerFault, SeedConnection, SeedEvent, Upload};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use crate::Row;
use crate::blocks::BlockFault;
use crate::buffers::{Buffer, Permit, SMALL};
use crate::seats::Seat;
use crate::seeder::Shared;
use crate::slots::Claim;
use crate::swarms::{Change, Membership, may_be_told};

/// Bytes read at once: 240 requests.
const READ_BYTES: usize = 4096;
/// Parts written at once: sixteen blocks of 16 KiB with their headers, and small answers.
const MAX_PARTS: usize = 40;
/// How long a peer may leave our bytes untaken.
const STALL: Duration = Duration::from_mins(1);

/// How a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The package is not, or no longer, in the catalog.
    Withdrawn,
    /// There are as many connections as there may be.
    Full,
    /// The conversation was over.
    Closed(CloseReason),
    /// The peer broke the rules.
    Fault(PeerFault),
    /// The peer hung up.
    HungUp,
    /// The stream broke.
    Broken(io::Error),
    /// The peer did not take our bytes for a minute.
    Stalled,
}

/// Is told each time that a peer's claim to a slot may have changed.
pub(crate) type OnClaim = Box<dyn Fn(Claim) + Send + Sync>;

/// One connection and what it is about.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    row: Arc<Row>,
    machine: SeedConnection,
    address: SocketAddr,
    membership: Membership,
    /// A peer outside of the local networks needs a slot.
    seat: Option<(Seat, OnClaim)>,
    pending: VecDeque<Bytes>,
    /// Whether there is part of a block in what is pending.
    carries_blocks: bool,
    /// When the peer last took bytes, or had none to take.
    taken: Instant,
}

#[derive(Clone, Copy)]
enum Step {
    Read(usize),
    Wrote(usize),
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        row: Arc<Row>,
        machine: SeedConnection,
        (address, membership): (SocketAddr, Membership),
        seat: Option<(Seat, OnClaim)>,
    ) -> Self {
        let (pending, taken) = (VecDeque::new(), Instant::now());
        Self { shared, row, machine, address, membership, seat, pending, carries_blocks: false, taken }
    }

    /// Tells the machine of peers that were here before.
    pub(crate) fn tell(&mut self, peers: Vec<SocketAddr>) {
        for peer in peers {
            self.note_change(Change::Came(peer));
        }
    }

    /// Tells the others where this peer listens.
    pub(crate) fn learn_listener(&mut self, address: SocketAddr) {
        self.membership.announce(address);
    }

    pub(crate) async fn run(
        mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        mut changes: broadcast::Receiver<Change>,
        mut upload: Option<watch::Receiver<Upload>>,
    ) -> End {
        let mut removals = self.shared.catalog.removals();
        // What was removed before we listened is not announced again.
        removals.mark_changed();
        let mut buffer = [0; READ_BYTES];
        loop {
            let ended = self.refill(stream.is_write_vectored()).await;
            if let Some(end) = ended {
                return self.hang_up(stream, end).await;
            }
            let deadline = self.deadline();
            let outcome = tokio::select! {
                step = poll_fn(|context| self.poll_stream(Pin::new(&mut stream), &mut buffer, context)) => match step {
                    Ok(step) => self.handle_step(step, &buffer),
                    Err(error) => Some(End::Broken(error)),
                },
                () = sleep_until(deadline) => self.handle_timeout(),
                // The sender lives as long as the catalog, which we hold.
                _ = removals.changed() => self.check_row(),
                upload = next_upload(&mut upload) => {
                    self.machine.set_upload(upload, Instant::now().into_std());
                    self.tell_claim();
                    None
                }
                change = changes.recv() => {
                    // Whoever is too far behind misses a few peers.
                    if let Ok(change) = change {
                        self.note_change(change);
                    }
                    None
                }
            };
            if let Some(end) = outcome {
                return end;
            }
        }
    }

    /// Reads blocks and gathers bytes to send, unless some still wait; the end, where the machine has closed.
    async fn refill(&mut self, vectored: bool) -> Option<End> {
        let end = self.drain_events();
        if self.pending.is_empty() {
            let (blocks, permit) = self.wanted();
            self.carries_blocks = !blocks.is_empty();
            if let Err(end) = self.fetch(&blocks, permit).await {
                return Some(end);
            }
            self.gather(vectored);
        }
        end
    }

    /// The blocks to read next, and the right to a large buffer where they need one.
    fn wanted(&mut self) -> (Vec<Block>, Option<Permit>) {
        let (mut blocks, mut bytes, mut permit) = (Vec::new(), 0, None);
        // Each block is two parts, and parts that are left over would count as somebody else's.
        while (bytes < SMALL || permit.is_some()) && blocks.len() < MAX_PARTS / 2 {
            // The machine hands out no more than its send buffer, which is as long as a large one.
            let Some(block) = self.machine.poll_wanted_block() else { break };
            bytes += block.length as usize;
            blocks.push(block);
            // What has been read is sent even to one whose turn ends: to those who need a slot, that is to be little.
            if permit.is_none() && bytes >= SMALL && self.seat.is_none() {
                permit = self.shared.buffers.permit();
            }
        }
        (blocks, permit)
    }

    fn gather(&mut self, vectored: bool) {
        while self.pending.len() < MAX_PARTS
            && let Some(part) = self.machine.poll_transmit()
        {
            self.pending.push_back(part);
        }
        if !vectored && self.pending.len() > 1 {
            // A header in a packet of its own would cost more than this copy.
            let mut whole = BytesMut::with_capacity(self.pending.iter().map(Bytes::len).sum());
            self.pending.drain(..).for_each(|part| whole.extend_from_slice(&part));
            self.pending.push_back(whole.freeze());
        }
        self.taken = Instant::now();
    }

    async fn fetch(&mut self, blocks: &[Block], mut permit: Option<Permit>) -> Result<(), End> {
        if blocks.is_empty() {
            return Ok(());
        }
        let bytes = blocks.iter().map(|block| block.length as usize).sum();
        loop {
            self.row = self.shared.current(&self.row).ok_or(End::Withdrawn)?;
            let range = |block: &Block| block.range(&self.row.info).expect("the machine checks requests");
            let ranges: Vec<_> = blocks.iter().map(range).collect();
            let buffer = Buffer::new(bytes, permit.take());
            match self.shared.files.read(&self.row, &ranges, buffer).await {
                Ok(data) => {
                    self.hand_in(blocks, data);
                    return Ok(());
                }
                // The loop ends: each turn takes a row out of the catalog.
                Err(BlockFault::Changed) => self.shared.catalog.withdraw(&self.row),
                Err(BlockFault::Read(error)) => {
                    tracing::warn!(package = %self.row.id.file_name, %error, "package not readable, no longer served");
                    self.shared.catalog.withdraw(&self.row);
                }
            }
        }
    }

    fn hand_in(&mut self, blocks: &[Block], mut data: Bytes) {
        let (now, bytes) = (Instant::now().into_std(), data.len() as u64);
        self.shared.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.shared.activities.note_uploaded(self.row.info_hash(), bytes);
        for block in blocks {
            self.machine.handle_block(*block, data.split_to(block.length as usize), now);
        }
    }

    fn poll_stream(
        &mut self,
        mut stream: Pin<&mut (impl AsyncRead + AsyncWrite)>,
        buffer: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Step>> {
        if !self.pending.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_PARTS];
            for (slice, part) in slices.iter_mut().zip(&self.pending) {
                *slice = IoSlice::new(part);
            }
            let parts = &slices[..self.pending.len().min(MAX_PARTS)];
            if let Poll::Ready(wrote) = stream.as_mut().poll_write_vectored(context, parts) {
                return Poll::Ready(wrote.map(Step::Wrote));
            }
        }
        let mut read = ReadBuf::new(buffer);
        let outcome = stream.poll_read(context, &mut read);
        outcome.map_ok(|()| Step::Read(read.filled().len()))
    }

    fn handle_step(&mut self, step: Step, buffer: &[u8]) -> Option<End> {
        match step {
            Step::Read(0) => Some(End::HungUp),
            Step::Read(bytes) => {
                let heard = self.machine.handle_bytes(&buffer[..bytes], Instant::now().into_std());
                heard.err().map(End::Fault)
            }
            Step::Wrote(0) => Some(End::Broken(io::ErrorKind::WriteZero.into())),
            Step::Wrote(bytes) => {
                self.advance(bytes);
                None
            }
        }
    }

    fn advance(&mut self, mut bytes: usize) {
        self.taken = Instant::now();
        if self.carries_blocks
            && let Some((seat, _)) = &self.seat
        {
            seat.note_taken(bytes);
        }
        while bytes > 0
            && let Some(part) = self.pending.front_mut()
        {
            let gone = bytes.min(part.len());
            part.advance(gone);
            bytes -= gone;
            if part.is_empty() {
                self.pending.pop_front();
            }
        }
    }

    fn deadline(&self) -> Instant {
        let stalled = (!self.pending.is_empty()).then(|| self.taken + STALL);
        let due = self.machine.poll_timeout().map(Instant::from_std);
        stalled.into_iter().chain(due).min().unwrap_or_else(|| Instant::now() + STALL)
    }

    fn handle_timeout(&mut self) -> Option<End> {
        if !self.pending.is_empty() && self.taken.elapsed() >= STALL {
            return Some(End::Stalled);
        }
        self.machine.handle_timeout(Instant::now().into_std());
        None
    }

    /// Goes on with the row that has taken ours' place: the package is the same, only its path is another.
    fn check_row(&mut self) -> Option<End> {
        if let Some(row) = self.shared.current(&self.row) {
            self.row = row;
            return None;
        }
        self.shared.files.close(&self.row);
        Some(End::Withdrawn)
    }

    fn drain_events(&mut self) -> Option<End> {
        let mut end = None;
        while let Some(event) = self.machine.poll_event() {
            match event {
                SeedEvent::ListensOn(port) => self.learn_listener(SocketAddr::new(self.address.ip(), port)),
                SeedEvent::Closed(reason) => end = Some(End::Closed(reason)),
                SeedEvent::Interest(interest) => {
                    if let Some((seat, _)) = &self.seat {
                        seat.note_interest(interest);
                    }
                    self.tell_claim();
                }
                SeedEvent::Opened(_) => (),
            }
        }
        end
    }

    fn tell_claim(&self) {
        if let Some((seat, on_claim)) = &self.seat {
            on_claim(seat.claim());
        }
    }

    fn note_change(&mut self, change: Change) {
        let (Change::Came(peer) | Change::Went(peer)) = change;
        if self.membership.listens_on() == Some(peer) || !may_be_told(peer.ip(), self.address.ip()) {
            return;
        }
        match change {
            Change::Came(_) => self.machine.tell_added(peer),
            Change::Went(_) => self.machine.tell_dropped(peer),
        }
    }

    /// Sends what is left, if the peer takes it at once, and closes.
    async fn hang_up(mut self, mut stream: impl AsyncWrite + Unpin, end: End) -> End {
        self.gather(false);
        let goodbye = async {
            for part in &self.pending {
                stream.write_all(part).await?;
            }
            stream.shutdown().await
        };
        // The connection is over either way.
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        end
    }
}

/// What the slots say next; a peer that needs none hears nothing.
async fn next_upload(upload: &mut Option<watch::Receiver<Upload>>) -> Upload {
    if let Some(upload) = upload
        && upload.changed().await.is_ok()
    {
        return *upload.borrow_and_update();
    }
    std::future::pending().await
}
