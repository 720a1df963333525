//! A minimal peer: keeps requests in flight, checks some pieces and throws the bytes away, so that the other side is what
//! is measured.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use p2p_package::{Info, PieceHash};
use rustix::net::{AddressFamily, SocketType};

const BLOCK: u64 = 16 * 1024;
const READ_BYTES: usize = 1024 * 1024;
/// How long the other side may say nothing.
const PATIENCE: Duration = Duration::from_mins(2);

const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;

/// A connection whose handshakes are done.
#[derive(Debug)]
pub(crate) struct Downloader {
    stream: TcpStream,
    info: Info,
    buffer: Vec<u8>,
    unread: Range<usize>,
}

/// How everything is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Requests on their way.
    pub(crate) in_flight: u64,
    /// One in so many pieces is hashed.
    pub(crate) check_every: u32,
}

/// The pieces that are to be checked, as far as they have come.
#[derive(Debug, Default)]
struct Checks(BTreeMap<u32, (Vec<u8>, usize)>);

impl Downloader {
    /// Calls from `from`, shakes hands and says that it wants data.
    pub(crate) fn call(to: SocketAddr, from: Option<IpAddr>, info: &Info) -> io::Result<Self> {
        let mut stream = open(to, from)?;
        stream.write_all(&handshake(info))?;
        let mut theirs = [0; 68];
        stream.read_exact(&mut theirs)?;
        if theirs[28..48] != info.info_hash().as_bytes()[..] {
            return Err(io::Error::other("another info hash"));
        }
        stream.write_all(&[0, 0, 0, 1, INTERESTED])?;
        Ok(Self { stream, info: info.clone(), buffer: vec![0; READ_BYTES], unread: 0..0 })
    }

    /// Downloads everything, and checks what it is told to; the bytes that came.
    pub(crate) fn download(&mut self, order: Order) -> io::Result<u64> {
        let (mut asked, mut came, length) = (0, 0, self.info.length());
        let (mut is_choked, mut checks) = (true, Checks::default());
        while came < length {
            // Half of them at a time, so that it is not one system call a request.
            if !is_choked && asked < length && asked - came <= order.in_flight * BLOCK / 2 {
                asked = self.ask(asked, came + order.in_flight * BLOCK)?;
            }
            let message = self.message()?;
            match self.buffer[message.clone()].first() {
                Some(&UNCHOKE) => is_choked = false,
                Some(&CHOKE) if !is_choked => return Err(io::Error::other("choked")),
                Some(&PIECE) => {
                    checks.take(&self.buffer[message.start + 1..message.end], &self.info, order.check_every)?;
                    came += message.len() as u64 - 9;
                }
                _ => (),
            }
        }
        if checks.0.is_empty() { Ok(came) } else { Err(io::Error::other("parts of pieces are missing")) }
    }

    /// Asks for the blocks from `from` on, up to `until`; where the next begins.
    fn ask(&mut self, mut from: u64, until: u64) -> io::Result<u64> {
        let (length, piece_length) = (self.info.length(), u64::from(self.info.piece_length().bytes()));
        let mut requests = Vec::new();
        while from < until.min(length) {
            let bytes = BLOCK.min(length - from);
            requests.extend_from_slice(&[0, 0, 0, 13, REQUEST]);
            for number in [from / piece_length, from % piece_length, bytes] {
                requests.extend_from_slice(&u32::try_from(number).expect("within the torrent").to_be_bytes());
            }
            from += bytes;
        }
        self.stream.write_all(&requests)?;
        Ok(from)
    }

    /// Where the next message lies in the buffer, without its length.
    fn message(&mut self) -> io::Result<Range<usize>> {
        loop {
            let unread = &self.buffer[self.unread.clone()];
            if let Some(length) = unread.first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if 4 + length <= unread.len() {
                    let start = self.unread.start + 4;
                    self.unread.start = start + length;
                    return Ok(start..start + length);
                }
                if 4 + length > READ_BYTES {
                    return Err(io::Error::other("a message too long"));
                }
            }
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            match self.stream.read(&mut self.buffer[self.unread.end..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => self.unread.end += more,
            }
        }
    }
}

impl Checks {
    /// Takes a block in: piece, offset and bytes.
    fn take(&mut self, block: &[u8], info: &Info, check_every: u32) -> io::Result<()> {
        let number = |at: usize| u32::from_be_bytes(block[at..at + 4].try_into().expect("four bytes"));
        let (piece, offset, bytes) = (number(0), number(4) as usize, &block[8..]);
        if piece % check_every != 0 {
            return Ok(());
        }
        let range = info.piece_range(piece);
        let piece_bytes = usize::try_from(range.end - range.start).expect("a piece fits into memory");
        let (whole, filled) = self.0.entry(piece).or_insert_with(|| (vec![0; piece_bytes], 0));
        let place = whole.get_mut(offset..offset + bytes.len()).ok_or(io::ErrorKind::InvalidData)?;
        place.copy_from_slice(bytes);
        *filled += bytes.len();
        if *filled == piece_bytes {
            if PieceHash::of(whole) != info.pieces()[piece as usize] {
                return Err(io::Error::other("wrong bytes"));
            }
            self.0.remove(&piece);
        }
        Ok(())
    }
}

/// A TCP connection from one of this host's addresses.
pub(crate) fn open(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    if let Some(from) = from {
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
    }
    rustix::net::connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A handshake without any extension, with a peer id of its own.
pub(crate) fn handshake(info: &Info) -> Vec<u8> {
    let peer_id = format!("-BN0001-{:012}", rand::random_range(0..1_000_000_000_000_u64));
    [&b"\x13BitTorrent protocol"[..], &[0; 8], info.info_hash().as_bytes(), peer_id.as_bytes()].concat()
}
