//! The HTTP client: one for all mirrors.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use p2p_wire::{Grant, TokenBucket};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Client, Response};
use url::{Host, Url};

use crate::answer::judge;
use crate::connections::{Connection, Connections, Urgency};
use crate::download::Download;
use crate::fault::MirrorFault;
use crate::pace::Pace;
use crate::resolver::{Lookup, Reach, Resolver, SystemLookup};

/// What pacman's curl follows (`CURLOPT_MAXREDIRS`).
const MAX_REDIRECTS: usize = 10;

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// Connections to one mirror at most; more requests wait for one to become free. The last one, where there are
    /// several, is not for [`Mirrors::part`].
    pub connections: usize,
    /// How long a request waits for one of these connections; no other time-out counts meanwhile.
    pub queue_timeout: Duration,
    /// For resolving the name, connecting and TLS.
    pub connect_timeout: Duration,
    /// For the head of an answer, and for each KiB of its body.
    pub stall_timeout: Duration,
    /// What we call ourselves.
    pub user_agent: String,
    /// Bytes a second from all mirrors together; none for no limit.
    pub download: Option<NonZeroU64>,
}

impl Default for MirrorOptions {
    /// pacman's own time-outs (10 s each), six connections a mirror, no limit.
    fn default() -> Self {
        Self {
            connections: 6,
            queue_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(10),
            user_agent: concat!("pacman2pacman/", env!("CARGO_PKG_VERSION")).to_owned(),
            download: None,
        }
    }
}

/// The HTTP client could not be set up: no usable TLS roots, or an unusable user agent.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client can't be set up")]
pub struct MirrorsError(#[source] reqwest::Error);

/// The head of a mirror's answer, with the connection that its body comes over.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) response: Response,
    pub(crate) connection: Connection,
    /// How long it took to come, redirects included.
    pub(crate) waited: Duration,
}

/// Asks mirrors for files. Clones share their connections.
#[derive(Clone)]
pub struct Mirrors(Arc<Shared>);

struct Shared {
    /// For what the user configured, and what hosts outside the Internet redirect to.
    anywhere: Client,
    /// For what hosts in the Internet redirect to: its connections lead into the Internet only.
    internet: Client,
    lookup: Arc<dyn Lookup>,
    options: MirrorOptions,
    connections: Connections,
    throttle: Arc<Throttle>,
}

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Mirrors").field(&self.0.options).finish()
    }
}

impl Mirrors {
    /// A client without connections yet.
    ///
    /// # Errors
    ///
    /// See [`MirrorsError`].
    pub fn new(options: MirrorOptions) -> Result<Self, MirrorsError> {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    pub(crate) fn with_lookup(options: MirrorOptions, lookup: Arc<dyn Lookup>) -> Result<Self, MirrorsError> {
        let resolver = Resolver::new(Arc::clone(&lookup));
        let internet = client(&options, resolver.for_internet())?;
        let anywhere = client(&options, resolver)?;
        let throttle = Arc::new(Throttle::new(options.download));
        let connections = Connections::new(options.connections, options.queue_timeout);
        Ok(Self(Arc::new(Shared { anywhere, internet, lookup, options, connections, throttle })))
    }

    /// Whether a request to the URL's mirror, other than [`Self::part`], would not have to wait for one of our connections
    /// to it now.
    #[must_use]
    pub fn has_room(&self, url: &Url) -> bool {
        self.0.connections.has_room(url)
    }

    /// Asks for the file from byte `from` to its end. Where [`Download::begins_at`] is 0 instead, the mirror can't resume.
    ///
    /// # Errors
    ///
    /// What the mirror did instead of sending it; [`MirrorFault::Crowded`] where it was not asked.
    pub async fn get(&self, url: &Url, from: u64) -> Result<Download, MirrorFault> {
        self.request(url, from, None, Urgency::Urgent).await
    }

    /// Asks for a part of a file of `total` bytes, as a stream that ends exactly at `range.end`. It leaves one of the
    /// mirror's connections to the requests of other kinds.
    ///
    /// # Errors
    ///
    /// What the mirror did instead; [`MirrorFault::NoRanges`] where it sends the whole file, [`MirrorFault::Crowded`] where
    /// it was not asked.
    pub async fn part(&self, url: &Url, range: Range<u64>, total: u64) -> Result<Download, MirrorFault> {
        self.request_part(url, range, total, Urgency::Bulk).await
    }

    async fn request_part(
        &self,
        url: &Url,
        range: Range<u64>,
        total: u64,
        urgency: Urgency,
    ) -> Result<Download, MirrorFault> {
        // Some servers answer the range that is everything with 200, which is as good.
        let all = range == (0..total);
        let until = if all { None } else { Some(range.end) };
        let mut download = self.request(url, range.start, until, urgency).await?;
        if !all && (download.begins_at() != range.start || download.ends_at() != Some(range.end)) {
            return Err(MirrorFault::NoRanges);
        }
        download.expect_total(total)?;
        Ok(download)
    }

    /// Asks for a small part of a file of `total` bytes, and waits for all of it.
    ///
    /// # Errors
    ///
    /// As [`Self::part`] and [`Download::chunk`].
    pub async fn range(&self, url: &Url, range: Range<u64>, total: u64) -> Result<Bytes, MirrorFault> {
        let mut download = self.request_part(url, range, total, Urgency::Urgent).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    async fn request(
        &self,
        url: &Url,
        from: u64,
        until: Option<u64>,
        urgency: Urgency,
    ) -> Result<Download, MirrorFault> {
        let range = match until {
            Some(end) => Some(format!("bytes={from}-{}", end.saturating_sub(1))),
            None if from > 0 => Some(format!("bytes={from}-")),
            None => None,
        };
        let range = range.map(|range| HeaderValue::try_from(range).expect("digits make a header value"));
        let headers = range.into_iter().map(|range| (RANGE, range)).collect();
        let head = self.send(url, &headers, urgency).await?;
        self.body(head, from, until)
    }

    /// Asks for the URL with these headers, as soon as one of the mirror's connections is free.
    pub(crate) async fn send(&self, url: &Url, headers: &HeaderMap, urgency: Urgency) -> Result<Head, MirrorFault> {
        let connection = self.0.connections.place(url, urgency).await?;
        let asked = Instant::now();
        let response = self.follow(url.clone(), headers).await?;
        Ok(Head { response, connection, waited: asked.elapsed() })
    }

    /// The body that a head announces: the bytes from `from` to `until`, or to the end.
    pub(crate) fn body(&self, head: Head, from: u64, until: Option<u64>) -> Result<Download, MirrorFault> {
        let (status, headers) = (head.response.status().as_u16(), head.response.headers());
        let promise = judge(status, headers, from, until, SystemTime::now())?;
        let pace = Pace::new(self.0.options.stall_timeout);
        Ok(Download::new(head, promise, pace, Arc::clone(&self.0.throttle)))
    }

    /// Asks, and follows redirects. Once a host in the Internet has redirected us, we stay in the Internet.
    async fn follow(&self, mut url: Url, headers: &HeaderMap) -> Result<Response, MirrorFault> {
        let mut reach = Reach::Anywhere;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url, reach, headers).await?;
            let Some(next) = redirect(&url, &response)? else {
                return Ok(response);
            };
            if response.remote_addr().is_some_and(|peer| self.0.lookup.is_global(peer.ip())) {
                reach = Reach::Internet;
            }
            if reach == Reach::Internet && self.is_elsewhere(&next) {
                return Err(MirrorFault::Redirect("to a private address"));
            }
            tracing::debug!(mirror = url.host_str(), next = next.host_str(), "mirror redirects");
            url = next;
        }
        Err(MirrorFault::Redirect("too often"))
    }

