//! Has the router forward our port by `UPnP`, where the configuration wants it. A thread does it, and nothing waits for it.

mod renewal;
mod router;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use p2p_api::{MappingState, Report};
use p2p_wire::is_global;
use tokio::sync::oneshot;

use self::renewal::Renewal;
use self::router::{Router, RouterFault, own_address};
use crate::config::{Scope, Settings};

/// How long the end waits for the router to take the mapping back.
const FAREWELL: Duration = Duration::from_secs(2);

/// What became of `network.port_mapping`.
#[derive(Debug)]
pub(crate) struct PortMapping {
    said: Arc<Mutex<p2p_api::PortMapping>>,
    keeper: Mutex<Option<Keeper>>,
}

/// The thread's end, from outside.
#[derive(Debug)]
struct Keeper {
    stop: Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl PortMapping {
    /// Begins, where it is wanted and of use, to have the port forwarded on which `listen` is bound.
    pub(crate) fn start(settings: &Settings, listen: SocketAddr) -> io::Result<Self> {
        let state = first_state(settings.network.port_mapping, settings.discovery.scope, listen.ip());
        let said = Arc::new(Mutex::new(mapping(state)));
        let keeper = if state == MappingState::Searching {
            let (stop, stopped) = channel();
            let (ended, end) = oneshot::channel();
            let said = Arc::clone(&said);
            let thread = std::thread::Builder::new().name("port-mapping".to_owned());
            thread.spawn(move || {
                keep(listen.port(), &said, &stopped);
                let _ = ended.send(());
            })?;
            Some(Keeper { stop, ended: end })
        } else {
            None
        };
        Ok(Self { said, keeper: Mutex::new(keeper) })
    }

    /// How it stands.
    pub(crate) fn status(&self) -> p2p_api::PortMapping {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the router take the mapping back: waits 2 s for that at most. Otherwise it goes with its lease.
    pub(crate) async fn stop(&self) {
        let Some(Keeper { stop, ended }) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        drop(stop);
        let _ = tokio::time::timeout(FAREWELL, ended).await;
    }
}

/// Whether a router is to be looked for: one of no use is not even asked. IPv6 needs no mapping.
fn first_state(wanted: bool, scope: Scope, listen: IpAddr) -> MappingState {
    match (wanted, scope) {
        (false, _) => MappingState::Off,
        (true, Scope::Lan) => MappingState::NotNeeded,
        (true, Scope::Public) if listen.is_unspecified() => MappingState::Searching,
        (true, Scope::Public) if listen.is_loopback() || listen.is_ipv6() || is_global(listen) => {
            MappingState::NotNeeded
        }
        (true, Scope::Public) => MappingState::Searching,
    }
}

fn mapping(state: MappingState) -> p2p_api::PortMapping {
    p2p_api::PortMapping { state, gateway: None, external: None, error: None }
}

/// Renews the mapping until the other side of `stopped` has gone, and takes it back then.
fn keep(port: u16, said: &Mutex<p2p_api::PortMapping>, stopped: &Receiver<()>) {
    let (mut renewal, mut router) = (Renewal::new(Instant::now()), None);
    while stopped.recv_timeout(renewal.wait(Instant::now())) == Err(RecvTimeoutError::Timeout) {
        let now_said = ask(port, &mut router, &mut renewal);
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != now_said {
            let (state, error) = (now_said.state, now_said.error.as_deref());
            tracing::info!(?state, gateway = now_said.gateway, error, "the router was asked to forward our port");
            *said = now_said;
        }
    }
    if let Some(mut router) = router {
        router.unmap();
    }
}

/// One round; says how it stands then.
fn ask(port: u16, router: &mut Option<Router>, renewal: &mut Renewal) -> p2p_api::PortMapping {
    let asked = own_address().and_then(|own| if is_global(own) { Ok(None) } else { map(own, port, router, renewal) });
    let now = Instant::now();
    match asked {
        Ok(Some((gateway, external))) => {
            renewal.handle_done(now);
            let (gateway, external) = (Some(gateway.to_string()), external.map(|address| address.to_string()));
            p2p_api::PortMapping { gateway, external, ..mapping(MappingState::Mapped) }
        }
        Ok(None) => {
            renewal.handle_done(now);
            mapping(MappingState::NotNeeded)
        }
        Err(fault) => {
            renewal.handle_failed(now);
            let gateway = router.as_ref().map(|router| router.address().to_string());
            // Another router may answer the next time.
            if let Some(mut router) = router.take() {
                router.unmap();
            }
            let error = Some(Report(&fault).to_string());
            p2p_api::PortMapping { gateway, error, ..mapping(MappingState::Failed) }
        }
    }
}

/// The router's address, and its address outside.
type Mapped = (SocketAddr, Option<IpAddr>);

fn map(
    own: IpAddr,
    port: u16,
    router: &mut Option<Router>,
    renewal: &mut Renewal,
) -> Result<Option<Mapped>, RouterFault> {
    let found = match router.take() {
        Some(known) => known,
        None => Router::find(own, port)?,
    };
    let router = router.insert(found);
    if let Err(fault) = router.map(own, renewal.lease()) {
        if !matches!(fault, RouterFault::PermanentOnly) {
            return Err(fault);
        }
        renewal.handle_permanent_only();
        router.map(own, renewal.lease())?;
    }
    Ok(Some((router.address(), router.external())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_looked_for_only_where_it_is_wanted_and_of_use() {
        let state = |wanted, scope, listen: &str| first_state(wanted, scope, listen.parse().expect("an address"));
        assert_eq!(state(false, Scope::Public, "::"), MappingState::Off);
        assert_eq!(state(true, Scope::Lan, "::"), MappingState::NotNeeded);
        assert_eq!(state(true, Scope::Public, "127.0.0.1"), MappingState::NotNeeded);
        assert_eq!(state(true, Scope::Public, "203.0.113.7"), MappingState::NotNeeded, "public already");
        assert_eq!(state(true, Scope::Public, "2001:db8::1"), MappingState::NotNeeded);
        for listen in ["::", "0.0.0.0", "192.168.1.2"] {
            assert_eq!(state(true, Scope::Public, listen), MappingState::Searching, "{listen}");
        }
    }
}
