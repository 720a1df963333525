//! Copies bytes both ways between a peer and the engine, until both have ended, one has failed, neither says anything or the
//! peer floods the engine; keeps a peer alive meanwhile that may be silent.

use std::io;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::embargo::{Embargo, Upload};
use crate::vigil::{Flood, Vigil};

/// The buffer of one direction: two blocks with their headers, nearly. There are two to a connection.
const BUFFER_BYTES: usize = 32 * 1024;

/// How long one direction may go on after the other has ended. BitTorrent has no use for half a connection.
const HALF_CLOSED: Duration = Duration::from_secs(15);

/// After so much silence of a peer that owes us nothing, the engine gets a keep-alive. It hangs up after eight seconds.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(4);
/// An empty message (BEP 3).
const KEEP_ALIVE: [u8; 4] = [0; 4];

/// Why a splice ended, where it did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpliceFault {
    #[error("one side failed")]
    Io(#[source] io::Error),
    #[error("neither side said anything for too long")]
    Idle,
    #[error("the peer was cut off")]
    Flood(#[source] Flood),
}

/// What stands between the engine and a peer outside of the local networks.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) embargo: Embargo,
    /// Whether blocks may pass.
    pub(crate) upload: watch::Receiver<Upload>,
}

impl Checkpoint {
    /// What the peer shall hear of what the engine has said; `said` is none where nothing but the upload has changed.
    fn pass(&mut self, said: Option<&[u8]>, out: &mut Vec<u8>) {
        let upload = *self.upload.borrow_and_update();
        match said {
            Some(bytes) => self.embargo.handle_bytes(bytes, upload, out),
            None => self.embargo.handle_change(upload, out),
        }
    }

    /// Returns when the upload has been opened or closed.
    async fn changed(checkpoint: &mut Option<Self>) {
        let is_told = match checkpoint {
            Some(checkpoint) => checkpoint.upload.changed().await.is_ok(),
            None => false,
        };
        if !is_told {
            std::future::pending::<()>().await;
        }
    }
}

/// What holds while a peer and the engine talk.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) vigil: Vigil,
    /// None for a peer of the local networks.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// How long both may be silent.
    pub(crate) idle_timeout: Duration,
}

/// Copies both ways, and tells each time that the peer says it has got a piece. Memory: two buffers of 32 KiB, three with a
/// checkpoint.
pub(crate) async fn splice<Peer, Engine>(
    peer: Peer,
    engine: Engine,
    terms: Terms,
    on_have: impl Fn(),
) -> Result<(), SpliceFault>
where
    Peer: AsyncRead + AsyncWrite,
    Engine: AsyncRead + AsyncWrite,
{
    let Terms { vigil, checkpoint, idle_timeout } = terms;
    let conversation = Conversation { vigil: Mutex::new(vigil), last_byte: Mutex::new(Instant::now()) };
    let (from_peer, to_peer) = tokio::io::split(peer);
    let (from_engine, to_engine) = tokio::io::split(engine);
    let mut inward = pin!(copy_in(from_peer, to_engine, on_have, &conversation));
    let mut outward = pin!(copy_out(from_engine, to_peer, checkpoint, &conversation));
    tokio::select! {
        ended = &mut inward => finish(ended, outward).await,
        ended = &mut outward => finish(ended, inward).await,
        () = conversation.is_idle(idle_timeout) => Err(SpliceFault::Idle),
    }
}

async fn finish(
    ended: Result<(), SpliceFault>,
    other: impl Future<Output = Result<(), SpliceFault>>,
) -> Result<(), SpliceFault> {
    ended?;
    timeout(HALF_CLOSED, other).await.unwrap_or(Err(SpliceFault::Idle))
}

/// Copies what the peer says up to its end, which is passed on.
async fn copy_in(
    mut peer: impl AsyncRead + Unpin,
    mut engine: impl AsyncWrite + Unpin,
    on_have: impl Fn(),
    conversation: &Conversation,
) -> Result<(), SpliceFault> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match timeout(KEEP_ALIVE_AFTER, peer.read(&mut buffer)).await {
            Ok(read) => {
                let bytes = &buffer[..read.map_err(SpliceFault::Io)?];
                if bytes.is_empty() {
                    return engine.shutdown().await.map_err(SpliceFault::Io);
                }
                conversation.handle_peer_bytes(bytes).map_err(SpliceFault::Flood)?;
                engine.write_all(bytes).await.map_err(SpliceFault::Io)?;
                if conversation.peer_has_more() {
                    on_have();
                }
            }
            Err(_) if conversation.peer_may_be_silent() => {
                engine.write_all(&KEEP_ALIVE).await.map_err(SpliceFault::Io)?;
            }
            // It owes us something: the engine shall notice its silence.
            Err(_) => {}
        }
    }
}

/// Copies what the engine says up to its end, which is passed on.
async fn copy_out(
    mut engine: impl AsyncRead + Unpin,
    mut peer: impl AsyncWrite + Unpin,
    mut checkpoint: Option<Checkpoint>,
    conversation: &Conversation,
) -> Result<(), SpliceFault> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut passed = Vec::new();
    loop {
        let said = tokio::select! {
            read = engine.read(&mut buffer) => Some(&buffer[..read.map_err(SpliceFault::Io)?]),
            () = Checkpoint::changed(&mut checkpoint) => None,
        };
        if let Some(bytes) = said {
            if bytes.is_empty() {
                return peer.shutdown().await.map_err(SpliceFault::Io);
            }
            conversation.handle_engine_bytes(bytes);
        }
        let bytes = match &mut checkpoint {
            Some(checkpoint) => {
                passed.clear();
                checkpoint.pass(said, &mut passed);
                &passed[..]
            }
            None => said.unwrap_or_default(),
        };
        peer.write_all(bytes).await.map_err(SpliceFault::Io)?;
    }
}