    async fn ask(&self, url: &Url, reach: Reach, headers: &HeaderMap) -> Result<Response, MirrorFault> {
        let client = if reach == Reach::Internet { &self.0.internet } else { &self.0.anywhere };
        let request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity").headers(headers.clone());
        let patience = self.0.options.connect_timeout + self.0.options.stall_timeout;
        let answer = tokio::time::timeout(patience, request.send()).await;
        answer.map_err(|_| MirrorFault::Stalled)?.map_err(MirrorFault::from_client)
    }

    /// Whether the URL names an address outside the Internet. Names are judged when they are resolved.
    fn is_elsewhere(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => !self.0.lookup.is_global(address.into()),
            Some(Host::Ipv6(address)) => !self.0.lookup.is_global(address.into()),
            Some(Host::Domain(_)) | None => false,
        }
    }
}

fn client(options: &MirrorOptions, resolver: Resolver) -> Result<Client, MirrorsError> {
    let builder = Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(options.connections)
        .dns_resolver(resolver);
    builder.build().map_err(MirrorsError)
}

/// Where the answer redirects to.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, MirrorFault> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.ok_or(MirrorFault::Redirect("to nowhere"))?;
    let mut next = from.join(location).map_err(|_| MirrorFault::Redirect("to nowhere"))?;
    match (from.scheme(), next.scheme()) {
        ("http", "http" | "https") | ("https", "https") => {}
        ("https", "http") => return Err(MirrorFault::Redirect("from HTTPS to HTTP")),
        _ => return Err(MirrorFault::Redirect("to another protocol")),
    }
    // As with curl, a password is for the host that it was configured for.
    if next.origin() == from.origin() && next.username().is_empty() {
        let kept = next.set_username(from.username()).and_then(|()| next.set_password(from.password()));
        kept.expect("an HTTP URL can have a user name");
    }
    Ok(Some(next))
}

/// The rate limit over all mirrors.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<Debt>);

#[derive(Debug)]
struct Debt {
    bucket: TokenBucket,
    bytes: usize,
}

impl Throttle {
    fn new(rate: Option<NonZeroU64>) -> Self {
        Self(Mutex::new(Debt { bucket: TokenBucket::new(rate, Instant::now()), bytes: 0 }))
    }

    /// Notes bytes that have arrived: they can't be unread, so they are paid before the next ones.
    pub(crate) fn count(&self, bytes: usize) {
        let mut debt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if debt.bucket.rate().is_some() {
            debt.bytes += bytes;
        }
    }

    /// Waits until what has arrived is paid.
    pub(crate) async fn pass(&self) {
        while let Some(wait) = self.pay(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    fn pay(&self, now: Instant) -> Option<Duration> {
        let mut debt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while debt.bytes > 0 {
            let wanted = debt.bytes;
            match debt.bucket.take(wanted, now) {
                Grant::Granted(bytes) => debt.bytes -= bytes,
                Grant::Wait(wait) => return Some(wait),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
