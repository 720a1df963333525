//! A mirror that takes part in a swarm (BEP 19): it dials the engine, has everything, and gets what it is asked for from
//! the mirror.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use p2p_package::Info;
use p2p_wire::{Block, CloseReason, PeerId, PieceSet, Role, SeedConnection, SeedEvent, SeedOptions, SeedTorrent};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::fault::MirrorFault;
use crate::mirrors::Mirrors;
use crate::supply::{Outage, Supply};

/// Requests that the engine may have on their way to us. Fewer would wait for each other; more would only tie pieces to
/// a slow mirror that a fast peer could bring (measured: 500 make a package of 100 MB take 4 s more than 16).
const QUEUE_DEPTH: u32 = 32;
/// Bytes of an ordinary block.
const BLOCK_BYTES: usize = 16 * 1024;
/// Bytes that wait for the socket before we ask the state machine for more.
const OUTBOX_BYTES: usize = 16 * BLOCK_BYTES;
/// Slices in one write: header and bytes of 16 blocks.
const SLICES: usize = 32;
/// While we have sent fewer bytes than this, each read is acknowledged at once: the engine does not set `TCP_NODELAY`, so
/// that its first requests would wait 40 ms for our delayed acknowledgement. Later it only costs time.
const QUICK_ACK_BYTES: u64 = 100 * 1024;
/// How long the mirror's connections are kept while the engine wants nothing.
const IDLE: Duration = Duration::from_secs(2);
/// How long the engine may refuse us, or hang up without having asked for anything, before it counts as gone.
const BARREN: Duration = Duration::from_secs(30);
/// The longest pause between two calls of that kind.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a virtual peer is.
#[derive(Debug, Clone, Default)]
pub struct VirtualPeerState {
    /// Bytes that came from the mirror.
    pub fetched_bytes: u64,
    /// Bytes that went to the engine.
    pub served_bytes: u64,
    /// The engine wants nothing from us now.
    pub waiting: bool,
    /// The mirror failed; the virtual peer has ended.
    pub fault: Option<Arc<MirrorFault>>,
    /// The mirror's bytes of this piece are not what the torrent promises: one of them is wrong, and the file's SHA-256
    /// will tell which. The virtual peer has ended, and the engine did not get the piece.
    pub contradiction: Option<u32>,
    /// The virtual peer has ended: for one of the reasons above, or since the engine has no more use for it.
    pub ended: bool,
}

/// A mirror's place in a swarm. Dropping it hangs up at once, which frees the pieces that it was asked for.
#[derive(Debug)]
pub struct VirtualPeer {
    state: watch::Receiver<VirtualPeerState>,
    share: watch::Sender<Option<PieceSet>>,
    _task: AbortOnDropHandle<()>,
}

impl VirtualPeer {
    /// Dials the engine at `engine`, and serves it the pieces of `share`, or all, of `info`'s file from `url`.
    #[must_use]
    pub fn call(mirrors: Mirrors, url: Url, info: Info, engine: SocketAddr, share: Option<PieceSet>) -> Self {
        let (share, shares) = watch::channel(share);
        let (sender, state) = watch::channel(VirtualPeerState { waiting: true, ..VirtualPeerState::default() });
        let supply = Supply::new(mirrors, url, info.clone());
        let caller = Caller { info, engine, supply, shares, state: sender, served_before: 0 };
        Self { state, share, _task: AbortOnDropHandle::new(tokio::spawn(caller.run())) }
    }

    /// The state, now and from now on. Its sender is gone when the virtual peer has ended.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<VirtualPeerState> {
        self.state.clone()
    }

    /// Serves these pieces from now on, or all. Nothing can be taken back in a conversation, so it calls the engine anew where
    /// this is another share.
    pub fn set_share(&self, share: Option<PieceSet>) {
        self.share.send_if_modified(|before| {
            let is_news = *before != share;
            *before = share;
            is_news
        });
    }
}

struct Caller {
    info: Info,
    engine: SocketAddr,
    supply: Supply,
    /// Ends with the virtual peer.
    shares: watch::Receiver<Option<PieceSet>>,
    state: watch::Sender<VirtualPeerState>,
    /// Bytes served in earlier conversations.
    served_before: u64,
}

/// How a conversation ended.
#[derive(Debug)]
enum Ending {
    /// The engine hung up, or was silent for too long.
    Lost,
    /// The engine is a seed now.
    Finished,
    /// Other pieces are to be served.
    OtherShare,
    Outage(Outage),
}

impl Caller {
    async fn run(mut self) {
        let mut barren_since = None;
        let mut pause = Duration::ZERO;
        loop {
            let (ending, served) = self.call().await;
            self.served_before += served;
            self.supply.forget_wanted();
            match ending {
                Ending::Outage(outage) => return self.end(Some(outage)),
                Ending::Finished => return self.end(None),
                Ending::OtherShare => (barren_since, pause) = (None, Duration::ZERO),
                Ending::Lost if served > 0 => (barren_since, pause) = (None, Duration::ZERO),
                Ending::Lost => {
                    let since: &mut Instant = barren_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > BARREN {
                        return self.end(None);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause + Duration::from_millis(100)).min(LONGEST_PAUSE);
                }
            }
            tracing::debug!(info_hash = %self.info.info_hash(), bytes = served, "virtual peer calls again");
        }
    }

