//! A connection with a peer, as the rest of the daemon sees it: counted and throttled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::meter::Meter;
use crate::throttle::Pace;
use crate::transport::{Socket, Transport};

/// Bytes moved by one call at most: between two questions to the bucket nobody else is kept waiting for long.
const CHUNK_BYTES: usize = 32 * 1024;

/// Parts of a vectored write that are looked at where there is a rate limit: enough for a chunk of small answers.
const MAX_PARTS: usize = 16;

/// A TCP or uTP connection with a peer whose bytes are counted, and held to the shared rate limits.
///
/// Flushing is never needed. Over uTP, [`AsyncWrite::poll_shutdown`] ends the reading too, a second later.
#[derive(Debug)]
pub struct PeerStream {
    socket: Socket,
    meter: Arc<Meter>,
    download: Pace,
    upload: Pace,
}

impl PeerStream {
    pub(crate) fn new(socket: Socket, meter: Arc<Meter>, download: Pace, upload: Pace) -> Self {
        Self { socket, meter, download, upload }
    }

    /// What carries the connection.
    pub fn transport(&self) -> Transport {
        self.socket.transport()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let wanted = buffer.remaining().min(CHUNK_BYTES);
        let granted = ready!(this.download.poll_grant(wanted, context));
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(granted));
        let outcome = Pin::new(&mut this.socket).poll_read(context, &mut part);
        let bytes = part.filled().len();
        this.download.give_back(granted - bytes);
        if bytes > 0 {
            buffer.advance(bytes);
            this.meter.handle_received(bytes);
        }
        outcome
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let granted = ready!(this.upload.poll_grant(bytes.len().min(CHUNK_BYTES), context));
        let outcome = Pin::new(&mut this.socket).poll_write(context, &bytes[..granted]);
        let written = if let Poll::Ready(Ok(written)) = &outcome { *written } else { 0 };
        this.upload.give_back(granted - written);
        if written > 0 {
            this.meter.handle_sent(written);
        }
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wanted = parts.iter().map(|part| part.len()).sum();
        if this.upload.is_free() {
            let outcome = Pin::new(&mut this.socket).poll_write_vectored(context, parts);
            if let Poll::Ready(Ok(written)) = &outcome {
                this.meter.handle_sent(*written);
            }
            return outcome;
        }
        let granted = ready!(this.upload.poll_grant(CHUNK_BYTES.min(wanted), context));
        let mut room = granted;
        let mut allowed = [IoSlice::new(&[]); MAX_PARTS];
        for (allowed, part) in allowed.iter_mut().zip(parts) {
            *allowed = IoSlice::new(&part[..part.len().min(room)]);
            room -= allowed.len();
        }
        let outcome = Pin::new(&mut this.socket).poll_write_vectored(context, &allowed[..parts.len().min(MAX_PARTS)]);
        let written = if let Poll::Ready(Ok(written)) = &outcome { *written } else { 0 };
        this.upload.give_back(granted - written);
        this.meter.handle_sent(written);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::meter::Odometer;
    use crate::throttle::Throttle;

    const RATE: u64 = 1_000_000;

    /// A stream held to [`RATE`] in both directions, and its other side.
    async fn limited() -> (PeerStream, TcpStream, Arc<Meter>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let far = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (near, _) = listener.accept().await.expect("somebody called");
        let meter = Arc::new(Meter::new(Arc::new(Odometer::default()), true));
        let pace = || Pace::new(Some(Arc::new(Throttle::new(NonZeroU64::new(RATE)))));
        (PeerStream::new(Socket::tcp(near), Arc::clone(&meter), pace(), pace()), far, meter)
    }

    // 270 kB may pass at once; the rest takes its time. How much longer it takes is the machine's affair.
    const BYTES: usize = 500_000;
    const LEAST: Duration = Duration::from_millis(220);

    #[tokio::test]
    async fn writing_is_held_to_the_limit_and_counted() {
        let (mut stream, mut far, meter) = limited().await;
        let start = Instant::now();
        let (bytes, mut heard) = (vec![7; BYTES], vec![0; BYTES]);
        let (written, read) = tokio::join!(stream.write_all(&bytes), far.read_exact(&mut heard));
        written.expect("connected");
        read.expect("connected");
        assert!(heard == bytes && start.elapsed() >= LEAST);
        assert_eq!((meter.uploaded(), meter.downloaded()), (BYTES as u64, 0));
    }

    #[tokio::test]
    async fn reading_is_held_to_the_limit_and_counted() {
        let (mut stream, mut far, meter) = limited().await;
        let start = Instant::now();
        let (bytes, mut heard) = (vec![7; BYTES], vec![0; BYTES]);
        let (written, read) = tokio::join!(far.write_all(&bytes), stream.read_exact(&mut heard));
        written.expect("connected");
        read.expect("connected");
        assert!(heard == bytes && start.elapsed() >= LEAST);
        assert_eq!((meter.uploaded(), meter.downloaded()), (0, BYTES as u64));
    }
}