/// What both directions share.
struct Conversation {
    vigil: Mutex<Vigil>,
    /// When the last byte arrived from either side.
    last_byte: Mutex<Instant>,
}

impl Conversation {
    fn handle_peer_bytes(&self, bytes: &[u8]) -> Result<(), Flood> {
        self.handle_byte();
        locked(&self.vigil).handle_peer_bytes(bytes)
    }

    fn handle_engine_bytes(&self, bytes: &[u8]) {
        self.handle_byte();
        locked(&self.vigil).handle_engine_bytes(bytes);
    }

    fn peer_has_more(&self) -> bool {
        locked(&self.vigil).take_more()
    }

    fn peer_may_be_silent(&self) -> bool {
        locked(&self.vigil).may_be_silent()
    }

    fn handle_byte(&self) {
        *locked(&self.last_byte) = Instant::now();
    }

    /// Returns when nothing has arrived for `limit`.
    async fn is_idle(&self, limit: Duration) {
        loop {
            let end = *locked(&self.last_byte) + limit;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds the conversation")
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::vigil::EngineHandshake;

    const IDLE: Duration = Duration::from_secs(150);
    const REQUEST: [u8; 17] = [0, 0, 0, 13, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0];

    fn terms(checkpoint: Option<Checkpoint>) -> Terms {
        Terms { vigil: Vigil::new(EngineHandshake::Done), checkpoint, idle_timeout: IDLE }
    }

    /// A peer and an engine with a splice between them.
    fn spliced() -> (DuplexStream, DuplexStream, JoinHandle<Result<(), SpliceFault>>) {
        let ((peer, near_peer), (engine, near_engine)) = (duplex(1024), duplex(1024));
        let splice = splice(near_peer, near_engine, terms(None), || ());
        (peer, engine, tokio::spawn(splice))
    }

    async fn is_silent_for(engine: &mut DuplexStream, limit: Duration) -> bool {
        timeout(limit, engine.read_u8()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_kept_alive_only_while_it_owes_nothing() {
        let (mut peer, mut engine, _splice) = spliced();
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(engine.read_u32().await.expect("spliced"), 0);
        }
        assert_eq!(start.elapsed(), 3 * KEEP_ALIVE_AFTER);
        engine.write_all(&REQUEST).await.expect("spliced");
        assert!(is_silent_for(&mut engine, 4 * KEEP_ALIVE_AFTER).await);
        let block = [0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0xff];
        peer.write_all(&block).await.expect("spliced");
        let mut heard = [0; 14];
        engine.read_exact(&mut heard).await.expect("spliced");
        assert_eq!(heard, block);
        assert_eq!(engine.read_u32().await.expect("spliced"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_floods_the_engine_is_cut_off() {
        let (mut peer, engine, splice) = spliced();
        let (mut from_engine, _to_engine) = tokio::io::split(engine);
        tokio::spawn(async move { tokio::io::copy(&mut from_engine, &mut tokio::io::sink()).await });
        // Ends when the connection is closed.
        while peer.write_all(&REQUEST).await.is_ok() {}
        assert!(matches!(splice.await.expect("no panic"), Err(SpliceFault::Flood(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_upload_keeps_blocks_from_the_peer_and_our_requests_go_on() {
        let ((mut peer, near_peer), (mut engine, near_engine)) = (duplex(1024), duplex(1024));
        let (open, upload) = watch::channel(Upload::Open);
        let checkpoint = Checkpoint { embargo: Embargo::after(0), upload };
        tokio::spawn(splice(near_peer, near_engine, terms(Some(checkpoint)), || ()));
        let block = [0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0xff];
        let (unchoke, choke) = ([0, 0, 0, 1, 1], [0, 0, 0, 1, 0]);
        let mut heard = [0; 5 + 14];
        engine.write_all(&[&unchoke[..], &block].concat()).await.expect("spliced");
        peer.read_exact(&mut heard).await.expect("spliced");
        assert_eq!(heard[..], [&unchoke[..], &block].concat());
        open.send_replace(Upload::Closed);
        let mut heard = [0; 5 + 17];
        engine.write_all(&[&block[..], &block, &REQUEST].concat()).await.expect("spliced");
        peer.read_exact(&mut heard).await.expect("spliced");
        assert_eq!(heard[..], [&choke[..], &REQUEST].concat());
        // The peer hears of the end though the engine says nothing.
        open.send_replace(Upload::Open);
        peer.read_exact(&mut heard[..5]).await.expect("spliced");
        assert_eq!(heard[..5], unchoke);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_a_byte_from_either_side_puts_that_off() {
        let (mut peer, mut engine, splice) = spliced();
        let start = Instant::now();
        tokio::time::sleep(Duration::from_secs(100)).await;
        peer.write_all(b"a").await.expect("spliced");
        tokio::time::sleep(Duration::from_secs(100)).await;
        engine.write_all(b"b").await.expect("spliced");
        assert_eq!(peer.read_u8().await.expect("spliced"), b'b');
        assert!(matches!(splice.await.expect("no panic"), Err(SpliceFault::Idle)));
        assert_eq!(start.elapsed().as_secs(), 350);
    }

    #[tokio::test(start_paused = true)]
    async fn one_side_may_end_first_and_still_hears_the_rest() {
        let (mut peer, mut engine, splice) = spliced();
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
        splice.await.expect("no panic").expect("both ended by themselves");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_connection_does_not_live_for_long() {
        let (mut peer, _engine, splice) = spliced();
        let start = Instant::now();
        peer.shutdown().await.expect("open");
        assert!(matches!(splice.await.expect("no panic"), Err(SpliceFault::Idle)));
        assert_eq!(start.elapsed(), HALF_CLOSED);
    }
}
