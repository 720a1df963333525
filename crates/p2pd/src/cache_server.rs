//! The HTTP front end for pacman's own downloader: `CacheServer`, or a first `Server`.
//!
//! `http://HOST:PORT/<repository>/os/<architecture>/<file>` is decided within five seconds: the complete, verified file; the
//! growing one, as long as nobody but mirrors writes to it; a redirect to a mirror; or 404. pacman asks for a package's
//! signature where it got the package, and nowhere else: so we have the signature before we send the package.

mod asked;
mod awaited;
mod content;
mod decision;
mod guests;
mod host_names;
mod inquiry;
mod own_address;
mod patient;
mod reply;
mod signatures;
mod validators;
mod wanted;

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{HOST, ORIGIN, USER_AGENT};
use axum::http::uri::Authority;
use axum::http::{Method, Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::services::Services;
use asked::Asked;
use guests::{Guests, Visit};
use host_names::HostNames;
use inquiry::Inquiry;
pub(crate) use own_address::OwnAddress;
use patient::Patient;
use reply::refuse;
use signatures::Signatures;

/// How long a client may take to send a request's head, and how long it may stay silent between two requests.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// A client that takes no byte for so long is cut off.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// The most that hyper buffers for a connection, each way.
const BUFFER_BYTES: usize = 64 * 1024;
/// Header fields of a request.
const MAX_FIELDS: usize = 64;
/// How long we accept nobody when the system has no room for another connection.
const BREATH: Duration = Duration::from_millis(200);

/// What all connections share.
#[derive(Debug)]
struct CacheServer {
    services: Arc<Services>,
    names: HostNames,
    signatures: Signatures,
}

/// Opens the port of `cache_server.listen`; every IPv6 address stands for every IPv4 address where there is no IPv6.
pub(crate) async fn bind(listen: Option<SocketAddr>) -> std::io::Result<Option<TcpListener>> {
    let Some(listen) = listen else { return Ok(None) };
    let bound = match TcpListener::bind(listen).await {
        Err(_) if listen.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        bound => bound,
    };
    bound.map(Some)
}

/// Serves until the daemon stops, or the handle is dropped.
pub(crate) fn start(services: &Arc<Services>, listener: TcpListener) -> AbortOnDropHandle<()> {
    if let Ok(bound) = listener.local_addr() {
        services.knowledge.set_cache_server(bound);
        tracing::info!(listen = %bound, "the cache server is ready");
    }
    AbortOnDropHandle::new(tokio::spawn(serve(Arc::clone(services), listener)))
}

async fn serve(services: Arc<Services>, listener: TcpListener) {
    let (names, signatures) = (HostNames::of_this_machine(), Signatures::default());
    let stopping = services.stopping.clone();
    let server = Arc::new(CacheServer { services, names, signatures });
    let guests = Guests::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                if let Some(visit) = guests.enter(address.ip()) {
                    tokio::spawn(Arc::clone(&server).receive(stream, address, visit));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the cache server cannot accept a connection");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

impl CacheServer {
    async fn receive(self: Arc<Self>, stream: TcpStream, address: SocketAddr, visit: Visit) {
        // A small answer must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (visit, stopping) = (Arc::new(visit), self.services.stopping.clone());
        let service = service_fn(move |request| {
            let (server, visit) = (Arc::clone(&self), Arc::clone(&visit));
            async move { Ok::<_, Infallible>(server.answer(visit, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_headers(MAX_FIELDS)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(Patient::new(stream, WRITE_WITHIN)), service);
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(peer = %address, error = %p2p_api::Report(&error), "a connection breaks");
            },
            // pacman goes on with its next server where ours breaks off.
            () = stopping.cancelled() => {}
        }
    }

    async fn answer<B>(self: Arc<Self>, visit: Arc<Visit>, request: Request<B>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let started = std::time::Instant::now();
        let response = match self.check(&request) {
            Ok(asked) => Inquiry::new(self, visit, asked, request.headers().clone()).answer().await,
            Err(refusal) => *refusal,
        };
        let (status, elapsed_ms) = (response.status().as_u16(), started.elapsed().as_millis());
        tracing::debug!(path, status, elapsed_ms, "the cache server answers");
        response
    }

    /// What is asked for, where a pacman asks.
    fn check<B>(&self, request: &Request<B>) -> Result<Asked, Box<Response<Body>>> {
        let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Box::new(refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD")));
        }
        let hosts = [request.uri().authority().map(Authority::as_str), text(HOST.as_str())];
        if !hosts.into_iter().flatten().all(|host| self.names.allow(host)) {
            return Err(Box::new(refuse(StatusCode::MISDIRECTED_REQUEST, "this is another machine")));
        }
        let is_page = text(ORIGIN.as_str()).is_some() || text("sec-fetch-site").is_some_and(|site| site != "none");
        if is_page {
            return Err(Box::new(refuse(StatusCode::FORBIDDEN, "web pages have no business here")));
        }
        // Whoever asks us on behalf of a fetch of a daemon, our own above all, must look elsewhere.
        let is_daemon = text(USER_AGENT.as_str()).is_some_and(|agent| agent.starts_with("pacman2pacman/"));
        let asked = Asked::parse(request.uri().path()).filter(|_| !is_daemon);
        asked.ok_or_else(|| Box::new(refuse(StatusCode::NOT_FOUND, "there is no such file here")))
    }
}
