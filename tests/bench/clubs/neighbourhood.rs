//! Neighbours far away, each at an address and in a network of its own: real conversations, without daemons behind them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use p2p_neighbours::{Conversation, ConversationOptions, Event, Refusal};
use p2p_package::InfoHash;
use p2p_tests::{Host, run};
use p2p_wire::{Handshake, PeerId, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

/// Addresses that one neighbour tells of (BEP 11).
const TOLD: usize = 50;
/// The first byte of all addresses: global ones, of the test's own network.
const NETWORK: u8 = 45;

/// The neighbours, all on one host.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    addresses: Vec<SocketAddr>,
    threads: Vec<Running>,
    host: Host,
    here: Arc<Here>,
}

/// A thread, which ends when the sender is dropped.
#[derive(Debug)]
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all of them know.
#[derive(Debug)]
struct Here {
    club: InfoHash,
    addresses: Vec<SocketAddr>,
    /// Connections so far.
    met: AtomicUsize,
}

impl Neighbourhood {
    /// So many members of a club, who are called, and who tell of each other.
    pub(super) fn new(host: &Host, club: InfoHash, number: usize) -> Self {
        let mut command = host.command("ip");
        command.args(["route", "add", "local", &format!("{NETWORK}.0.0.0/8"), "dev", "lo"]);
        run(command, Duration::from_secs(10)).succeeded();
        let bind = host.spawn(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free"));
        let listener = bind.join().expect("binding does not panic");
        let port = listener.local_addr().expect("it is bound").port();
        let addresses: Vec<_> = (0..number).map(|number| address(number, port)).collect();
        let here = Arc::new(Here { club, addresses: addresses.clone(), met: AtomicUsize::new(0) });
        let mut neighbourhood = Self { addresses, threads: Vec::new(), host: host.clone(), here };
        let here = Arc::clone(&neighbourhood.here);
        neighbourhood.spawn(move || answer_all(listener, here));
        neighbourhood
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The last so many of them call a daemon.
    pub(super) fn call(&mut self, daemon: SocketAddr, number: usize) {
        let callers = self.addresses[self.addresses.len() - number..].to_vec();
        let here = Arc::clone(&self.here);
        self.spawn(move || async move {
            let calls = callers.into_iter().map(|caller| call(caller, daemon, Arc::clone(&here)));
            futures_util::future::join_all(calls).await;
        });
    }

    fn spawn<F: Future<Output = ()>>(&mut self, work: impl FnOnce() -> F + Send + 'static) {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = self.host.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = async { work().await; std::future::pending().await } => {}
                }
            });
        });
        self.threads.push(Running { stop: Some(stop), thread: Some(thread) });
    }
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        for running in &mut self.threads {
            drop(running.stop.take());
            drop(running.thread.take().map(JoinHandle::join));
        }
    }
}

/// Of the networks 45.1 to 45.250.
fn address(number: usize, port: u16) -> SocketAddr {
    let byte = |number: usize| u8::try_from(number).expect("some hundred neighbours");
    SocketAddrV4::new(Ipv4Addr::new(NETWORK, byte(number % 250 + 1), byte(number / 250 + 1), 1), port).into()
}

async fn answer_all(listener: TcpListener, here: Arc<Here>) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    loop {
        let (mut stream, _) = listener.accept().await.expect("the listener stays");
        let here = Arc::clone(&here);
        tokio::spawn(async move {
            let mut theirs = [0; Handshake::BYTES];
            stream.read_exact(&mut theirs).await?;
            let theirs = Handshake::decode(&theirs).map_err(io::Error::other)?;
            converse(stream, Role::Answerer(theirs), &here).await
        });
    }
}

async fn call(from: SocketAddr, daemon: SocketAddr, here: Arc<Here>) {
    let calling = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.ip(), 0))?;
        converse(socket.connect(daemon).await?, Role::Caller, &here).await
    };
    // It ends with the daemon; one that has never begun is missed by who waits for neighbours.
    drop(calling.await);
}

/// Speaks until either side has enough. It has nothing, and tells of others.
async fn converse(mut stream: TcpStream, role: Role, here: &Here) -> io::Result<()> {
    let (own, turn) = (stream.local_addr()?, here.met.fetch_add(1, Ordering::Relaxed));
    let listen_port = here.addresses.first().map_or(0, SocketAddr::port);
    let options = ConversationOptions { peer_id: peer_id(own), listen_port, your_ip: None };
    let mut talk = Conversation::new(here.club, role, options, Instant::now()).map_err(io::Error::other)?;
    let others = here.addresses.iter().cycle().skip(turn * TOLD % here.addresses.len()).take(TOLD);
    others.filter(|other| other.ip() != own.ip()).for_each(|other| talk.tell_added(*other));
    let mut buffer = vec![0; 16 * 1024];
    loop {
        while let Some(event) = talk.poll_event() {
            if let Event::Asked { number, .. } | Event::AskedRecent { number, .. } | Event::AskedCall { number, .. } =
                event
            {
                talk.refuse(number, Refusal::NotHere, Instant::now());
            }
        }
        while let Some(bytes) = talk.poll_transmit() {
            stream.write_all(&bytes).await?;
        }
        // The conversation's own deadline.
        let timeout = talk.poll_timeout().map(|timeout| tokio::time::sleep_until(timeout.into()));
        let timeout = OptionFuture::from(timeout);
        let outcome = tokio::select! {
            read = stream.read(&mut buffer) => match read? {
                0 => return Ok(()),
                length => talk.handle_bytes(&buffer[..length], Instant::now()),
            },
            Some(()) = timeout => talk.handle_timeout(Instant::now()),
        };
        outcome.map_err(io::Error::other)?;
    }
}

fn peer_id(own: SocketAddr) -> PeerId {
    let mut random = [0; 12];
    random[..].copy_from_slice(&InfoHash::of(own.ip().to_string().as_bytes()).as_bytes()[..12]);
    PeerId::ours(random)
}
