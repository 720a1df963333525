//! The HTTP client: one for all mirrors.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use p2p_wire::{Grant, TokenBucket};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue, LOCATION, RANGE};
use reqwest::{Client, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Host, Url};

use crate::answer::judge;
use crate::download::Download;
use crate::fault::MirrorFault;
use crate::pace::Pace;
use crate::resolver::{Lookup, Reach, Resolver, SystemLookup};

/// What pacman's curl follows (`CURLOPT_MAXREDIRS`).
const MAX_REDIRECTS: usize = 10;

/// Mirrors whose connections are counted before idle ones are forgotten.
const MAX_COUNTED_MIRRORS: usize = 256;

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// Connections to one mirror at most; more requests wait for one to become free.
    pub connections: usize,
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
    connections: Mutex<HashMap<String, Arc<Semaphore>>>,
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
        let connections = Mutex::default();
        Ok(Self(Arc::new(Shared { anywhere, internet, lookup, options, connections, throttle })))
    }

    /// Asks for the file from byte `from` to its end. Where [`Download::begins_at`] is 0 instead, the mirror can't resume.
    ///
    /// # Errors
    ///
    /// What the mirror did instead of sending it.
    pub async fn get(&self, url: &Url, from: u64) -> Result<Download, MirrorFault> {
        self.request(url, from, None).await
    }

    /// Asks for a part of a file of `total` bytes, as a stream that ends exactly at `range.end`.
    ///
    /// # Errors
    ///
    /// What the mirror did instead; [`MirrorFault::NoRanges`] where it sends the whole file.
    pub async fn part(&self, url: &Url, range: Range<u64>, total: u64) -> Result<Download, MirrorFault> {
        // Some servers answer the range that is everything with 200, which is as good.
        let all = range == (0..total);
        let until = if all { None } else { Some(range.end) };
        let mut download = self.request(url, range.start, until).await?;
        if !all && (download.begins_at() != range.start || download.ends_at() != Some(range.end)) {
            return Err(MirrorFault::NoRanges);
        }
        download.expect_total(total)?;
        Ok(download)
    }

    /// Asks for a part of a file of `total` bytes, and waits for all of it.
    ///
    /// # Errors
    ///
    /// As [`Self::part`] and [`Download::chunk`].
    pub async fn range(&self, url: &Url, range: Range<u64>, total: u64) -> Result<Bytes, MirrorFault> {
        let mut download = self.part(url, range, total).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    async fn request(&self, url: &Url, from: u64, until: Option<u64>) -> Result<Download, MirrorFault> {
        let connection = self.connection(url).await;
        let range = match until {
            Some(end) => Some(format!("bytes={from}-{}", end.saturating_sub(1))),
            None if from > 0 => Some(format!("bytes={from}-")),
            None => None,
        };
        let range = range.map(|range| HeaderValue::try_from(range).expect("digits make a header value"));
        let response = self.follow(url.clone(), range.as_ref()).await?;
        let promise = judge(response.status().as_u16(), response.headers(), from, until, SystemTime::now())?;
        let pace = Pace::new(self.0.options.stall_timeout);
        Ok(Download::new(response, promise, pace, Arc::clone(&self.0.throttle), connection))
    }

    /// Asks, and follows redirects. Once a host in the Internet has redirected us, we stay in the Internet.
    async fn follow(&self, mut url: Url, range: Option<&HeaderValue>) -> Result<Response, MirrorFault> {
        let mut reach = Reach::Anywhere;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url, reach, range).await?;
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

    async fn ask(&self, url: &Url, reach: Reach, range: Option<&HeaderValue>) -> Result<Response, MirrorFault> {
        let client = if reach == Reach::Internet { &self.0.internet } else { &self.0.anywhere };
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
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

    async fn connection(&self, url: &Url) -> OwnedSemaphorePermit {
        let mirror = url.origin().ascii_serialization();
        let semaphore = {
            let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
            if connections.len() >= MAX_COUNTED_MIRRORS {
                connections.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.0.options.connections.max(1)));
            Arc::clone(connections.entry(mirror).or_insert_with(new))
        };
        semaphore.acquire_owned().await.expect("the semaphore is never closed")
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
