//! What is worth remembering over a restart.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::known::{Address, Known};
use super::network::Network;
use super::places::{MOST_OF_A_NETWORK, Places};

/// Addresses to remember at most.
pub(super) const MOST_REMEMBERED: usize = 200;

/// The neighbours that we dialled, those of now and the latest first, then those of now that called us and are heard to
/// listen; of each network outside of the LAN two before the others.
pub(super) fn to_remember(known: &Known, places: &Places) -> Vec<SocketAddr> {
    let good = |(address, of): (&SocketAddr, &Address)| {
        let is_here = places.get(address).is_some();
        let order = (of.proven.is_none(), !is_here, Reverse(of.proven));
        (is_here || of.proven.is_some()).then(|| (order, *address, of.network(address)))
    };
    let mut good: Vec<_> = known.iter().filter_map(good).collect();
    good.sort_unstable();
    let mut crowds: BTreeMap<Network, usize> = BTreeMap::new();
    let mut is_crowded = |network: Option<Network>| {
        let crowd = network.map(|network| crowds.entry(network).or_default());
        crowd.is_some_and(|crowd| {
            *crowd += 1;
            *crowd > MOST_OF_A_NETWORK
        })
    };
    let (rest, first): (Vec<_>, Vec<_>) = good.into_iter().partition(|(_, _, network)| is_crowded(*network));
    first.into_iter().chain(rest).map(|(_, address, _)| address).take(MOST_REMEMBERED).collect()
}
