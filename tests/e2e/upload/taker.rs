//! A peer that takes whatever it is given, over and over, and counts.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use p2p_tests::{Host, Package};

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
const BLOCK: u32 = 16 * 1024;
/// Requests on their way.
const IN_FLIGHT: usize = 64;

/// It asks for the blocks of the pieces that it was told of, in turn, as long as it is unchoked.
pub(super) struct Taker {
    state: Arc<State>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct State {
    taken: AtomicU64,
    is_choked: AtomicBool,
    is_over: AtomicBool,
}

impl Taker {
    /// Calls the daemon from `host`.
    pub(super) fn call(host: &Host, daemon: SocketAddr, package: &Package) -> Self {
        let state = Arc::new(State { is_choked: true.into(), ..State::default() });
        let (shared, package) = (Arc::clone(&state), package.clone());
        let thread = host.spawn(move || take(daemon, &package, &shared));
        Self { state, thread: Some(thread) }
    }

    /// Bytes of blocks so far.
    pub(super) fn taken(&self) -> u64 {
        self.state.taken.load(Ordering::SeqCst)
    }

    /// What it was told last.
    pub(super) fn is_choked(&self) -> bool {
        self.state.is_choked.load(Ordering::SeqCst)
    }

    /// Waits until it has taken so much more.
    #[track_caller]
    pub(super) fn wait_for_more(&self, bytes: u64, bound: Duration) {
        let wanted = self.taken() + bytes;
        p2p_tests::wait_until("the peer to have taken more", bound, || self.taken() >= wanted);
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The daemon may have hung up on it, which the test looks at by itself.
            let _ = thread.join();
        }
    }
}

fn take(daemon: SocketAddr, package: &Package, state: &State) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&daemon, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    stream.set_nodelay(true)?;
    let info_hash = package.info.info_hash();
    // Two peers of one name would be taken for one.
    let peer_id = format!("-TK0001-{:012}", stream.local_addr()?.port());
    stream.write_all(&[&PROTOCOL[..], &[0; 8], info_hash.as_bytes(), peer_id.as_bytes()].concat())?;
    let mut inbox = Inbox { stream: stream.try_clone()?, bytes: Vec::new() };
    while inbox.bytes.len() < 68 {
        if state.is_over.load(Ordering::SeqCst) {
            return Ok(());
        }
        inbox.fill()?;
    }
    inbox.bytes.drain(..68);
    stream.write_all(&[0, 0, 0, 1, 2])?;
    let (mut pieces, mut turn, mut in_flight) = (BTreeSet::new(), 0, 0_usize);
    while !state.is_over.load(Ordering::SeqCst) {
        let Some(message) = inbox.message()? else { continue };
        match message.split_first() {
            Some((0, _)) => {
                state.is_choked.store(true, Ordering::SeqCst);
                in_flight = 0;
            }
            Some((1, _)) => state.is_choked.store(false, Ordering::SeqCst),
            Some((7, block)) => {
                state.taken.fetch_add(block.len() as u64 - 8, Ordering::SeqCst);
                in_flight = in_flight.saturating_sub(1);
            }
            Some((id, payload)) => pieces.extend(told_of(*id, payload, package)),
            None => (),
        }
        let blocks: Vec<_> = pieces.iter().flat_map(|piece| blocks(package, *piece)).collect();
        let mut requests = Vec::new();
        while !state.is_choked.load(Ordering::SeqCst) && in_flight < IN_FLIGHT && !blocks.is_empty() {
            let (piece, offset, length) = blocks[turn % blocks.len()];
            requests.extend([0, 0, 0, 13, 6]);
            requests.extend([piece, offset, length].iter().flat_map(|number| number.to_be_bytes()));
            (turn, in_flight) = (turn + 1, in_flight + 1);
        }
        stream.write_all(&requests)?;
    }
    Ok(())
}

/// The pieces that a message says are there: all of them, some, or one.
fn told_of(id: u8, payload: &[u8], package: &Package) -> Vec<u32> {
    let has = |bit: &usize| payload[bit / 8] & (0x80 >> (bit % 8)) != 0;
    let number = |piece| u32::try_from(piece).expect("there are few pieces");
    match id {
        4 => vec![u32::from_be_bytes(payload.try_into().expect("four bytes"))],
        5 => (0..package.info.pieces().len()).filter(has).map(number).collect(),
        _ => Vec::new(),
    }
}

fn blocks(package: &Package, piece: u32) -> impl Iterator<Item = (u32, u32, u32)> {
    let piece_length = package.info.piece_length().bytes();
    let start = u64::from(piece) * u64::from(piece_length);
    let length = u32::try_from((package.size() - start).min(u64::from(piece_length))).expect("a piece is small");
    (0..length).step_by(BLOCK as usize).map(move |offset| (piece, offset, BLOCK.min(length - offset)))
}

/// What has arrived and was not read yet.
struct Inbox {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Inbox {
    fn fill(&mut self) -> io::Result<()> {
        let mut part = vec![0; 256 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.bytes.extend(&part[..read]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next message, without its length; none where it is not there within a moment.
    fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = |bytes: &[u8]| bytes.first_chunk().map(|length| 4 + u32::from_be_bytes(*length) as usize);
        if length(&self.bytes).is_none_or(|length| self.bytes.len() < length) {
            self.fill()?;
        }
        let length = length(&self.bytes).filter(|length| self.bytes.len() >= *length);
        Ok(length.map(|length| self.bytes.drain(..length).skip(4).collect()))
    }
}
