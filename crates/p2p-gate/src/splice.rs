//! Copies bytes both ways between a peer and the engine, until both have ended, one has failed or neither says anything.

use std::io;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// The buffer of one direction: two blocks with their headers, nearly. There are two to a connection.
const BUFFER_BYTES: usize = 32 * 1024;

/// How long one direction may go on after the other has ended. BitTorrent has no use for half a connection.
const HALF_CLOSED: Duration = Duration::from_secs(15);

/// Why a splice ended, where it did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpliceFault {
    #[error("one side failed")]
    Io(#[source] io::Error),
    #[error("neither side said anything for too long")]
    Idle,
}

/// Copies both ways. Memory: two buffers of 32 KiB.
pub(crate) async fn splice<Peer, Engine>(peer: Peer, engine: Engine, idle_timeout: Duration) -> Result<(), SpliceFault>
where
    Peer: AsyncRead + AsyncWrite,
    Engine: AsyncRead + AsyncWrite,
{
    let last_byte = LastByte(Mutex::new(Instant::now()));
    let (mut from_peer, mut to_peer) = tokio::io::split(peer);
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let mut inward = pin!(copy(&mut from_peer, &mut to_engine, &last_byte));
    let mut outward = pin!(copy(&mut from_engine, &mut to_peer, &last_byte));
    tokio::select! {
        ended = &mut inward => finish(ended, outward).await,
        ended = &mut outward => finish(ended, inward).await,
        () = last_byte.is_too_old(idle_timeout) => Err(SpliceFault::Idle),
    }
}

async fn finish(ended: io::Result<()>, other: impl Future<Output = io::Result<()>>) -> Result<(), SpliceFault> {
    ended.map_err(SpliceFault::Io)?;
    match tokio::time::timeout(HALF_CLOSED, other).await {
        Ok(ended) => ended.map_err(SpliceFault::Io),
        Err(_) => Err(SpliceFault::Idle),
    }
}

/// Copies one direction up to its end, which it passes on.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    last_byte: &LastByte,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        last_byte.handle_byte();
        to.write_all(&buffer[..bytes]).await?;
    }
}

/// When the last byte arrived from either side.
struct LastByte(Mutex<Instant>);

impl LastByte {
    fn handle_byte(&self) {
        *self.0.lock().expect("nothing panics while it holds the time") = Instant::now();
    }

    /// Returns when nothing has arrived for `limit`.
    async fn is_too_old(&self, limit: Duration) {
        loop {
            let end = *self.0.lock().expect("nothing panics while it holds the time") + limit;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const IDLE: Duration = Duration::from_secs(150);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_a_byte_from_either_side_puts_that_off() {
        let ((mut peer, near_peer), (mut engine, near_engine)) = (duplex(64), duplex(64));
        let start = Instant::now();
        let spliced = tokio::spawn(splice(near_peer, near_engine, IDLE));
        tokio::time::sleep(Duration::from_secs(100)).await;
        peer.write_all(b"a").await.expect("spliced");
        assert_eq!(engine.read_u8().await.expect("spliced"), b'a');
        tokio::time::sleep(Duration::from_secs(100)).await;
        engine.write_all(b"b").await.expect("spliced");
        assert_eq!(peer.read_u8().await.expect("spliced"), b'b');
        let ended = spliced.await.expect("no panic");
        assert!(matches!(ended, Err(SpliceFault::Idle)));
        assert_eq!(start.elapsed().as_secs(), 350);
    }

    #[tokio::test(start_paused = true)]
    async fn one_side_may_end_first_and_still_hears_the_rest() {
        let ((mut peer, near_peer), (mut engine, near_engine)) = (duplex(64), duplex(64));
        let spliced = tokio::spawn(splice(near_peer, near_engine, IDLE));
        peer.write_all(b"last words").await.expect("spliced");
        peer.shutdown().await.expect("spliced");
        let mut heard = Vec::new();
        engine.read_to_end(&mut heard).await.expect("the end is passed on");
        assert_eq!(heard, b"last words");
        engine.write_all(b"the answer").await.expect("spliced");
        engine.shutdown().await.expect("spliced");
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.expect("the end is passed on");
        assert_eq!(heard, b"the answer");
        spliced.await.expect("no panic").expect("both ended by themselves");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_connection_does_not_live_for_long() {
        let ((mut peer, near_peer), (_engine, near_engine)) = (duplex(64), duplex(64));
        let start = Instant::now();
        peer.shutdown().await.expect("open");
        assert!(matches!(splice(near_peer, near_engine, IDLE).await, Err(SpliceFault::Idle)));
        assert_eq!(start.elapsed(), HALF_CLOSED);
    }
}
