//! A connection as the network gives it: TCP or uTP, nothing counted yet.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use librqbit_utp::UtpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// The micro transport protocol over UDP (BEP 29).
    Utp,
}

/// How many bytes at the start of a TCP connection are acknowledged at once.
///
/// librqbit leaves Nagle's algorithm on: its second small message waits for the acknowledgement of the first, which Linux
/// delays by 40 ms. Later, re-arming at each read only costs CPU (librqbit.md, A and B).
const QUICK_ACK_BYTES: usize = 100 * 1024;

/// A TCP or uTP connection.
pub(crate) enum Socket {
    Tcp { stream: TcpStream, quick_ack_left: usize },
    Utp(UtpStream),
}

impl Socket {
    /// A TCP connection without Nagle's algorithm, and for a while without delayed acknowledgements.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        // Both settings only save time: a kernel that refuses them still carries the bytes.
        stream.set_nodelay(true).ok();
        acknowledge_at_once(&stream);
        Self::Tcp { stream, quick_ack_left: QUICK_ACK_BYTES }
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Tcp { .. } => Transport::Tcp,
            Self::Utp(_) => Transport::Utp,
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Socket({:?})", self.transport())
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp { stream, quick_ack_left } => {
                let before = buffer.filled().len();
                let outcome = Pin::new(&mut *stream).poll_read(context, buffer);
                if outcome.is_ready() && *quick_ack_left > 0 {
                    // The kernel leaves this mode by itself, so each read renews it.
                    acknowledge_at_once(stream);
                    *quick_ack_left = quick_ack_left.saturating_sub(buffer.filled().len() - before);
                }
                outcome
            }
            Self::Utp(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp { stream, .. } => Pin::new(stream).poll_write(context, bytes),
            Self::Utp(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp { stream, .. } => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Utp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp { stream, .. } => stream.is_write_vectored(),
            Self::Utp(stream) => stream.is_write_vectored(),
        }
    }

    /// Nothing is held back here. librqbit-utp's own flush would wait for the other side's acknowledgement: a round trip
    /// for each message.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp { stream, .. } => Pin::new(stream).poll_shutdown(context),
            Self::Utp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(target_os = "linux")]
fn acknowledge_at_once(stream: &TcpStream) {
    SockRef::from(stream).set_tcp_quickack(true).ok();
}

#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_stream: &TcpStream) {}
