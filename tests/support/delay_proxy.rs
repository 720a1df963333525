//! A long way: a TCP proxy that makes everything arrive later, and takes nothing from the bandwidth.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::Host;

const CHUNK: usize = 64 * 1024;
/// Chunks under way in one direction of one connection: 64 MiB, more than a gigabyte a second puts into 30 ms.
const UNDER_WAY: usize = 1024;

/// A proxy for one address.
#[derive(Debug)]
pub struct DelayProxy {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How far away the other side is.
#[derive(Debug, Clone, Copy)]
struct Path {
    upstream: SocketAddr,
    /// One way.
    latency: Duration,
}

impl DelayProxy {
    /// Listens on a free port of `host`, and is `latency` away from `upstream`, each way. A connection takes a round trip to
    /// be made, as everywhere.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, upstream: SocketAddr, latency: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let wanted = SocketAddr::new(host.address(), 0);
        let thread = host.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(wanted).await.expect("a port is free");
                bound.send(listener.local_addr().expect("a bound socket has an address")).expect("the test waits");
                tokio::select! {
                    () = accept(listener, Path { upstream, latency }) => (),
                    _ = stopped => (),
                }
            });
            runtime.shutdown_background();
        });
        let address = address.recv().expect("the proxy binds a port");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `Server` line for `pacman.conf`, where a mirror is at the other side.
    #[must_use]
    pub fn server(&self) -> String {
        format!("http://{}/$repo/os/$arch", self.address)
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, path: Path) {
    loop {
        let (client, _) = listener.accept().await.expect("a listening socket accepts");
        tokio::spawn(async move {
            // Who cannot be reached, or hangs up, ends this connection and nothing else.
            let _broken = carry(client, path).await;
        });
    }
}

/// The client believes at once that it is connected; its first bytes wait for the round trip that this would have taken.
async fn carry(client: TcpStream, path: Path) -> io::Result<()> {
    let connected = Instant::now() + path.latency * 2;
    let upstream = TcpStream::connect(path.upstream).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let ((from_client, to_client), (from_upstream, to_upstream)) = (client.into_split(), upstream.into_split());
    let there = one_way(from_client, to_upstream, path.latency, connected);
    let back = one_way(from_upstream, to_client, path.latency, connected);
    tokio::try_join!(there, back).map(drop)
}

/// Carries bytes until their end, and the end too. Nothing leaves before `connected` and its own time under way.
async fn one_way(from: OwnedReadHalf, to: OwnedWriteHalf, latency: Duration, connected: Instant) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::try_join!(depart(from, sender, latency, connected), arrive(receiver, to)).map(drop)
}

async fn depart(
    mut from: OwnedReadHalf,
    sender: mpsc::Sender<(Instant, Bytes)>,
    latency: Duration,
    connected: Instant,
) -> io::Result<()> {
    loop {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        let read = from.read_buf(&mut chunk).await?;
        let arrival = Instant::now().max(connected) + latency;
        let sent = sender.send((arrival, chunk.freeze())).await;
        if read == 0 || sent.is_err() {
            return Ok(());
        }
    }
}

/// An empty chunk is the end.
async fn arrive(mut receiver: mpsc::Receiver<(Instant, Bytes)>, mut to: OwnedWriteHalf) -> io::Result<()> {
    while let Some((arrival, chunk)) = receiver.recv().await {
        // The latency is what this is for.
        tokio::time::sleep_until(arrival).await;
        if chunk.is_empty() {
            break;
        }
        to.write_all(&chunk).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener as Listener, TcpStream as Stream};
    use std::time::Instant;

    use super::*;

    const LATENCY: Duration = Duration::from_millis(30);
    /// What timers and a busy machine may add.
    const SLACK: Duration = Duration::from_millis(150);

    /// Starts a proxy in front of somebody who does this with each connection.
    fn in_front_of(serve: fn(Stream)) -> DelayProxy {
        let listener = Listener::bind("127.0.0.1:0").expect("a port is free");
        let upstream = listener.local_addr().expect("a bound socket has an address");
        let _detached = std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
        DelayProxy::start(&Host::loopback(), upstream, LATENCY)
    }

    fn echo(mut stream: Stream) {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    }

    fn takes(what: &str, least: Duration, work: impl FnOnce()) {
        let started = Instant::now();
        work();
        let elapsed = started.elapsed();
        assert!(elapsed >= least && elapsed < least + SLACK, "{what}: {elapsed:?}, not {least:?}");
    }

    #[test]
    fn an_answer_takes_a_round_trip_and_the_first_one_two() {
        let proxy = in_front_of(echo);
        let mut stream = Stream::connect(proxy.address()).expect("the proxy listens");
        stream.set_nodelay(true).expect("a socket has this option");
        let mut ask = || {
            stream.write_all(b"?").expect("the connection is open");
            stream.read_exact(&mut [0]).expect("the connection is open");
        };
        takes("connection and answer", LATENCY * 4, &mut ask);
        takes("an answer", LATENCY * 2, &mut ask);
        takes("another answer", LATENCY * 2, &mut ask);
    }

    #[test]
    fn a_long_way_is_as_wide_as_a_short_one() {
        const BYTES: usize = 256 << 20;
        let proxy = in_front_of(|mut stream| {
            let chunk = vec![7; 1 << 20];
            for _ in 0..BYTES >> 20 {
                stream.write_all(&chunk).expect("the test reads everything");
            }
        });
        let mut stream = Stream::connect(proxy.address()).expect("the proxy listens");
        let started = Instant::now();
        let mut chunk = vec![0; 1 << 20];
        let mut received = 0;
        loop {
            let read = stream.read(&mut chunk).expect("the connection ends well");
            received += read;
            if read == 0 {
                break;
            }
        }
        assert_eq!(received, BYTES);
        // One sleep for each chunk would take two minutes.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }

    #[test]
    fn whoever_hangs_up_is_noticed_at_the_other_side() {
        let proxy = in_front_of(|mut stream| {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).expect("an orderly end"), 0);
            stream.write_all(b"!").expect("only one direction has ended");
        });
        let mut stream = Stream::connect(proxy.address()).expect("the proxy listens");
        stream.shutdown(std::net::Shutdown::Write).expect("the connection is open");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an orderly end");
        assert_eq!(text, "!");
    }

    #[test]
    fn a_dropped_proxy_is_gone() {
        let proxy = in_front_of(echo);
        let address = proxy.address();
        let mut stream = Stream::connect(address).expect("the proxy listens");
        drop(proxy);
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "an open connection is cut");
        assert!(Stream::connect(address).is_err(), "nobody listens");
    }
}
