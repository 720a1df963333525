//! A peer that downloads the same package over and over, and keeps nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use p2p_tests::{Host, Package};

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
const BLOCK: u64 = 16 * 1024;
/// Requests that are on their way at one time.
const PIPELINE: usize = 64;
/// Nobody takes so long for one message.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a seeder.
pub(super) struct Peer {
    stream: TcpStream,
    unchoked: bool,
}

/// How a download went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Downloaded {
    bytes: u64,
    elapsed: Duration,
    longest_wait: Duration,
}

impl Peer {
    /// Shakes hands about a package.
    pub(super) fn connect(host: &Host, address: SocketAddr, package: &Package) -> Self {
        let info_hash = *package.info.info_hash().as_bytes();
        let shake = move || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            // No extension: whoever has everything says so with a bit field.
            stream.write_all(&[&PROTOCOL[..], &[0; 8], &info_hash, b"-BN0001-012345678901"].concat())?;
            let mut theirs = [0; 68];
            stream.read_exact(&mut theirs)?;
            assert_eq!(theirs[28..48], info_hash, "another torrent");
            Ok(stream)
        };
        let stream = host.spawn(shake).join().expect("an answer about this torrent");
        Self { stream: stream.expect("a handshake is answered"), unchoked: false }
    }

    /// Downloads the package again and again, for so long.
    pub(super) fn download(&mut self, package: &Package, time: Duration) -> Downloaded {
        let until = Instant::now() + time;
        self.download_while(package, || Instant::now() < until)
    }

    /// Downloads until `is_over`, which is asked ten times a second.
    pub(super) fn download_until(
        &mut self,
        package: &Package,
        bound: Duration,
        mut is_over: impl FnMut() -> bool,
    ) -> Downloaded {
        let (end, mut asked) = (Instant::now() + bound, Instant::now());
        self.download_while(package, || {
            assert!(Instant::now() < end, "not over within {bound:?}");
            if asked.elapsed() < Duration::from_millis(100) {
                return true;
            }
            asked = Instant::now();
            !is_over()
        })
    }

    fn download_while(&mut self, package: &Package, mut go_on: impl FnMut() -> bool) -> Downloaded {
        let mut blocks = blocks(package).cycle();
        self.send(2, &[]).expect("a living connection");
        let mut waiting = 0;
        let (started, mut last) = (Instant::now(), Instant::now());
        let (mut bytes, mut longest_wait) = (0, Duration::ZERO);
        while go_on() {
            while self.unchoked && waiting < PIPELINE {
                let block = blocks.next().expect("a cycle has no end");
                self.send(6, &block).expect("a living connection");
                waiting += 1;
            }
            let (kind, length) = self.receive().expect("a message within some seconds");
            match kind {
                1 => self.unchoked = true,
                0 => panic!("choked in mid-download"),
                7 => {
                    bytes += length - 9;
                    waiting -= 1;
                    longest_wait = longest_wait.max(last.elapsed());
                    last = Instant::now();
                }
                _ => (),
            }
        }
        let elapsed = started.elapsed();
        while waiting > 0 {
            waiting -= usize::from(self.receive().expect("what was asked for").0 == 7);
        }
        Downloaded { bytes, elapsed, longest_wait }
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len() + 1).expect("messages are short").to_be_bytes();
        self.stream.write_all(&[&length[..], &[kind], payload].concat())
    }

    /// Kind and length of the next message.
    fn receive(&mut self) -> io::Result<(u8, u64)> {
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            let length = u64::from(u32::from_be_bytes(length));
            if length > 0 {
                let mut kind = [0];
                self.stream.read_exact(&mut kind)?;
                io::copy(&mut (&mut self.stream).take(length - 1), &mut io::sink())?;
                return Ok((kind[0], length));
            }
        }
    }
}

impl Downloaded {
    /// In MiB a second.
    pub(super) fn rate(&self) -> f64 {
        super::mebibytes(self.bytes) / self.elapsed.as_secs_f64()
    }

    /// The longest time between two blocks.
    pub(super) fn longest_wait(&self) -> Duration {
        self.longest_wait
    }
}

/// The payloads of the requests for all blocks.
fn blocks(package: &Package) -> impl Iterator<Item = Vec<u8>> + Clone {
    let (size, piece) = (package.size(), u64::from(package.info.piece_length().bytes()));
    (0..size.div_ceil(BLOCK)).map(move |number| {
        let offset = number * BLOCK;
        let fields = [offset / piece, offset % piece, BLOCK.min(size - offset)];
        fields.iter().flat_map(|field| u32::try_from(*field).expect("a small package").to_be_bytes()).collect()
    })
}
