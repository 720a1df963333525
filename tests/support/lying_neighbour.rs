//! A daemon's neighbour that claims to have whatever it is asked for, and lies.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{
    Answer, DATA_BLOCK_BYTES, DatabaseClaim, ExtendedHandshake, Framer, Handshake, Holding, Kind, Message,
    P2P_PACKAGES, PackagesMessage, PeerId, Refusal, What, Wishes,
};
use rustix::net::RecvFlags;

use crate::listener::{Door, Listener};
use crate::{FakePeer, Host, Package, Temper};

/// The number of the extension with us.
const OUR_NUMBER: u8 = 1;
/// The longest message of a club (docs/protocol.md).
const LONGEST: usize = 128 * 1024;
/// Ids in each question of a flood: as many as one may have.
const FLOOD_IDS: u16 = 128;
/// The pause of a slow drip between two of its parts.
const DRIP: Duration = Duration::from_millis(100);
/// The pause between two of its calls: so that it floods a daemon, and not the machine that both are on.
const BETWEEN_CALLS: Duration = Duration::from_millis(5);

/// What it does.
#[derive(Debug)]
pub enum Lie {
    /// It has everything, and never sends any of it.
    Silence,
    /// It has everything, and sends other bytes.
    WrongBytes,
    /// It has everything, and sends so many bytes of it a second.
    Drip(usize),
    /// It has everything, and the pieces that it tells, and gives to whoever joins their swarm, are those of this other package
    /// of the same name and length.
    WrongInfo(Box<Package>),
    /// It has no package, but this database and signature, whatever the club.
    Database(Vec<u8>, Vec<u8>),
    /// The same, and it sends so many bytes of it a second, which are others.
    SlowDatabase(Vec<u8>, Vec<u8>, usize),
    /// It has everything, and this is its signature.
    Signature(Vec<u8>),
    /// It has everything, and is too busy to give any of it for so long since it was first asked to; then all of it is this.
    Busy(Bytes, Duration),
    /// It is downloading everything, by its own word, and never has any of it.
    Coming,
    /// It has nothing, and asks as much as it can.
    Flood,
}

/// It listens, and tells everybody who dials it the same lies.
#[derive(Debug)]
pub struct LyingNeighbour {
    listener: Listener<State>,
}

#[derive(Debug)]
struct State {
    lie: Lie,
    /// Gives the pieces of [`Lie::WrongInfo`].
    swarm: Option<FakePeer>,
    served: AtomicU64,
    questions: AtomicU64,
    /// When it was first asked for bytes.
    asked: OnceLock<Instant>,
    door: Arc<Door>,
}

impl LyingNeighbour {
    /// Listens on a free port of `host`.
    #[must_use]
    #[track_caller]
    pub fn listen(host: &Host, lie: Lie) -> Self {
        let swarm = forged(&lie).map(|forged| FakePeer::listen(host, forged, Temper::Honest));
        let (served, questions, asked) = (AtomicU64::new(0), AtomicU64::new(0), OnceLock::new());
        let state = |door| State { lie, swarm, served, questions, asked, door };
        Self { listener: Listener::start(host, state, receive) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.state.door.address()
    }

    /// Bytes of files that it has sent, in its club or its swarm.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.listener.state.served.load(Ordering::Relaxed)
            + self.listener.state.swarm.as_ref().map_or(0, FakePeer::served)
    }

    /// Questions that it was asked, or has asked itself.
    #[must_use]
    pub fn questions(&self) -> u64 {
        self.listener.state.questions.load(Ordering::Relaxed)
    }

    /// Calls a daemon again and again, from this address and for this club, and floods it with questions until the value is dropped.
    pub fn call(&self, host: &Host, daemon: SocketAddr, club: InfoHash) {
        let (state, host) = (Arc::clone(&self.listener.state), host.clone());
        let _ends_with_the_state = thread::spawn(move || {
            while !state.door.is_closed_within(BETWEEN_CALLS) {
                // That the daemon hangs up is what it should do.
                drop(call(&host, daemon, &state, club));
            }
        });
    }
}

impl State {
    fn holding(&self, wishes: Wishes) -> Holding {
        let info = forged(&self.lie).map(|forged| Bytes::copy_from_slice(forged.info.encoded()));
        let signature = if let Lie::Signature(signature) = &self.lie { Some(signature.clone().into()) } else { None };
        Holding { info: info.filter(|_| wishes.info), signature: signature.filter(|_| wishes.signature) }
    }

