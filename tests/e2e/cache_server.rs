//! pacman's own downloader against the cache server, and what else may come to an HTTP port.

mod answers;
mod network;
mod pacman;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use p2p_tests::{Binaries, Daemon, DaemonOptions, Keyring, PacmanRoot, PacmanRootOptions};

use crate::world::World;

/// How long one answer may take to its last byte.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// A machine whose pacman has the cache server as the first of its servers.
struct Front {
    daemon: Daemon,
    pacman: PacmanRoot,
    address: SocketAddr,
    options: PacmanRootOptions,
}

impl Front {
    /// With these mirrors behind it.
    fn start(world: &World, mirrors: &[String]) -> Self {
        Self::with(world, mirrors, None, |options| options)
    }

    /// `SigLevel = Required`, with a trusted key.
    fn signed(world: &World, mirrors: &[String], keyring: &Keyring) -> Self {
        Self::with(world, mirrors, Some(keyring), |options| options)
    }

    fn with(
        world: &World,
        mirrors: &[String],
        keyring: Option<&Keyring>,
        adjust: impl FnOnce(DaemonOptions) -> DaemonOptions,
    ) -> Self {
        let servers: Vec<&str> = mirrors.iter().map(String::as_str).collect();
        let mut options = PacmanRootOptions::new(&[&world.repository], &servers);
        if keyring.is_some() {
            options.sig_level = "Required".into();
        }
        let pacman = PacmanRoot::new(&options, keyring);
        if keyring.is_none() {
            pacman.place_database(&world.repository);
        }
        let daemon = DaemonOptions {
            repositories: vec!["core".into()],
            cache_server: "127.0.0.1:0".into(),
            ..DaemonOptions::new(&pacman.config())
        };
        let daemon = Daemon::start(&Binaries::built(), adjust(daemon));
        let address = daemon.status().text("cache_server").parse().expect("an address");
        let mut front = Self { daemon, pacman, address, options };
        front.configure(|_| {});
        front
    }

    /// Writes `pacman.conf`, which the daemon reads too: the cache server, then the mirrors.
    fn configure(&mut self, change: impl FnOnce(&mut PacmanRootOptions)) {
        change(&mut self.options);
        let mut options = self.options.clone();
        for (_, servers) in &mut options.repositories {
            servers.insert(0, format!("http://{}/$repo/os/$arch", self.address));
        }
        self.pacman.configure(&options);
    }

    /// Asks for a path, on a connection of its own.
    #[track_caller]
    fn get(&self, path: &str, fields: &[&str]) -> Answer {
        self.ask("GET", path, fields)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, fields: &[&str]) -> Answer {
        let host = format!("Host: {}", self.address);
        let host = if fields.iter().any(|field| field.starts_with("Host:")) { None } else { Some(host.as_str()) };
        let fields: Vec<&str> = fields.iter().copied().chain(host).collect();
        let mut stream = TcpStream::connect(self.address).expect("the cache server listens");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a time-out");
        let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{}\r\n\r\n", fields.join("\r\n"));
        stream.write_all(request.as_bytes()).expect("the request is small");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.daemon.log()));
        Answer::parse(&answer)
    }
}

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head ends in an empty line");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// A header field.
    fn field(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name));
        self.head.lines().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }

    /// `Content-Length`.
    #[track_caller]
    fn length(&self) -> usize {
        self.field("content-length").and_then(|length| length.parse().ok()).expect("every answer states its length")
    }
}
