//! Everything that leaves a machine: each frame on its one cable, put together again to what programs sent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Host, Process};

/// Debian's own Python, which the tests need anyway.
const PYTHON: &str = "/usr/bin/python3";
const ETHERTYPES: [([u8; 2], usize); 2] = [([0x08, 0x00], 4), ([0x86, 0xdd], 6)];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A capture in progress on a host of a [`Lan`](crate::Lan).
#[derive(Debug)]
pub struct Capture {
    process: Process,
    directory: TempDir,
}

/// What one socket sent to one address: a whole TCP connection in the order of the stream, or one datagram. What is
/// neither TCP nor UDP is one frame, with port 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where it went.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Captures what leaves `host` from now on.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = host.command(PYTHON);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("support/capture.py"));
        command.arg("eth0").arg(directory.path().join("frames"));
        let mut process = Process::start("capture", command, &directory.path().join("log"));
        process.wait_for("the capture to begin", Duration::from_secs(20), |process| {
            process.log().contains("capturing").then_some(())
        });
        Self { process, directory }
    }

    /// Ends it, and gives everything that was sent.
    ///
    /// # Panics
    ///
    /// Where the kernel dropped a frame: then nothing could be said about what was not sent.
    #[must_use]
    #[track_caller]
    pub fn finish(mut self) -> Vec<Sent> {
        assert!(self.process.stop().success(), "{}", self.process.log());
        let log = self.process.log();
        let told: Value = log.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        assert_eq!(told["drops"], 0, "the capture is not complete: {log}");
        let frames = fs::read(self.directory.path().join("frames")).expect("the capture has written its file");
        assembled(&frames)
    }
}

impl Sent {
    /// Whether it stayed on local networks: private, link-local and multicast addresses.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.to.ip() {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_multicast(),
        }
    }
}

/// One packet above IP.
struct Packet<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    content: &'a [u8],
}

/// One direction of a TCP connection: its first sequence number, and what was sent, by its place in the stream.
#[derive(Default)]
struct Stream {
    start: Option<u32>,
    segments: BTreeMap<u32, Vec<u8>>,
}

fn assembled(mut frames: &[u8]) -> Vec<Sent> {
    let mut streams = BTreeMap::<(SocketAddr, SocketAddr), Stream>::new();
    let mut sent = Vec::new();
    while let Some((length, rest)) = frames.split_first_chunk() {
        let (frame, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).expect("32 bits fit"));
        frames = rest;
        let Some(packet) = Packet::of(frame) else {
            // ARP and the like: addresses only, but looked at all the same.
            sent.push(Sent { to: (Ipv4Addr::UNSPECIFIED, 0).into(), bytes: frame.to_vec() });
            continue;
        };
        match packet.ports() {
            Some((from, to)) if packet.protocol == TCP => {
                let key = (SocketAddr::new(packet.from, from), SocketAddr::new(packet.to, to));
                if let Some(ended) = streams.entry(key).or_default().take(packet.content) {
                    sent.push(Sent { to: key.1, bytes: ended });
                }
            }
            Some((_, to)) => {
                let bytes = packet.content.get(8..).unwrap_or_default().to_vec();
                sent.push(Sent { to: SocketAddr::new(packet.to, to), bytes });
            }
            None => sent.push(Sent { to: SocketAddr::new(packet.to, 0), bytes: packet.content.to_vec() }),
        }
    }
    sent.extend(streams.into_iter().map(|((_, to), stream)| Sent { to, bytes: stream.bytes() }));
    sent.retain(|sent| !sent.bytes.is_empty());
    sent
}

impl<'a> Packet<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let (ethertype, ip) = frame.get(12..)?.split_first_chunk()?;
        let (_, version) = ETHERTYPES.into_iter().find(|(wanted, _)| wanted == ethertype)?;
        match version {
            4 => {
                let header = usize::from(ip.first()? & 15) * 4;
                let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
                // Zero where the card is to cut a larger packet into pieces.
                let end = if total == 0 { ip.len() } else { total.min(ip.len()) };
                Some(Self {
                    from: Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(12..16)?).ok()?).into(),
                    to: Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(16..20)?).ok()?).into(),
                    protocol: *ip.get(9)?,
                    content: ip.get(header..end)?,
                })
            }
            _ => Some(Self {
                from: Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(8..24)?).ok()?).into(),
                to: Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(24..40)?).ok()?).into(),
                protocol: *ip.get(6)?,
                content: ip.get(40..)?,
            }),
        }
    }

    /// Source and destination port, of TCP and UDP.
    fn ports(&self) -> Option<(u16, u16)> {
        let ports = self.content.get(..4).filter(|_| matches!(self.protocol, TCP | UDP))?;
        Some((u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])))
    }
}

impl Stream {
    /// Takes a segment with its header; a new connection with the same ports ends the one before, which is returned.
    fn take(&mut self, segment: &[u8]) -> Option<Vec<u8>> {
        let (sequence, flags) = (segment.get(4..8)?, *segment.get(13)?);
        let sequence = u32::from_be_bytes(sequence.try_into().expect("four bytes"));
        let is_first = flags & 2 != 0;
        let is_new = is_first && self.start.is_some_and(|start| start != sequence.wrapping_add(1));
        let ended = is_new.then(|| std::mem::take(self).bytes());
        let start = *self.start.get_or_insert(if is_first { sequence.wrapping_add(1) } else { sequence });
        let content = segment.get(usize::from(segment.get(12)? >> 4) * 4..)?;
        if !content.is_empty() {
            let kept = self.segments.entry(sequence.wrapping_sub(start)).or_default();
            if content.len() > kept.len() {
                *kept = content.to_vec();
            }
        }
        ended
    }

    /// The stream without what was sent twice. What was sent before the capture began is missing.
    fn bytes(self) -> Vec<u8> {
        let (mut bytes, mut next) = (Vec::new(), 0_usize);
        for (at, segment) in self.segments {
            let at = usize::try_from(at).expect("32 bits fit");
            bytes.extend_from_slice(segment.get(next.saturating_sub(at)..).unwrap_or_default());
            next = next.max(at + segment.len());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::Lan;

    #[test]
    fn whole_streams_and_datagrams_that_left_are_captured_and_what_came_is_not() {
        let mut lan = Lan::new([10, 7, 0]);
        let (here, there) = (lan.host(), lan.host());
        let (address, bound) = (SocketAddr::new(there.address(), 7), std::sync::mpsc::channel());
        let echo = there.spawn(move || {
            let listener = TcpListener::bind(address).expect("a free port");
            bound.0.send(()).expect("the test waits");
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).expect("a stream");
            stream.write_all(b"came back").expect("an open stream");
            heard.len()
        });
        bound.1.recv().expect("the listener is there");
        let capture = Capture::start(&here);
        let long: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let sending = long.clone();
        let send = here.spawn(move || {
            let mut stream = TcpStream::connect(address).expect("somebody listens");
            stream.write_all(&sending).expect("an open stream");
            stream.shutdown(std::net::Shutdown::Write).expect("an open stream");
            stream.read_to_end(&mut Vec::new()).expect("an answer");
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
            socket.send_to(b"a datagram", address).expect("a route");
        });
        send.join().expect("sending works");
        assert_eq!(echo.join().expect("echoing works"), long.len());
        let sent = capture.finish();
        assert!(sent.contains(&Sent { to: address, bytes: long }), "the stream");
        assert!(sent.contains(&Sent { to: address, bytes: b"a datagram".to_vec() }), "the datagram");
        assert!(sent.iter().all(|sent| sent.bytes != b"came back"));
    }
}