    fn answer(&self, wishes: Wishes) -> Answer {
        match self.lie {
            Lie::Database(..) | Lie::SlowDatabase(..) | Lie::Flood => Answer::Absent,
            Lie::Coming => Answer::Coming,
            Lie::Silence | Lie::WrongBytes | Lie::Drip(_) | Lie::WrongInfo(_) | Lie::Signature(_) | Lie::Busy(..) => {
                Answer::Here(self.holding(wishes))
            }
        }
    }

    /// The bytes of a file that it really has.
    fn file(&self, what: What) -> Option<Bytes> {
        match (&self.lie, what.kind) {
            (Lie::WrongInfo(forged), Kind::Info) => Some(Bytes::copy_from_slice(forged.info.encoded())),
            (Lie::WrongInfo(forged), Kind::Package) => Some(forged.bytes().into()),
            (Lie::Signature(signature), Kind::Signature) => Some(signature.clone().into()),
            (Lie::Busy(package, _), Kind::Package) => Some(package.clone()),
            (Lie::Database(database, _), Kind::Database) => Some(database.clone().into()),
            (
                Lie::Silence
                | Lie::WrongBytes
                | Lie::Drip(_)
                | Lie::WrongInfo(_)
                | Lie::Signature(_)
                | Lie::Database(..)
                | Lie::SlowDatabase(..)
                | Lie::Busy(..)
                | Lie::Coming
                | Lie::Flood,
                _,
            ) => None,
        }
    }
}

fn forged(lie: &Lie) -> Option<&Package> {
    if let Lie::WrongInfo(forged) = lie { Some(forged) } else { None }
}

fn call(host: &Host, daemon: SocketAddr, state: &State, club: InfoHash) -> io::Result<()> {
    let stream = host.connect(daemon)?;
    state.door.keep(&stream)?;
    converse(stream, state, Some(club))
}

/// Who comes for the swarm of a wrong `info` gets its pieces.
fn receive(stream: TcpStream, state: &State) -> io::Result<()> {
    let Some(forged) = forged(&state.lie) else { return converse(stream, state, None) };
    let mut start = [0; 48];
    // All of it, or until the end; who converses reads it again.
    rustix::net::recv(&stream, &mut start, RecvFlags::PEEK | RecvFlags::WAITALL)?;
    match &state.swarm {
        Some(swarm) if start[28..] == forged.info.info_hash().as_bytes()[..] => splice(stream, swarm.address()),
        _ => converse(stream, state, None),
    }
}

fn splice(mut stream: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut peer = TcpStream::connect(to)?;
    let (mut back_from, mut back_to) = (peer.try_clone()?, stream.try_clone()?);
    thread::spawn(move || drop(io::copy(&mut back_from, &mut back_to)));
    io::copy(&mut stream, &mut peer).map(drop)
}

/// One club connection: `calls` for a club, or is called.
fn converse(mut stream: TcpStream, state: &State, calls: Option<InfoHash>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Each has a name of its own, or several on one machine would pass for one.
    let name = format!("-LY0001-false{:07}", state.door.address().port());
    let peer_id = PeerId::from_bytes(name.as_bytes().try_into().expect("a peer id has 20 bytes"));
    let ours = |club| Handshake::ours(club, peer_id).encode();
    if let Some(club) = calls {
        stream.write_all(&ours(club))?;
    }
    let mut theirs = [0; Handshake::BYTES];
    stream.read_exact(&mut theirs)?;
    if calls.is_none() {
        let theirs = Handshake::decode(&theirs).map_err(io::Error::other)?;
        stream.write_all(&ours(theirs.info_hash))?;
    }
    let greeting = ExtendedHandshake {
        extensions: vec![(P2P_PACKAGES.to_owned(), OUR_NUMBER)],
        port: Some(state.door.address().port()),
        ..ExtendedHandshake::default()
    };
    stream.write_all(&Message::Extended { id: 0, payload: greeting.encode().into() }.encode())?;
    let (mut framer, mut buffer, mut number) = (Framer::new(LONGEST), vec![0; 16 * 1024], 0);
    while !state.door.is_closed() {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        framer.push(&buffer[..read]);
        while let Some(message) = framer.next_message().map_err(io::Error::other)? {
            let Message::Extended { id, payload } = message else { continue };
            if id == 0 {
                let theirs = ExtendedHandshake::read(&payload).map_err(io::Error::other)?;
                number = theirs.id_of(P2P_PACKAGES).unwrap_or(0);
                if matches!(state.lie, Lie::Flood) {
                    flood(&mut stream, state, number)?;
                }
            } else if let Some(question) = PackagesMessage::read(&payload).map_err(io::Error::other)? {
                answer(&mut stream, state, number, question)?;
            }
        }
    }
    Ok(())
}

