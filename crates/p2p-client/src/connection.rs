//! One connection to the daemon, every wait of which ends.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use p2p_api::{ApiError, ErrorCode, MAX_RECORD_BYTES};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::ClientError;
use crate::head::Head;

/// As much as one record may need, and a head before it.
const MAX_BUFFERED: usize = 2 * MAX_RECORD_BYTES;

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    Bytes,
    Nothing,
    End,
}

/// A connection and what came on it but is not yet taken.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, at most until `deadline`: a stopped daemon's backlog fills up, and then connecting would wait forever.
    pub(crate) fn open(socket: &Path, deadline: Instant) -> Result<Self, ClientError> {
        let address = SocketAddrUnix::new(socket).map_err(|error| ClientError::Socket(error.into()))?;
        let descriptor = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|error| ClientError::Socket(error.into()))?;
        // unix(7) does not say it, net/unix/af_unix.c does: SO_SNDTIMEO bounds connect(2), which then gives EAGAIN.
        sockopt::set_socket_timeout(&descriptor, sockopt::Timeout::Send, Some(left(deadline)))
            .map_err(|error| ClientError::Socket(error.into()))?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&descriptor, &address))
            .map_err(|error| fault(error.into()))?;
        Ok(Self { stream: descriptor.into(), buffer: Vec::new() })
    }

    /// The user that the daemon runs as: who called listen(2), as the kernel saw it (`SO_PEERCRED`).
    pub(crate) fn daemon_user(&self) -> Result<u32, ClientError> {
        let credentials = sockopt::socket_peercred(&self.stream).map_err(|error| ClientError::Socket(error.into()))?;
        Ok(credentials.uid.as_raw())
    }

    /// Sends a whole request, at most until `deadline`.
    pub(crate) fn send(&mut self, request: &[u8], deadline: Instant) -> Result<(), ClientError> {
        let mut rest = request;
        while !rest.is_empty() {
            if Instant::now() >= deadline {
                return Err(ClientError::Hung);
            }
            self.stream.set_write_timeout(Some(left(deadline))).map_err(ClientError::Socket)?;
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A daemon that has answered and hung up early (413) has left its answer behind: read that.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(())
    }

    /// Waits for bytes until `deadline`, or until a signal comes in.
    pub(crate) fn receive(&mut self, deadline: Instant) -> Result<Arrived, ClientError> {
        if self.buffer.len() >= MAX_BUFFERED {
            return Err(ClientError::Broken("its answer does not end"));
        }
        // signal(7): a read with SO_RCVTIMEO is never restarted, so that ^C is noticed at once.
        self.stream.set_read_timeout(Some(left(deadline))).map_err(ClientError::Socket)?;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(Arrived::End),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(Arrived::Bytes)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(Arrived::Nothing)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Arrived::End),
            Err(error) => Err(fault(error)),
        }
    }

    /// Takes the answer's head off the stream; an answer that isn't 200 becomes an error.
    pub(crate) fn read_head(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
            match self.receive(deadline)? {
                Arrived::End => return Err(ClientError::Broken("it hung up before it answered")),
                Arrived::Bytes | Arrived::Nothing if Instant::now() >= deadline => return Err(ClientError::Hung),
                Arrived::Bytes | Arrived::Nothing => {}
            }
        };
        self.buffer.drain(..head.length);
        if !head.has_our_version() {
            return Err(ClientError::VersionMismatch { theirs: head.version });
        }
        if head.status == 200 {
            return Ok(());
        }
        let body = self.read_to_end(deadline)?;
        Err(declined(&body, head.version))
    }

    /// Takes everything up to the end of the stream.
    pub(crate) fn read_to_end(&mut self, deadline: Instant) -> Result<Vec<u8>, ClientError> {
        while self.receive(deadline)? != Arrived::End {
            if Instant::now() >= deadline {
                return Err(ClientError::Hung);
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Whether a whole line waits to be taken.
    pub(crate) fn has_line(&self) -> bool {
        self.buffer.contains(&b'\n')
    }

    /// Takes one line, if a whole one is here, without its line feed.
    pub(crate) fn take_line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n');
        if end.unwrap_or(self.buffer.len()) >= MAX_RECORD_BYTES {
            return Err(ClientError::Broken("a record is too long"));
        }
        Ok(end.map(|end| {
            let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
            line.pop();
            line
        }))
    }
}

/// Whether some process holds `socket` open, asked without taking a place in a stopped daemon's backlog: a datagram
/// socket can't connect to a stream socket that lives (EPROTOTYPE), and nothing to one whose process has died
/// (ECONNREFUSED).
pub(crate) fn is_bound(socket: &Path) -> bool {
    let connected = SocketAddrUnix::new(socket).and_then(|address| {
        let datagram = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&datagram, &address)
    });
    connected == Err(Errno::PROTOTYPE)
}

fn declined(body: &[u8], version: Option<String>) -> ClientError {
    let Ok(error) = serde_json::from_slice::<ApiError>(body) else {
        return ClientError::Broken("it declined without a reason");
    };
    match error.code {
        ErrorCode::Forbidden => ClientError::Denied,
        ErrorCode::VersionMismatch => ClientError::VersionMismatch { theirs: version },
        ErrorCode::BadRequest
        | ErrorCode::NotFound
        | ErrorCode::TooLarge
        | ErrorCode::TooBusy
        | ErrorCode::Unavailable => ClientError::Api(error),
    }
}

/// The time until `deadline`; never zero, which would mean no time limit at all.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn fault(error: io::Error) -> ClientError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open, and these are all that mean something")]
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => ClientError::NotRunning,
        ErrorKind::PermissionDenied => ClientError::Denied,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Hung,
        _ => ClientError::Socket(error),
    }
}
