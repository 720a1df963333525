//! Who is connected, who is being dialled, and whether there is a place for one more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::network::Network;
use super::{CircleOptions, Direction, Stay};

/// Strangers that we dial: enough to be found through, and to find through.
pub(super) const MOST_DIALLED: usize = 24;

/// With fewer of these, one more takes the place of a stranger that called: those who call are whoever wants to be here, and must
/// not be all whom we hear.
pub(super) const FEWEST_DIALLED: usize = MOST_DIALLED / 2;

/// Neighbours of one network outside of the LAN, while others are to be had.
pub(super) const MOST_OF_A_NETWORK: usize = 2;

/// Dials under way at most.
pub(super) const MOST_HALF_OPEN: usize = 8;

/// A dial that leads to nothing for so long has failed: TCP, uTP after it, and both handshakes. Whoever dials gives up by then.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// What matters of somebody who has a place or wants one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    /// None on the local networks.
    pub(super) network: Option<Network>,
    pub(super) is_configured: bool,
    pub(super) direction: Direction,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) guest: Guest,
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_local: usize,
    taken: BTreeMap<SocketAddr, Taken>,
    half_open: BTreeMap<SocketAddr, Taken>,
}

/// How many of a network there are.
#[derive(Debug, Default)]
pub(super) struct Crowds(BTreeMap<Network, usize>);

impl Guest {
    fn is_local(&self) -> bool {
        self.network.is_none()
    }

    /// Whether it is one of the [`MOST_DIALLED`].
    fn is_dialled_stranger(&self) -> bool {
        !self.is_local() && !self.is_configured && self.direction == Direction::Outgoing
    }

    /// Whether it may have the place of `other` where there is none left, and `dialled` strangers are here.
    fn displaces(&self, other: &Self, crowds: &Crowds, dialled: usize) -> bool {
        let is_new = crowds.of(self.network) == 0 && crowds.of(other.network) > MOST_OF_A_NETWORK;
        let has_called = other.direction == Direction::Incoming;
        let is_chosen = self.is_dialled_stranger() && has_called && dialled < FEWEST_DIALLED;
        !other.is_configured && (self.is_configured || !other.is_local() && (self.is_local() || is_new || is_chosen))
    }
}

impl Crowds {
    fn count<'a>(guests: impl Iterator<Item = &'a Taken>) -> Self {
        let mut crowds = Self::default();
        for network in guests.filter_map(|taken| taken.guest.network) {
            *crowds.0.entry(network).or_default() += 1;
        }
        crowds
    }

    /// Nobody is crowded on the LAN.
    pub(super) fn of(&self, network: Option<Network>) -> usize {
        network.and_then(|network| self.0.get(&network).copied()).unwrap_or(0)
    }
}

impl Places {
    pub(super) fn new(options: &CircleOptions) -> Self {
        let (most, most_local) = (options.most, options.most_local);
        Self { most, most_local, taken: BTreeMap::new(), half_open: BTreeMap::new() }
    }

    /// Whether there is a place among those who are connected.
    pub(super) fn stay(&self, guest: &Guest) -> Stay {
        let is_full = self.taken.len() >= self.most;
        let is_local_full = guest.is_local() && count(&self.taken, Guest::is_local) >= self.most_local;
        let is_dialled_full = guest.is_dialled_stranger() && self.dialled_strangers() >= MOST_DIALLED;
        if !is_full && !is_local_full && !is_dialled_full {
            return Stay::Yes;
        }
        let (crowds, dialled) = (self.connected_crowds(), self.dialled_strangers());
        let frees_the_place = |other: &Guest| match (is_local_full, is_dialled_full) {
            (true, _) => other.is_local(),
            (_, true) => other.is_dialled_stranger(),
            _ => !other.is_local(),
        };
        let others = self.taken.iter().filter(|(_, other)| frees_the_place(&other.guest));
        // Those whom we chose, and those who have been here for long, are worth more.
        let least =
            others.filter(|(_, other)| guest.displaces(&other.guest, &crowds, dialled)).max_by_key(|(_, other)| {
                (crowds.of(other.guest.network), other.guest.direction == Direction::Incoming, other.since)
            });
        least.map_or(Stay::No, |(address, _)| Stay::InsteadOf(*address))
    }

    /// Whether there would be a place, dials under way counted as connected.
    pub(super) fn may_dial(&self, guest: &Guest) -> bool {
        let all = |is: fn(&Guest) -> bool| count(&self.taken, is) + count(&self.half_open, is);
        let is_full = all(|_| true) >= self.most;
        let is_local_full = guest.is_local() && all(Guest::is_local) >= self.most_local;
        let is_dialled_full = guest.is_dialled_stranger() && all(Guest::is_dialled_stranger) >= MOST_DIALLED;
        !is_full && !is_local_full && !is_dialled_full || matches!(self.stay(guest), Stay::InsteadOf(_))
    }

    pub(super) fn connected_crowds(&self) -> Crowds {
        Crowds::count(self.taken.values())
    }

    /// The crowds that there will be when all dials succeed.
    pub(super) fn coming_crowds(&self) -> Crowds {
        Crowds::count(self.taken.values().chain(self.half_open.values()))
    }

    pub(super) fn dial(&mut self, address: SocketAddr, guest: Guest, now: Instant) {
        self.half_open.insert(address, Taken { guest, since: now });
    }

    /// Whether it was being dialled.
    pub(super) fn end_dial(&mut self, address: &SocketAddr) -> bool {
        self.half_open.remove(address).is_some()
    }

    pub(super) fn take(&mut self, address: SocketAddr, guest: Guest, now: Instant) {
        self.taken.insert(address, Taken { guest, since: now });
    }

    pub(super) fn leave(&mut self, address: &SocketAddr) -> Option<Taken> {
        self.taken.remove(address)
    }

    pub(super) fn get(&self, address: &SocketAddr) -> Option<&Taken> {
        self.taken.get(address)
    }

    pub(super) fn is_half_open(&self, address: &SocketAddr) -> bool {
        self.half_open.contains_key(address)
    }

    pub(super) fn is_in_use(&self, address: &SocketAddr) -> bool {
        self.taken.contains_key(address) || self.half_open.contains_key(address)
    }

    pub(super) fn connected(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn may_dial_one_more(&self) -> bool {
        self.half_open.len() < MOST_HALF_OPEN
    }

    /// When the oldest dial under way has failed, and which it is.
    pub(super) fn first_timeout(&self) -> Option<(Instant, SocketAddr)> {
        self.half_open.iter().map(|(address, dial)| (dial.since + DIAL_TIMEOUT, *address)).min()
    }

    fn dialled_strangers(&self) -> usize {
        count(&self.taken, Guest::is_dialled_stranger)
    }
}

fn count(places: &BTreeMap<SocketAddr, Taken>, is: fn(&Guest) -> bool) -> usize {
    places.values().filter(|taken| is(&taken.guest)).count()
}
