//! Whether others reach us.

use std::net::SocketAddr;

use p2p_api::{CallsBack, MappingState, PortMapping, Scope, Status};

use crate::doctor::finding::Finding;
use crate::report::count;

pub(super) fn port(status: &Status, calls: &CallsBack) -> Finding {
    let port = status.listen.parse::<SocketAddr>().map_or(0, |listen| listen.port());
    let let_in = format!("let TCP and UDP {port} in, and forward them on the router, or set network.port_mapping");
    let (remote, local) = (calls.remote, calls.local);
    if !calls.asked {
        let hint = "ask as root, or as somebody whom daemon.fetch_users or daemon.fetch_group names";
        return Finding::warning("port", format!("whether port {port} is open was not tried for this user"), hint);
    }
    if remote.reached > 0 {
        return Finding::ok("port", format!("{port} is open: {} far away came in", count(remote.reached, "neighbour")));
    }
    if local.failed > 0 && local.reached == 0 {
        let text = format!("not even the neighbours on the local network come in at port {port}");
        return Finding::problem(
            "port",
            text,
            format!("let TCP and UDP {port} in: a firewall on this machine, most likely"),
        );
    }
    if remote.failed > 0 {
        let text = format!("{} far away did not come in at port {port}", count(remote.failed, "neighbour"));
        return Finding::warning("port", text, let_in);
    }
    if status.discovery.scope == Scope::Lan && local.reached > 0 {
        return Finding::ok("port", format!("{port} is open on the local network"));
    }
    let near = if local.reached > 0 { "; on the local network it is open" } else { "" };
    let why = match remote.asked {
        0 => "no neighbour far away is connected",
        _ => "the neighbours that were asked have not answered",
    };
    Finding::warning(
        "port",
        format!("whether port {port} is open outside can't be told: {why}{near}"),
        "look again later",
    )
}

/// Nothing where it is off.
pub(super) fn router(mapping: &PortMapping) -> Option<Finding> {
    let gateway = mapping.gateway.as_deref().unwrap_or("the router");
    Some(match mapping.state {
        MappingState::Off => return None,
        MappingState::NotNeeded => Finding::ok("router", "need not forward the port"),
        MappingState::Searching => Finding::warning("router", "is looked for", "look again in a minute"),
        MappingState::Mapped => mapped(gateway, mapping.external.as_deref()),
        MappingState::Failed => {
            let error = mapping.error.as_deref().unwrap_or("nobody knows why");
            let hint = "switch UPnP on in the router, or forward the port by hand";
            Finding::warning("router", format!("does not forward the port: {error}"), hint)
        }
    })
}

/// One router behind another one opens no door to the world.
fn mapped(gateway: &str, external: Option<&str>) -> Finding {
    let address = external.and_then(|external| external.parse().ok());
    if address.is_some_and(|address: std::net::Ipv4Addr| address.is_private() || is_shared(address)) {
        let text = format!("{gateway} forwards the port, but is behind another router");
        return Finding::warning(
            "router",
            text,
            "forward the port there, too; where that is the provider's, nothing helps",
        );
    }
    let outside = external.map_or_else(String::new, |external| format!("; outside it is {external}"));
    Finding::ok("router", format!("{gateway} forwards the port{outside}"))
}

/// 100.64.0.0/10, of providers (RFC 6598).
fn is_shared(address: std::net::Ipv4Addr) -> bool {
    address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64
}
