//! HTTP announces: small answers, few redirects, and none from the Internet into somebody's own network.

use std::net::IpAddr;
use std::time::Duration;

use p2p_wire::{Announce, AnnounceAnswer, HttpAnnounceFault, http_announce_query, is_global, read_http_announce};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::{Host, Url};

use super::{Tracker, TrackerFault, Trust};
use crate::resolve::Resolver;

/// The whole of one announce, redirects and all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer: 200 listed peers take 15,000.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Redirects of one announce.
const MAX_REDIRECTS: usize = 3;

/// The HTTP clients could not be set up: the machine's certificates, most likely.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for trackers cannot be set up")]
pub struct HttpSetupError(#[source] reqwest::Error);

/// Announces by HTTP.
#[derive(Debug)]
pub(super) struct HttpTrackers {
    anywhere: Client,
    global: Client,
}

impl HttpTrackers {
    pub(super) fn new(resolver: &Resolver, user_agent: &str) -> Result<Self, HttpSetupError> {
        let client = |reach| {
            // A tracker learns our address from the connection, so a proxy would announce itself.
            let client = Client::builder().no_proxy().redirect(Policy::none()).user_agent(user_agent);
            // No connection is kept: opentracker closes each one, without a word, just when it would be used again.
            let client = client.timeout(TIMEOUT).pool_max_idle_per_host(0);
            client.dns_resolver(Names { resolver: resolver.clone(), reach }).build().map_err(HttpSetupError)
        };
        Ok(Self { anywhere: client(Reach::Anywhere)?, global: client(Reach::Global)? })
    }

    pub(super) async fn announce(
        &self,
        tracker: &Tracker,
        announce: &Announce,
    ) -> Result<AnnounceAnswer, TrackerFault> {
        let reach = match tracker.trust {
            Trust::Configured => Reach::Anywhere,
            Trust::Stranger => Reach::Global,
        };
        let query = http_announce_query(announce);
        let mut url = tracker.url.clone();
        let whole_query = url.query().map_or_else(|| query.clone(), |own| format!("{own}&{query}"));
        url.set_query(Some(&whole_query));
        let body = tokio::time::timeout(TIMEOUT, self.body(url, reach)).await.map_err(|_| TrackerFault::Silent)??;
        read_http_announce(&body).map_err(|fault| match fault {
            HttpAnnounceFault::Refused(reason) => TrackerFault::Refused(reason),
            fault @ (HttpAnnounceFault::Bencode(_) | HttpAnnounceFault::NoDictionary) => TrackerFault::Answer(fault),
        })
    }

    async fn body(&self, mut url: Url, mut reach: Reach) -> Result<Vec<u8>, TrackerFault> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get(&url, reach).await?;
            if !response.status().is_redirection() {
                return read(response).await;
            }
            // Who lives on the Internet sends us to the Internet only.
            if response.remote_addr().is_none_or(|address| is_global(address.ip())) {
                reach = Reach::Global;
            }
            url = target(&url, &response).ok_or(TrackerFault::Redirect)?;
        }
        Err(TrackerFault::Redirect)
    }

    async fn get(&self, url: &Url, reach: Reach) -> Result<Response, TrackerFault> {
        // The client's resolver sees names only.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if literal.is_some_and(|address| !reach.covers(address)) {
            return Err(TrackerFault::NotGlobal);
        }
        let client = match reach {
            Reach::Anywhere => &self.anywhere,
            Reach::Global => &self.global,
        };
        // The URL may hold a key of the user's: it is in no message.
        client.get(url.clone()).send().await.map_err(|error| TrackerFault::Http(error.without_url()))
    }
}

/// Which addresses a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Anywhere,
    Global,
}

impl Reach {
    fn covers(self, address: IpAddr) -> bool {
        self == Self::Anywhere || is_global(address)
    }
}

#[derive(Debug)]
struct Names {
    resolver: Resolver,
    reach: Reach,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, reach) = (self.resolver.clone(), self.reach);
        Box::pin(async move {
            let mut addresses = resolver.resolve(name.as_str(), 0).await?;
            addresses.retain(|address| reach.covers(address.ip()));
            if addresses.is_empty() {
                return Err(TrackerFault::NotGlobal.into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

fn target(url: &Url, response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = url.join(location).ok()?;
    // From https only to https: nobody on the way may learn what is announced.
    let is_allowed = target.scheme() == "https" || (target.scheme() == "http" && url.scheme() == "http");
    is_allowed.then_some(target)
}

async fn read(mut response: Response) -> Result<Vec<u8>, TrackerFault> {
    if !response.status().is_success() {
        return Err(TrackerFault::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| TrackerFault::Http(error.without_url()))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(TrackerFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
