//! A peer that calls, by TCP or uTP, asks for what it likes, and sees what comes back. It has nothing itself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use p2p_package::{Info, InfoHash, PieceHash};

use crate::Host;

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// Extensions that it knows: BEP 10.
const RESERVED: [u8; 8] = [0, 0, 0, 0, 0, 0x10, 0, 0];
const HANDSHAKE: usize = 68;
/// What every client takes for a block.
const BLOCK: u32 = 16 * 1024;
/// The largest message that it has reason to get: a block, metadata, or a bit field.
const LONGEST: usize = 128 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Debug)]
pub struct Caller {
    stream: TcpStream,
    /// Whether the other side has said that it gives.
    is_unchoked: bool,
    /// What it has said of its extensions (BEP 10).
    greeting: Option<String>,
}

/// Why there is no piece.
#[derive(Debug)]
pub enum NoPiece {
    /// The bytes that came are not the torrent's.
    Wrong(u32),
    /// The connection ended first, or nothing came in time.
    Ended(io::Error),
}

impl Caller {
    /// Calls `to` from the address of `host`, and says for which info hash.
    ///
    /// # Errors
    ///
    /// Nobody answers there.
    pub fn dial(host: &Host, to: SocketAddr, info_hash: &InfoHash) -> io::Result<Self> {
        let mut stream = host.connect(to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&handshake(info_hash))?;
        Ok(Self { stream, is_unchoked: false, greeting: None })
    }

    /// Whether the other side answers with a handshake for the same info hash; not where it hangs up or says something else.
    pub fn is_answered(&mut self) -> bool {
        let mut theirs = [0; HANDSHAKE];
        self.stream.read_exact(&mut theirs).is_ok() && &theirs[..20] == PROTOCOL
    }

    /// Everything that comes until the other side hangs up, or is silent for so long.
    pub fn hear(&mut self, silence: Duration) -> Vec<u8> {
        let mut heard = Vec::new();
        self.stream.set_read_timeout(Some(silence)).expect("an open socket");
        // Its end and its silence are the same here.
        drop(self.stream.read_to_end(&mut heard));
        heard
    }

    /// Whether the other side hangs up within so long.
    pub fn is_hung_up(&mut self, bound: Duration) -> bool {
        self.stream.set_read_timeout(Some(bound)).expect("an open socket");
        let ended = loop {
            match self.receive() {
                Ok(_) => {}
                Err(error) => break !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        };
        self.stream.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        ended
    }

    /// Says that it knows BEP 9, and asks for the first part of the metadata, whatever the other side has said.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub fn ask_for_metadata(&mut self) -> io::Result<()> {
        self.send(20, b"\x00d1:md11:ut_metadatai3eee")?;
        for id in 1..=4 {
            self.send(20, &[&[id][..], b"d8:msg_typei0e5:piecei0ee"].concat())?;
        }
        Ok(())
    }

    /// The first part of the metadata, asked for by the number that the other side has told (BEP 9, BEP 10).
    ///
    /// # Errors
    ///
    /// The connection has ended, or the other side knows no metadata.
    pub fn metadata(&mut self) -> io::Result<Vec<u8>> {
        self.send(20, b"\x00d1:md11:ut_metadatai3eee")?;
        while self.greeting.is_none() {
            self.receive()?;
        }
        let greeting = self.greeting.iter().find_map(|greeting| greeting.split_once("11:ut_metadatai"));
        let told = greeting.and_then(|(_, rest)| rest.split_once('e')?.0.parse().ok());
        let id: u8 = told.ok_or_else(|| io::Error::other("no ut_metadata"))?;
        self.send(20, &[&[id][..], b"d8:msg_typei0e5:piecei0ee"].concat())?;
        loop {
            let message = self.receive()?;
            if message.get(..2) == Some(&[20, 3]) {
                return Ok(message[2..].to_vec());
            }
        }
    }

    /// Says that it wants data, and waits until it may ask for some.
    ///
    /// # Errors
    ///
    /// The connection has ended, or it is choked all the time.
    pub fn wait_unchoked(&mut self) -> io::Result<()> {
        self.send(2, &[])?;
        while !self.is_unchoked {
            self.receive()?;
        }
        Ok(())
    }

