//! From host names to addresses, also while the name servers are away.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Names whose last good addresses are kept: mirrors of a mirrorlist and where they redirect to.
const NAMES: usize = 512;
/// How long a name server may take before we use what it said the last time. Where it is down, asking takes 10 s and more.
const PATIENCE: Duration = Duration::from_secs(1);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Asks the system for the addresses of a name.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// The addresses; the port means nothing.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
    /// Whether an address is in the Internet.
    fn is_global(&self, address: IpAddr) -> bool;
}

/// The resolver of the C library.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }

    fn is_global(&self, address: IpAddr) -> bool {
        p2p_wire::is_global(address)
    }
}

/// The name has addresses, but none that we follow a redirect to.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address in the Internet")]
pub(crate) struct NotGlobal;

/// Which addresses a client may dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The user named the host.
    Anywhere,
    /// A host in the Internet named it.
    Internet,
}

/// Resolves names for one client; clones share what they learned.
#[derive(Clone)]
pub(crate) struct Resolver {
    lookup: Arc<dyn Lookup>,
    last_good: Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
    reach: Reach,
}

impl Resolver {
    pub(crate) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, last_good: Arc::default(), reach: Reach::Anywhere }
    }

    /// The same resolver for a client that follows strangers' redirects.
    pub(crate) fn for_internet(&self) -> Self {
        Self { reach: Reach::Internet, ..self.clone() }
    }

    async fn addresses(self, name: String) -> Result<Addrs, Cause> {
        let known = self.known(&name);
        let asking = self.lookup.lookup(name.clone());
        let answer = match &known {
            Some(_) => {
                tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            None => asking.await,
        };
        let addresses = match (answer, known) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                self.keep(name, &addresses);
                addresses
            }
            (Err(error), Some(known)) => {
                tracing::warn!(mirror = name, %error, "name server is away, using the last good addresses");
                known
            }
            (Err(error), None) => return Err(error.into()),
            (Ok(_), known) => known.ok_or(io::Error::from(io::ErrorKind::NotFound))?,
        };
        let allowed = |address: &SocketAddr| self.reach == Reach::Anywhere || self.lookup.is_global(address.ip());
        let addresses: Vec<_> = addresses.into_iter().filter(allowed).collect();
        if addresses.is_empty() { Err(NotGlobal.into()) } else { Ok(Box::new(addresses.into_iter())) }
    }

    fn known(&self, name: &str) -> Option<Vec<SocketAddr>> {
        self.last_good.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep(&self, name: String, addresses: &[SocketAddr]) {
        let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        if last_good.len() < NAMES || last_good.contains_key(&name) {
            last_good.insert(name, addresses.to_vec());
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(self.clone().addresses(name.as_str().to_owned()))
    }
}
