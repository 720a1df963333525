//! The router's control, over `UPnP`: the only code that talks to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use igd_next::{AddPortError, Gateway, PortMappingProtocol, SearchOptions, search_gateway};
use p2p_wire::is_global;

/// How long a router may take to answer a search.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(5);
/// What the router shows its owner.
const DESCRIPTION: &str = "pacman2pacman";
/// TCP for BitTorrent, UDP for uTP.
const PROTOCOLS: [PortMappingProtocol; 2] = [PortMappingProtocol::TCP, PortMappingProtocol::UDP];

/// Why the port is not forwarded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouterFault {
    #[error("there is no way to other networks")]
    NoRoute(#[source] std::io::Error),
    #[error("no router answers (UPnP)")]
    NoRouter,
    #[error("a machine outside of the local networks says that it is the router")]
    NotLocal,
    #[error("the router forwards this port to another machine")]
    Taken,
    #[error("the router keeps mappings for ever, or none")]
    PermanentOnly,
    #[error("the router refuses: {0}")]
    Refused(String),
}

/// A router that forwards ports, and what it forwards for us.
#[derive(Debug)]
pub(super) struct Router {
    gateway: Gateway,
    mapped: Vec<PortMappingProtocol>,
    port: u16,
}

/// From where this machine speaks to other networks. Nothing is sent.
pub(super) fn own_address() -> Result<IpAddr, RouterFault> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(RouterFault::NoRoute)?;
    // A documentation address (RFC 5737), which no route leads to but the default one.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).map_err(RouterFault::NoRoute)?;
    socket.local_addr().map(|address| address.ip()).map_err(RouterFault::NoRoute)
}

impl Router {
    /// Looks for one, for 5 s at most and as long as it takes to describe itself. Blocks.
    pub(super) fn find(own: IpAddr, port: u16) -> Result<Self, RouterFault> {
        let mut options = SearchOptions::default();
        (options.bind_addr, options.timeout) = (SocketAddr::new(own, 0), Some(SEARCH_TIMEOUT));
        let gateway = search_gateway(options).map_err(|error| {
            tracing::debug!(%error, "no router is found");
            RouterFault::NoRouter
        })?;
        if is_global(gateway.addr.ip()) {
            return Err(RouterFault::NotLocal);
        }
        Ok(Self { gateway, mapped: Vec::new(), port })
    }

    /// Has the port forwarded to this address, or the forwarding renewed. Blocks for 10 s a protocol at most.
    pub(super) fn map(&mut self, own: IpAddr, lease: u32) -> Result<(), RouterFault> {
        let inside = SocketAddr::new(own, self.port);
        for protocol in PROTOCOLS {
            let added = self.gateway.add_port(protocol, self.port, inside, lease, DESCRIPTION);
            added.map_err(|error| fault(&error))?;
            if !self.mapped.contains(&protocol) {
                self.mapped.push(protocol);
            }
        }
        Ok(())
    }

    /// Takes back what was forwarded. Blocks for 10 s a protocol at most.
    pub(super) fn unmap(&mut self) {
        for protocol in self.mapped.drain(..) {
            if let Err(error) = self.gateway.remove_port(protocol, self.port) {
                tracing::debug!(%error, %protocol, "the router keeps a mapping until its lease ends");
            }
        }
    }

    /// Where it is controlled.
    pub(super) fn address(&self) -> SocketAddr {
        self.gateway.addr
    }

    /// Its address outside, as it says. Blocks for 10 s at most.
    pub(super) fn external(&self) -> Option<IpAddr> {
        self.gateway.get_external_ip().ok()
    }
}

fn fault(error: &AddPortError) -> RouterFault {
    match error {
        AddPortError::PortInUse => RouterFault::Taken,
        AddPortError::OnlyPermanentLeasesSupported => RouterFault::PermanentOnly,
        AddPortError::ActionNotAuthorized
        | AddPortError::InternalPortZeroInvalid
        | AddPortError::ExternalPortZeroInvalid
        | AddPortError::SamePortValuesRequired
        | AddPortError::DescriptionTooLong
        | AddPortError::RequestError(_) => RouterFault::Refused(error.to_string()),
    }
}
