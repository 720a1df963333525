//! One announce to one tracker, by UDP (BEP 15) or HTTP (BEP 3).

mod http;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use p2p_wire::{Announce, AnnounceAnswer, is_global};
use url::Url;

pub use self::http::HttpSetupError;
use self::http::HttpTrackers;
use self::udp::UdpTrackers;
use crate::resolve::{ResolveError, Resolver};

/// The segments that a small HTTP request takes: opening, request, acknowledgement, end.
const HTTP_PACKETS: u32 = 4;

/// A tracker, and how far it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracker {
    /// `http`, `https` or `udp`.
    pub(crate) url: Url,
    pub(crate) trust: Trust,
}

/// Where a tracker's URL comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The user wrote it: it may be anywhere.
    Configured,
    /// A stranger's `.torrent` names it: it is asked at global addresses only.
    Stranger,
}

/// Why an announce brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackerFault {
    #[error("the tracker's URL has no host and port, or another scheme than http, https and udp")]
    UnfitUrl,
    #[error("the tracker's name is not known")]
    Unresolved(#[source] ResolveError),
    #[error("the tracker is not at a global address")]
    NotGlobal,
    #[error("the tracker cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("the tracker does not answer")]
    Silent,
    #[error("the tracker refuses: {0}")]
    Refused(String),
    #[error("the tracker's HTTP answer did not come through")]
    Http(#[source] reqwest::Error),
    #[error("the tracker answers with HTTP status {0}")]
    Status(u16),
    #[error("the tracker redirects too often, or to where it must not")]
    Redirect,
    #[error("the tracker's answer is too large")]
    TooLarge,
    #[error("the tracker's answer is not bencoded")]
    Answer(#[source] p2p_wire::HttpAnnounceFault),
}

/// Announces to trackers.
#[derive(Debug)]
pub(crate) struct Announcer {
    resolver: Resolver,
    udp: UdpTrackers,
    http: HttpTrackers,
}

impl Announcer {
    pub(crate) fn new(resolver: Resolver, user_agent: &str) -> Result<Self, HttpSetupError> {
        let http = HttpTrackers::new(&resolver, user_agent)?;
        Ok(Self { resolver, udp: UdpTrackers::default(), http })
    }

    /// Makes one announce; ends within ten seconds or so. Adds to `sent` the packets that it takes.
    pub(crate) async fn announce(
        &self,
        tracker: &Tracker,
        announce: &Announce,
        sent: &AtomicU32,
    ) -> Result<AnnounceAnswer, TrackerFault> {
        match tracker.url.scheme() {
            "udp" => {
                let addresses = self.addresses(tracker).await?;
                self.udp.announce(&addresses, announce, sent).await
            }
            "http" | "https" => {
                sent.fetch_add(HTTP_PACKETS, Ordering::Relaxed);
                self.http.announce(tracker, announce).await
            }
            _ => Err(TrackerFault::UnfitUrl),
        }
    }

    async fn addresses(&self, tracker: &Tracker) -> Result<Vec<SocketAddr>, TrackerFault> {
        let host = tracker.url.host_str().ok_or(TrackerFault::UnfitUrl)?;
        let port = tracker.url.port().filter(|port| *port != 0).ok_or(TrackerFault::UnfitUrl)?;
        let mut addresses = self.resolver.resolve(host, port).await.map_err(TrackerFault::Unresolved)?;
        if tracker.trust == Trust::Stranger {
            addresses.retain(|address| is_global(address.ip()));
        }
        if addresses.is_empty() { Err(TrackerFault::NotGlobal) } else { Ok(addresses) }
    }
}

/// An error and its causes in one line, for people.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