    /// Sends one request for a block, without waiting for it.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub fn request(&mut self, piece: u32, begin: u32, length: u32) -> io::Result<()> {
        self.send(6, &[piece, begin, length].map(u32::to_be_bytes).concat())
    }

    /// Fetches a piece, one block after the other, and compares it with the torrent.
    ///
    /// # Errors
    ///
    /// See [`NoPiece`].
    pub fn piece(&mut self, info: &Info, piece: u32) -> Result<(), NoPiece> {
        let start = u64::from(piece) * u64::from(info.piece_length().bytes());
        let length = u64::from(info.piece_length().bytes()).min(info.length() - start);
        let length = u32::try_from(length).expect("a piece is small");
        let mut bytes = Vec::new();
        for begin in (0..length).step_by(BLOCK as usize) {
            self.request(piece, begin, BLOCK.min(length - begin)).map_err(NoPiece::Ended)?;
            bytes.extend(self.block(piece, begin).map_err(NoPiece::Ended)?);
        }
        let wanted = info.pieces()[usize::try_from(piece).expect("32 bits fit")];
        if PieceHash::of(&bytes) == wanted { Ok(()) } else { Err(NoPiece::Wrong(piece)) }
    }

    fn block(&mut self, piece: u32, begin: u32) -> io::Result<Vec<u8>> {
        let place = [piece, begin].map(u32::to_be_bytes).concat();
        loop {
            let message = self.receive()?;
            if message.first() == Some(&7) && message.get(1..9) == Some(&place) {
                return Ok(message[9..].to_vec());
            }
        }
    }

    fn send(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(1 + content.len()).expect("messages are small").to_be_bytes();
        self.stream.write_all(&[&length[..], &[kind], content].concat())
    }

    /// The next message, without its length; empty for a keep-alive.
    ///
    /// # Errors
    ///
    /// The connection has ended, nothing comes, or the message is too long.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).expect("32 bits fit");
        if length > LONGEST {
            return Err(io::Error::other("a message too long"));
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message)?;
        match message.as_slice() {
            [0] => self.is_unchoked = false,
            [1] => self.is_unchoked = true,
            [20, 0, greeting @ ..] => self.greeting = Some(String::from_utf8_lossy(greeting).into_owned()),
            _ => {}
        }
        Ok(message)
    }
}

/// Calls `to` by uTP (BEP 29), says a handshake, and gives the payload of everything that comes back within `patience`; it
/// ends early with a handshake.
#[must_use]
pub fn call_by_utp(host: &Host, to: SocketAddr, info_hash: &InfoHash, patience: Duration) -> Vec<u8> {
    const SYN: u8 = 0x41;
    const DATA: u8 = 0x01;
    const HEADER: usize = 20;
    let (from, handshake) = (SocketAddr::new(host.address(), 0), handshake(info_hash));
    let call = host.spawn(move || -> io::Result<Vec<u8>> {
        let socket = UdpSocket::bind(from)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let packet = |kind: u8, connection: u16, sequence: u16, acknowledged: u16, payload: &[u8]| {
            let mut packet = vec![kind, 0];
            packet.extend(connection.to_be_bytes());
            packet.extend([0; 8]);
            packet.extend((1_u32 << 20).to_be_bytes());
            packet.extend(sequence.to_be_bytes());
            packet.extend(acknowledged.to_be_bytes());
            packet.extend(payload);
            packet
        };
        socket.send_to(&packet(SYN, 700, 1, 0, &[]), to)?;
        let (deadline, mut heard, mut answer) = (Instant::now() + patience, Vec::new(), [0; 4096]);
        let mut said = false;
        while Instant::now() < deadline && heard.len() < HANDSHAKE {
            let length = match socket.recv_from(&mut answer) {
                Ok((length, _)) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error),
            };
            let Some(payload) = answer.get(HEADER..length) else { continue };
            heard.extend(payload);
            if !std::mem::replace(&mut said, true) {
                let theirs = u16::from_be_bytes([answer[16], answer[17]]);
                socket.send_to(&packet(DATA, 701, 2, theirs.wrapping_sub(1), &handshake), to)?;
            }
        }
        Ok(heard)
    });
    call.join().expect("calling does not panic").expect("datagrams can be sent")
}

fn handshake(info_hash: &InfoHash) -> Vec<u8> {
    let peer_id = format!("-CL0001-{:012}", std::process::id());
    [&PROTOCOL[..], &RESERVED, info_hash.as_bytes(), peer_id.as_bytes()].concat()
}