    fn end(self, outage: Option<Outage>) {
        self.state.send_modify(|state| {
            (state.ended, state.waiting) = (true, true);
            match outage {
                Some(Outage::Mirror(fault)) => state.fault = Some(Arc::new(fault)),
                Some(Outage::Contradiction(piece)) => state.contradiction = Some(piece),
                None => {}
            }
        });
    }

    /// One conversation, and the bytes served in it.
    async fn call(&mut self) -> (Ending, u64) {
        let Ok(stream) = TcpStream::connect(self.engine).await else {
            return (Ending::Lost, 0);
        };
        // Where these fail, the conversation is only slower.
        let _ = stream.set_nodelay(true);
        let share = self.shares.borrow_and_update().clone();
        self.supply.set_share(share.clone());
        let torrent = SeedTorrent { info: self.info.clone(), offered: share };
        let mut options = SeedOptions::new(PeerId::within(*b"webs"));
        (options.queue_depth, options.send_buffer) = (QUEUE_DEPTH, QUEUE_DEPTH as usize * BLOCK_BYTES);
        let connection = SeedConnection::new(torrent, Role::Caller, options, Instant::now());
        let mut connection = connection.expect("no handshake has come that could be wrong");
        let ending = self.converse(stream, &mut connection).await;
        (ending, connection.uploaded_bytes())
    }

    async fn converse(&mut self, stream: TcpStream, connection: &mut SeedConnection) -> Ending {
        let (mut reader, mut writer) = stream.into_split();
        let mut outbox = Outbox::default();
        let mut buffer = vec![0; 4 * 1024];
        loop {
            if let ControlFlow::Break(ending) = self.pump(connection, &mut outbox) {
                return ending;
            }
            self.tell(connection);
            let timeout = connection.poll_timeout().unwrap_or_else(Instant::now);
            let (wanted, idle) = (self.supply.is_wanted(), !self.supply.is_wanted() && self.supply.is_fetching());
            tokio::select! {
                read = reader.read(&mut buffer) => {
                    let Ok(1..) = read else { return Ending::Lost };
                    let bytes = &buffer[..read.unwrap_or_default()];
                    if connection.handle_bytes(bytes, Instant::now()).is_err() {
                        return Ending::Lost;
                    }
                    if connection.uploaded_bytes() < QUICK_ACK_BYTES {
                        let _ = SockRef::from(reader.as_ref()).set_tcp_quickack(true);
                    }
                }
                written = outbox.write(&mut writer), if !outbox.parts.is_empty() => {
                    if written.is_err() {
                        return Ending::Lost;
                    }
                }
                arrived = self.supply.next(), if wanted => match arrived {
                    Ok((block, bytes)) => self.serve(connection, block, bytes),
                    Err(outage) => return Ending::Outage(outage),
                },
                Ok(()) = self.shares.changed() => return Ending::OtherShare,
                () = tokio::time::sleep_until(timeout.into()) => connection.handle_timeout(Instant::now()),
                () = tokio::time::sleep(IDLE), if idle => self.supply.hang_up(),
            }
        }
    }

    /// Moves what can be moved without waiting, until the conversation is over.
    fn pump(&mut self, connection: &mut SeedConnection, outbox: &mut Outbox) -> ControlFlow<Ending> {
        while let Some(block) = connection.poll_wanted_block() {
            self.supply.want(block);
        }
        while outbox.bytes < OUTBOX_BYTES
            && let Some(part) = connection.poll_transmit()
        {
            outbox.push(part);
        }
        while let Some(event) = connection.poll_event() {
            match event {
                SeedEvent::Closed(CloseReason::RemoteIsSeed) => return ControlFlow::Break(Ending::Finished),
                SeedEvent::Closed(
                    CloseReason::NoHandshake | CloseReason::Silent | CloseReason::Idle | CloseReason::BlockMissing,
                ) => return ControlFlow::Break(Ending::Lost),
                SeedEvent::Opened(_) | SeedEvent::Interest(_) | SeedEvent::ListensOn(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn serve(&mut self, connection: &mut SeedConnection, block: Block, bytes: Bytes) {
        let now = Instant::now();
        connection.handle_block(block, bytes, now);
        while let Some((block, bytes)) = self.supply.take() {
            connection.handle_block(block, bytes, now);
        }
    }

    fn tell(&self, connection: &SeedConnection) {
        let fetched_bytes = self.supply.fetched_bytes();
        let served_bytes = self.served_before + connection.uploaded_bytes();
        let waiting = !self.supply.is_wanted();
        self.state.send_if_modified(|state| {
            let before = (state.fetched_bytes, state.served_bytes, state.waiting);
            (state.fetched_bytes, state.served_bytes, state.waiting) = (fetched_bytes, served_bytes, waiting);
            before != (fetched_bytes, served_bytes, waiting)
        });
    }
}

/// What waits for the socket.
#[derive(Default)]
struct Outbox {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    fn push(&mut self, part: Bytes) {
        self.bytes += part.len();
        self.parts.push_back(part);
    }

    /// Writes some of it. May be cancelled at no loss.
    async fn write(&mut self, writer: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut written = {
            let slices: Vec<_> = self.parts.iter().take(SLICES).map(|part| IoSlice::new(part)).collect();
            writer.write_vectored(&slices).await?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes -= written;
        while written > 0
            && let Some(first) = self.parts.front_mut()
        {
            let part = written.min(first.len());
            first.advance(part);
            written -= part;
            if first.is_empty() {
                self.parts.pop_front();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
