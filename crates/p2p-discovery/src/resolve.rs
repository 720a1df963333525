//! Host names to addresses, in bounded time and with a bounded number of threads, and still when name servers are gone.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Look-ups under way at once. Each holds a thread of the runtime, for half a minute where name servers are dead.
const MAX_LOOKUPS: usize = 8;
/// How long one look-up is waited for.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// For this long an answer is not asked for again.
const FRESH: Duration = Duration::from_mins(1);
/// Names remembered, and addresses of one name that are used.
const MAX_NAMES: usize = 256;
const MAX_ADDRESSES: usize = 8;

/// Looks names up, and remembers the last good answer.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    permits: Arc<Semaphore>,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

#[derive(Debug, Clone)]
struct Known {
    addresses: Vec<IpAddr>,
    since: Instant,
}

/// Why a name has no address now, and had none before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The name servers say so, or do not answer.
    #[error("{host} has no address")]
    NoAddress { host: String, source: io::Error },
    /// Name servers are slow, or too many names are asked for.
    #[error("{host} was not looked up in time")]
    TooSlow { host: String },
}

impl Default for Resolver {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_LOOKUPS)), known: Arc::default() }
    }
}

impl Resolver {
    /// The addresses of `host`, a name or an address; the last good ones where there are no new ones.
    ///
    /// # Errors
    ///
    /// Why there never was one.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let with_port = |addresses: Vec<IpAddr>| addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(with_port(vec![address]));
        }
        let known = self.known(host);
        if let Some(known) = known.as_ref().filter(|known| known.since.elapsed() < FRESH) {
            return Ok(with_port(known.addresses.clone()));
        }
        match (self.look_up(host).await, known) {
            (Ok(addresses), _) => Ok(with_port(addresses)),
            (Err(error), Some(known)) => {
                tracing::debug!(host, error = %error, "using the last good address");
                Ok(with_port(known.addresses))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The last good addresses, without a look-up.
    pub(crate) fn last_good(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let literal = host.trim_matches(['[', ']']).parse().ok().map(|address| vec![address]);
        let addresses = literal.or_else(|| self.known(host).map(|known| known.addresses));
        addresses.unwrap_or_default().into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
    }

    fn known(&self, host: &str) -> Option<Known> {
        self.known.lock().expect("no panic while names are locked").get(host).cloned()
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let timely = tokio::time::timeout(LOOKUP_TIMEOUT, async {
            let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
            let (resolver, name) = (self.clone(), host.to_owned());
            // A task of its own: when it is too slow for us its answer may still serve the next one, and its permit
            // must stay taken as long as its thread is.
            let look_up = tokio::spawn(async move {
                let addresses = tokio::net::lookup_host((name.as_str(), 0)).await;
                drop(permit);
                let mut addresses: Vec<IpAddr> = addresses?.map(|address| address.ip().to_canonical()).collect();
                addresses.dedup();
                addresses.truncate(MAX_ADDRESSES);
                if addresses.is_empty() {
                    return Err(io::Error::from(io::ErrorKind::NotFound));
                }
                resolver.remember(name, addresses.clone());
                Ok(addresses)
            });
            look_up.await.map_err(io::Error::other)?
        });
        match timely.await {
            Ok(result) => result.map_err(|source| ResolveError::NoAddress { host: host.to_owned(), source }),
            Err(_) => Err(ResolveError::TooSlow { host: host.to_owned() }),
        }
    }

    fn remember(&self, host: String, addresses: Vec<IpAddr>) {
        let mut known = self.known.lock().expect("no panic while names are locked");
        if known.len() >= MAX_NAMES
            && let Some(oldest) = known.iter().min_by_key(|(_, known)| known.since).map(|(host, _)| host.clone())
        {
            known.remove(&oldest);
        }
        known.insert(host, Known { addresses, since: Instant::now() });
    }
}

/// Host and port of `host:port`, where the host may be an IPv6 address in brackets.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_whole = !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    let port = port.parse().ok().filter(|port| *port != 0)?;
    is_whole.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_split_at_the_last_colon() {
        assert_eq!(split_host_port("a.example:1"), Some(("a.example", 1)));
        assert_eq!(split_host_port("[::1]:65535"), Some(("[::1]", 65535)));
        for text in ["", "a", ":1", "a:", "a:0", "a:65536", "::1:1", "a:-1"] {
            assert_eq!(split_host_port(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn addresses_need_no_look_up_and_names_are_remembered() {
        let resolver = Resolver::default();
        let address = resolver.resolve("[::1]", 5).await.expect("an address");
        assert_eq!(address, ["[::1]:5".parse().expect("an address")]);
        assert!(resolver.last_good("localhost", 5).is_empty());
        let addresses = resolver.resolve("localhost", 5).await.expect("every machine has it");
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(resolver.last_good("localhost", 5), addresses);
    }

    #[tokio::test]
    async fn a_name_that_is_gone_keeps_its_last_good_address() {
        let resolver = Resolver::default();
        resolver.resolve("gone.invalid", 5).await.expect_err("no such name");
        let since = Instant::now().checked_sub(2 * FRESH).expect("the machine runs for longer");
        let known = Known { addresses: vec![IpAddr::from([10, 0, 0, 1])], since };
        resolver.known.lock().expect("no panic").insert("gone.invalid".to_owned(), known);
        let addresses = resolver.resolve("gone.invalid", 5).await.expect("the last good one");
        assert_eq!(addresses, ["10.0.0.1:5".parse().expect("an address")]);
    }
}