fn say(stream: &mut TcpStream, number: u8, message: &PackagesMessage) -> io::Result<()> {
    stream.write_all(&Message::Extended { id: number, payload: message.encode() }.encode())
}

fn answer(stream: &mut TcpStream, state: &State, number: u8, question: PackagesMessage) -> io::Result<()> {
    state.questions.fetch_add(1, Ordering::Relaxed);
    match question {
        PackagesMessage::Have { n, ids, wishes } => {
            let answers = ids.iter().map(|_| state.answer(wishes)).collect();
            say(stream, number, &PackagesMessage::Has { n, answers })
        }
        PackagesMessage::Recent { n, .. } => {
            let claim = |database: &Vec<u8>, signature: &Vec<u8>| DatabaseClaim {
                id: Sha256::of(database),
                length: database.len() as u64,
                signature: signature.clone().into(),
            };
            let databases = match &state.lie {
                Lie::Database(database, signature) | Lie::SlowDatabase(database, signature, _) => {
                    vec![claim(database, signature)]
                }
                Lie::Silence
                | Lie::WrongBytes
                | Lie::Drip(_)
                | Lie::WrongInfo(_)
                | Lie::Signature(_)
                | Lie::Busy(..)
                | Lie::Coming
                | Lie::Flood => Vec::new(),
            };
            say(stream, number, &PackagesMessage::Newest { n, databases, pointers: Vec::new() })
        }
        PackagesMessage::Get { n, what, range } => match &state.lie {
            Lie::Silence => Ok(()),
            Lie::WrongBytes => {
                let wrong = vec![0x77; usize::try_from(range.end - range.start).expect("a get is small")];
                send(stream, state, number, (n, range.start), &wrong)
            }
            Lie::Drip(rate) | Lie::SlowDatabase(_, _, rate) => drip(stream, state, number, (n, range), *rate),
            Lie::Busy(_, rest) if state.asked.get_or_init(Instant::now).elapsed() < *rest => {
                say(stream, number, &PackagesMessage::No { n, why: Refusal::TooBusy })
            }
            Lie::WrongInfo(_) | Lie::Database(..) | Lie::Signature(_) | Lie::Busy(..) | Lie::Coming | Lie::Flood => {
                match state.file(what) {
                    Some(file) => {
                        let end = usize::try_from(range.end).expect("files are small").min(file.len());
                        let start = usize::try_from(range.start).expect("files are small").min(end);
                        send(stream, state, number, (n, range.start), &file[start..end])
                    }
                    None => say(stream, number, &PackagesMessage::No { n, why: Refusal::NotHere }),
                }
            }
        },
        PackagesMessage::Call { n, .. } => say(stream, number, &PackagesMessage::Called { n, reached: true }),
        // It has asked nothing that it wants to know.
        PackagesMessage::Has { .. }
        | PackagesMessage::Data { .. }
        | PackagesMessage::No { .. }
        | PackagesMessage::Arrived { .. }
        | PackagesMessage::Newest { .. }
        | PackagesMessage::Called { .. } => Ok(()),
    }
}

/// All of an answer, as fast as it is taken.
fn send(
    stream: &mut TcpStream,
    state: &State,
    number: u8,
    (n, mut offset): (u32, u64),
    bytes: &[u8],
) -> io::Result<()> {
    for block in bytes.chunks(DATA_BLOCK_BYTES) {
        let bytes = Bytes::copy_from_slice(block);
        say(stream, number, &PackagesMessage::Data { n, offset, bytes })?;
        offset += block.len() as u64;
        state.served.fetch_add(block.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn drip(
    stream: &mut TcpStream,
    state: &State,
    number: u8,
    (n, range): (u32, std::ops::Range<u64>),
    rate: usize,
) -> io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let part = (rate as u64 / 10).max(1).min(range.end - offset);
        send(stream, state, number, (n, offset), &vec![0x77; usize::try_from(part).expect("a drip is small")])?;
        offset += part;
        if state.door.is_closed_within(DRIP) {
            break;
        }
    }
    Ok(())
}

/// Asks until the daemon hangs up, and does not read what it answers.
fn flood(stream: &mut TcpStream, state: &State, number: u8) -> io::Result<()> {
    let ids: Vec<Sha256> = (0..FLOOD_IDS).map(|id| Sha256::of(&id.to_be_bytes())).collect();
    let until = Instant::now() + Duration::from_mins(1);
    for n in 0.. {
        if state.door.is_closed() || Instant::now() > until {
            break;
        }
        let wishes = Wishes { info: true, signature: true };
        say(stream, number, &PackagesMessage::Have { n, ids: ids.clone(), wishes })?;
        state.questions.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
