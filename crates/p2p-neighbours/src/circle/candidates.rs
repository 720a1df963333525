//! Who may be dialled, and in which order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::known::{Address, Group, Known};
use super::places::{Crowds, Guest, MOST_OF_A_NETWORK, Places};
use super::{Direction, Origin};

/// After so many failures in a row an address does not count as to be had.
const TRIES: u32 = 2;

/// The least first: the trusted, then those of networks of which we have the fewest, then those that neighbours told of.
pub(super) type Rank = (Group, usize, bool);

/// An address that there is a place for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    pub(super) guest: Guest,
    pub(super) not_before: Instant,
    pub(super) rank: Rank,
}

/// All candidates, whether they are due or wait for their time.
pub(super) fn candidates(known: &Known, places: &Places) -> Vec<Candidate> {
    let (met, coming) = (places.connected_crowds(), places.coming_crowds());
    let best_other = best_uncrowded(known, places, &coming);
    // Whether there is a place depends on little of an address, and there are many addresses.
    let mut answers: BTreeMap<(bool, bool, bool), bool> = BTreeMap::new();
    let candidate = |(address, of): (&SocketAddr, &Address)| {
        let guest = guest(address, of);
        let is_idle = !places.is_in_use(address);
        let crowd = coming.of(guest.network);
        let is_crowded = is_choice(of) && crowd >= MOST_OF_A_NETWORK;
        if !is_idle || is_crowded && best_other.is_some_and(|best| best <= of.group()) {
            return None;
        }
        let matter = (guest.network.is_none(), guest.is_configured, met.of(guest.network) == 0);
        let has_place = *answers.entry(matter).or_insert_with(|| places.may_dial(&guest));
        // The club lives by them, where the DHT and the trackers are full, dead or lied to.
        let is_a_strangers_word = match of.origin {
            Origin::Tracker | Origin::Dht => true,
            // What one of them invents must not keep the others out.
            Origin::Neighbour => of.failures > 0,
            Origin::Configured | Origin::Lan | Origin::Remembered => false,
        };
        let rank = (of.group(), crowd, is_a_strangers_word);
        has_place.then_some(Candidate { address: *address, guest, not_before: of.not_before, rank })
    };
    known.iter().filter_map(candidate).collect()
}

/// The one who would answer at this address.
fn guest(address: &SocketAddr, of: &Address) -> Guest {
    let is_configured = of.group() == Group::Configured;
    Guest { network: of.network(address), is_configured, direction: Direction::Outgoing }
}

/// Whether the rule of diverse networks holds for it: not on the LAN, nor for what the user wants.
fn is_choice(of: &Address) -> bool {
    !of.is_local && of.group() >= Group::Good
}

/// The best group in which somebody of a network that is not crowded is still to be had, now or after a wait.
fn best_uncrowded(known: &Known, places: &Places, coming: &Crowds) -> Option<Group> {
    let to_be_had = |(address, of): (&SocketAddr, &Address)| {
        let crowd = coming.of(of.network(address));
        let has_room = if places.is_half_open(address) {
            crowd <= MOST_OF_A_NETWORK
        } else {
            places.get(address).is_none() && crowd < MOST_OF_A_NETWORK
        };
        (is_choice(of) && has_room && of.failures < TRIES).then(|| of.group())
    };
    known.iter().filter_map(to_be_had).min()
}
