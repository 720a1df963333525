//! A SOCKS 5 proxy on loopback for the engine, so that what it dials by itself passes through the gate as well.
//!
//! The engine learns addresses by PEX, from strangers. It is told at once that the connection stands, because only its
//! handshake says which info hash it is for; then the usual rules decide whether to dial.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use p2p_wire::Handshake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::clock;
use crate::doorman::Destination;
use crate::filter::canonical;
use crate::gatehouse::Gatehouse;
use crate::handshaking::{HandshakeFault, read_handshake};
use crate::options::Secret;
use crate::outgoing::Dialling;
use crate::socks::{
    AddressKind, METHOD_PASSWORD, NO_METHOD, SUCCEEDED, UNSUPPORTED, UNWELCOME, WELCOME, is_same_secret,
    offers_password,
};
use crate::transport::Socket;

/// The user name; only the password is secret.
const USER: &str = "engine";

/// Clients whose request has not arrived: the engine dials no more peers at a time.
const MAX_CLIENTS: usize = 128;

/// Where the engine's proxy is.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Its loopback address.
    pub address: SocketAddr,
    secret: Secret,
}

impl ProxyAddress {
    /// The address, user name and password as librqbit's `proxy_url` takes them. Not for logs.
    pub fn url(&self) -> String {
        format!("socks5://{USER}:{}@{}", self.secret.as_str(), self.address)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProxyAddress({})", self.address)
    }
}

/// The proxy's listener.
#[derive(Debug)]
pub(crate) struct Proxy {
    listener: TcpListener,
    address: ProxyAddress,
}

impl Proxy {
    pub(crate) async fn bind(secret: Secret) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = ProxyAddress { address: listener.local_addr()?, secret };
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> ProxyAddress {
        self.address.clone()
    }

    /// Accepts until the gate stops.
    pub(crate) async fn accept(self, house: Arc<Gatehouse>) {
        let Self { listener, address } = self;
        let clients = Arc::new(Semaphore::new(MAX_CLIENTS));
        let accept = async {
            loop {
                let Ok(client) = Arc::clone(&clients).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (host, secret) = (Arc::clone(&house), address.secret.clone());
                        house.tasks.spawn(async move {
                            let asked = hear(&host, Socket::tcp(stream), &secret).await;
                            drop(client);
                            if let Some(asked) = asked {
                                forward(&host, asked).await;
                            }
                        });
                    }
                    Err(error) => {
                        warn!(error = &error as &dyn Error, "the engine cannot dial for a moment");
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    }
                }
            }
        };
        house.stop.run_until_cancelled(accept).await;
    }
}

/// What the engine asks for.
struct Asked {
    socket: Socket,
    target: SocketAddr,
    handshake: Handshake,
}

/// Why a client is not served. Only the engine has the password, so this is a fault of this program or an intruder's.
#[derive(Debug, thiserror::Error)]
enum ClientFault {
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error("the client knows no password")]
    Stranger,
    #[error("the client asks for something else than a TCP connection to an IP address")]
    Unsupported,
    #[error("the request did not come in time")]
    Late,
    #[error("the connection is not for BitTorrent")]
    Handshake(#[source] HandshakeFault),
}

async fn hear(house: &Gatehouse, socket: Socket, secret: &Secret) -> Option<Asked> {
    let limit = house.limits.handshake_timeout;
    let hearing = async { timeout(limit, negotiate(socket, secret, house)).await.unwrap_or(Err(ClientFault::Late)) };
    match house.stop.run_until_cancelled(hearing).await? {
        Ok(asked) => Some(asked),
        Err(error) => {
            debug!(error = &error as &dyn Error, "the engine's dial was not understood");
            None
        }
    }
}

async fn negotiate(mut socket: Socket, secret: &Secret, house: &Gatehouse) -> Result<Asked, ClientFault> {
    if !authenticate(&mut socket, secret).await.map_err(ClientFault::Io)? {
        return Err(ClientFault::Stranger);
    }
    let target = read_target(&mut socket).await.map_err(ClientFault::Io)?.ok_or(ClientFault::Unsupported)?;
    socket.write_all(&SUCCEEDED).await.map_err(ClientFault::Io)?;
    let handshake =
        read_handshake(&mut socket, house.limits.handshake_timeout).await.map_err(ClientFault::Handshake)?;
    Ok(Asked { socket, target: canonical(target), handshake })
}

/// The method negotiation (RFC 1928, section 3) and the password (RFC 1929).
async fn authenticate(socket: &mut Socket, secret: &Secret) -> io::Result<bool> {
    let version = socket.read_u8().await?;
    let methods = read_counted(socket).await?;
    if version != 5 || !offers_password(&methods) {
        socket.write_all(&NO_METHOD).await?;
        return Ok(false);
    }
    socket.write_all(&METHOD_PASSWORD).await?;
    let version = socket.read_u8().await?;
    let (user, password) = (read_counted(socket).await?, read_counted(socket).await?);
    let is_engine = version == 1 && user == USER.as_bytes() && is_same_secret(&password, secret.as_str().as_bytes());
    socket.write_all(if is_engine { &WELCOME } else { &UNWELCOME }).await?;
    Ok(is_engine)
}

/// The request (RFC 1928, section 4).
async fn read_target(socket: &mut Socket) -> io::Result<Option<SocketAddr>> {
    let mut head = [0; 4];
    socket.read_exact(&mut head).await?;
    let Some(kind) = AddressKind::of_request(head) else {
        socket.write_all(&UNSUPPORTED).await?;
        return Ok(None);
    };
    let mut bytes = vec![0; kind.length()];
    socket.read_exact(&mut bytes).await?;
    Ok(kind.address(&bytes))
}

/// A byte that says how many follow, and those.
async fn read_counted(socket: &mut Socket) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; socket.read_u8().await?.into()];
    socket.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Dials for the engine; closing its connection says that there is no such peer.
async fn forward(house: &Arc<Gatehouse>, asked: Asked) {
    let Asked { mut socket, target, handshake } = asked;
    let info_hash = handshake.info_hash;
    if !matches!(house.doorman.destination(info_hash), Destination::Engine { .. }) {
        return;
    }
    let begun = house.book().begin_engine_dial(info_hash, target, clock::now());
    let (dial, hang_up) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            debug!(peer = %target, %info_hash, error = &error as &dyn Error, "the engine may not dial");
            return;
        }
    };
    let Ok(admitted) = Dialling::for_engine(house, dial, hang_up).finish(&handshake).await else { return };
    if socket.write_all(&admitted.handshake().encode()).await.is_ok() {
        admitted.attend_engine(socket).await;
    }
}
