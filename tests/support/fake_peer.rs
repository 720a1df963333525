//! A BitTorrent peer that has one package, and a temper.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::listener::{Door, Listener};
use crate::{Host, Package};

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// The largest message that a downloader has reason to send: a bit field of the longest torrent here, with room.
const LONGEST: usize = 64 * 1024;
/// The pause of a trickle between two of its parts.
const TRICKLE: Duration = Duration::from_millis(100);

/// How a [`FakePeer`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Serves everything.
    Honest,
    /// Shakes hands, and says nothing ever after.
    Mute,
    /// Serves everything but the blocks of this piece: those requests stay unanswered.
    StallsOn(u32),
    /// Sends so many bytes a second.
    Trickles(u64),
    /// Sends wrong bytes in this piece.
    Corrupts(u32),
    /// Sends wrong bytes in every piece.
    CorruptsAll,
    /// Breaks every connection and stops listening once it has served so many bytes.
    DiesAfter(u64),
}

/// A peer that listens, claims to have all of a package, and serves it as its temper says. It knows no other torrent and
/// no extension; connections about anything else are closed.
#[derive(Debug)]
pub struct FakePeer {
    listener: Listener<State>,
}

#[derive(Debug)]
struct State {
    package: Package,
    bytes: Vec<u8>,
    temper: Temper,
    served: AtomicU64,
    connections: AtomicU64,
    door: Arc<Door>,
}

impl FakePeer {
    /// Listens on a free port of `host`.
    #[must_use]
    #[track_caller]
    pub fn listen(host: &Host, package: &Package, temper: Temper) -> Self {
        let state = |door| State {
            package: package.clone(),
            bytes: package.bytes(),
            temper,
            served: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            door,
        };
        Self { listener: Listener::start(host, state, converse) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.state.door.address()
    }

    /// Bytes of blocks that it sent, wrong ones too.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.listener.state.served.load(Ordering::Relaxed)
    }

    /// Connections about its package so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.listener.state.connections.load(Ordering::Relaxed)
    }
}

impl State {
    /// Where this block lies in the file; none where there is no such block.
    fn block(&self, piece: u32, begin: u32, length: u32) -> Option<&[u8]> {
        let start = u64::from(piece) * u64::from(self.package.info.piece_length().bytes()) + u64::from(begin);
        let start = usize::try_from(start).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }
}

fn converse(mut stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut theirs = [0; 68];
    stream.read_exact(&mut theirs)?;
    let info_hash = state.package.info.info_hash();
    if &theirs[..20] != PROTOCOL || theirs[28..48] != info_hash.as_bytes()[..] {
        return Ok(());
    }
    state.connections.fetch_add(1, Ordering::Relaxed);
    let peer_id = format!("-FK0001-{:012}", std::process::id());
    stream.write_all(&[&PROTOCOL[..], &[0; 8], info_hash.as_bytes(), peer_id.as_bytes()].concat())?;
    if state.temper != Temper::Mute {
        send(&mut stream, 5, &[&bit_field(state.package.info.pieces().len())])?;
    }
    while !state.door.is_closed() {
        let message = receive(&mut stream)?;
        match message.split_first() {
            Some((2, _)) if state.temper != Temper::Mute => send(&mut stream, 1, &[])?,
            Some((6, request)) => serve(&mut stream, state, request)?,
            _ => (),
        }
    }
    Ok(())
}

fn serve(stream: &mut TcpStream, state: &State, request: &[u8]) -> io::Result<()> {
    let number = |at: usize| request.get(at..at + 4).map(|n| u32::from_be_bytes(n.try_into().expect("four bytes")));
    let (Some(piece), Some(begin), Some(length)) = (number(0), number(4), number(8)) else { return Ok(()) };
    let Some(block) = state.block(piece, begin, length) else { return Ok(()) };
    let mut block = block.to_vec();
    match state.temper {
        Temper::StallsOn(stalled) if stalled == piece => return Ok(()),
        Temper::Corrupts(corrupt) if corrupt == piece => block[0] ^= 0xff,
        Temper::CorruptsAll => block[0] ^= 0xff,
        Temper::DiesAfter(bytes) if state.served.load(Ordering::Relaxed) >= bytes => {
            state.door.close();
            return Ok(());
        }
        Temper::Trickles(rate) => return trickle(stream, state, request, &block, rate),
        Temper::Mute | Temper::Honest | Temper::StallsOn(_) | Temper::Corrupts(_) | Temper::DiesAfter(_) => (),
    }
    send(stream, 7, &[&request[..8], &block])?;
    state.served.fetch_add(block.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// A block in small parts, slowly.
fn trickle(stream: &mut TcpStream, state: &State, request: &[u8], block: &[u8], rate: u64) -> io::Result<()> {
    let length = u32::try_from(block.len() + 9).expect("a block is small");
    stream.write_all(&[&length.to_be_bytes()[..], &[7], &request[..8]].concat())?;
    let part = usize::try_from(rate / 10).expect("a trickle is slow").max(1);
    for part in block.chunks(part) {
        stream.write_all(part)?;
        state.served.fetch_add(part.len() as u64, Ordering::Relaxed);
        if state.door.is_closed_within(TRICKLE) {
            break;
        }
    }
    Ok(())
}

fn send(stream: &mut TcpStream, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("messages are small").to_be_bytes();
    stream.write_all(&[&length[..], &[kind], &parts.concat()].concat())
}

/// The next message, without its length; empty for a keep-alive.
fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).expect("32 bits fit");
    if length > LONGEST {
        return Err(io::Error::other("a message too long"));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn bit_field(pieces: usize) -> Vec<u8> {
    let mut bits = vec![0; pieces.div_ceil(8)];
    (0..pieces).for_each(|piece| bits[piece / 8] |= 0x80 >> (piece % 8));
    bits
}
