//! Which addresses we know, whom to dial now, and whom to keep.
//!
//! Configured addresses and those of the LAN come first; then former neighbours, then what strangers say, each from the
//! networks of which we have the fewest. After each call of a `handle_*` method poll [`Circle::poll_dial`] until nothing
//! comes, then sleep until [`Circle::poll_timeout`]. Everything is bounded: a place for each of [`CircleOptions::most`]
//! neighbours, 8 dials under way, and 2,000 addresses of some 150 bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use p2p_wire::is_global;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use candidates::{Candidate, Rank, candidates};
use known::{Group, Known};
use network::Network;
use pace::Pace;
use places::{Guest, MOST_DIALLED, Places};

pub use places::DIAL_TIMEOUT;

mod candidates;
mod known;
mod memory;
mod network;
mod pace;
mod places;
#[cfg(test)]
mod tests;

/// All are lost within this time: it is our own network that is gone, not they.
const OUTAGE_WITHIN: Duration = Duration::from_secs(10);

/// Whoever was alone for so long had perhaps no network.
const LONELY: Duration = Duration::from_mins(1);

/// So many dials within the local network come before the others; from then on these have every second one.
const LINK_AHEAD: u8 = 8;

/// A connection that lasted so long clears the failures before it.
const STEADY: Duration = Duration::from_mins(1);

/// Who told us of an address, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The user, by `discovery.peers`.
    Configured,
    /// The daemon itself, on this link (BEP 14) or by a call from it.
    Lan,
    /// An earlier run of ours.
    Remembered,
    /// A neighbour (BEP 11), or a caller from outside who said where it listens.
    Neighbour,
    /// A tracker.
    Tracker,
    /// The DHT.
    Dht,
}

/// Which side dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They did.
    Incoming,
    /// We did.
    Outgoing,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The other side is no neighbour, or one that is of no use: left alone for half an hour.
    Useless,
    /// The transport broke, or the other side went.
    Broken,
    /// The other side broke the protocol, or lied: left alone for half an hour.
    Fault,
}

/// Whether there is a place for a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// There is one.
    Yes,
    /// There is the place of this one, who is worth less: it is to be hung up.
    InsteadOf(SocketAddr),
    /// There is none: the newcomer is to be hung up.
    No,
}

/// How large the circle may become.
#[derive(Debug, Clone, Copy)]
pub struct CircleOptions {
    /// Neighbours at most.
    pub most: usize,
    /// Of these, on the local networks at most. What it and the 24 strangers that are dialled leave is for callers.
    pub most_local: usize,
    /// Makes waits differ from those of other daemons.
    pub seed: u64,
}

impl Default for CircleOptions {
    fn default() -> Self {
        Self { most: 64, most_local: 32, seed: 0 }
    }
}

/// The addresses and the connections; see the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Circle {
    most_wanted: usize,
    known: Known,
    places: Places,
    pace: Pace,
    /// Dials within the local network that others have not had one for, [`LINK_AHEAD`] at most.
    link_ahead: u8,
    rng: SmallRng,
    /// When a steady connection last broke.
    last_loss: Option<Instant>,
    /// Since when nobody is connected; none before the first event, too.
    lonely_since: Option<Instant>,
}

impl Circle {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(options: CircleOptions) -> Self {
        Self {
            most_wanted: options.most_local + MOST_DIALLED,
            known: Known::default(),
            places: Places::new(&options),
            pace: Pace::default(),
            link_ahead: 0,
            rng: SmallRng::seed_from_u64(options.seed),
            last_loss: None,
            lonely_since: None,
        }
    }

    /// Notes where a daemon listens. `is_local` says that it is on a local network as far as trust goes.
    ///
    /// A stranger's word (neighbour, tracker, DHT) counts only for addresses of the whole Internet.
    pub fn handle_heard(&mut self, address: SocketAddr, origin: Origin, is_local: bool, now: Instant) {
        let address = canonical(address);
        if !is_somebodys(address) || origin >= Origin::Neighbour && !is_global(address.ip()) {
            return;
        }
        if self.places.connected() == 0 {
            self.lonely_since.get_or_insert(now);
        }
        self.known.hear(address, origin, is_local, now);
        if origin == Origin::Lan {
            self.known.thin_link(|address| self.places.is_in_use(address));
        }
        self.known.forget_worst(|address| self.places.is_in_use(address));
    }

    /// Notes that a conversation has shown the other side to be a neighbour, and says whether it stays.
    ///
    /// `address` is where it was dialled, or where it says that it listens, or else from where it calls. It holds one
    /// place, however many connections there are: tell of the last one that leaves. One whose place was given away
    /// ([`Stay::InsteadOf`]) has left already.
    ///
    /// A caller from the LAN takes the place of a stranger where all are taken, as long as the LAN has fewer than its
    /// most; a configured one that of anybody who is not. A stranger from a network of which we have nobody takes the
    /// place of one of a network of which we have more than two. Nobody else displaces anybody.
    pub fn handle_connected(
        &mut self,
        address: SocketAddr,
        direction: Direction,
        is_local: bool,
        now: Instant,
    ) -> Stay {
        self.places.end_dial(&address);
        if self.places.is_in_use(&address) {
            return Stay::Yes;
        }
        let guest = self.guest(address, direction, is_local);
        let stay = self.places.stay(&guest);
        match stay {
            Stay::Yes => (),
            Stay::InsteadOf(other) => self.give_way(other, now),
            Stay::No => {
                if let Some(known) = self.known.get_mut(&address) {
                    known.wait(now, &mut self.rng);
                }
                return stay;
            }
        }
        if let Some(lonely_since) = self.lonely_since.take() {
            self.end_loneliness(&address, lonely_since, now);
        }
        self.places.take(address, guest, now);
        if let (Some(known), Direction::Outgoing) = (self.known.get_mut(&address), direction) {
            (known.proven, known.is_unfit) = (Some(now), false);
        }
        stay
    }

    /// Notes that a dial led to nothing. A dial of which nothing is heard for 20 seconds has failed, too.
    pub fn handle_failed(&mut self, address: SocketAddr, now: Instant) {
        if self.places.end_dial(&address)
            && let Some(known) = self.known.get_mut(&address)
        {
            known.back_off(now, &mut self.rng);
        }
    }

    /// Notes that a connection is over, or that a dial led to somebody who is `why` no neighbour.
    pub fn handle_left(&mut self, address: SocketAddr, why: Left, now: Instant) {
        let taken = self.places.leave(&address);
        let was_dialled = self.places.end_dial(&address);
        if taken.is_none() && !was_dialled {
            return;
        }
        let is_steady = taken.is_some_and(|taken| now.saturating_duration_since(taken.since) >= STEADY);
        if let Some(known) = self.known.get_mut(&address) {
            match why {
                Left::Useless | Left::Fault => known.set_aside(now, &mut self.rng),
                Left::Broken => {
                    known.failures = if is_steady { 0 } else { known.failures };
                    if taken.is_some_and(|taken| taken.guest.direction == Direction::Outgoing) {
                        known.proven = Some(now);
                    }
                    known.back_off(now, &mut self.rng);
                }
            }
        }
        if self.places.connected() == 0 {
            self.lonely_since.get_or_insert(now);
        }
        if is_steady && why == Left::Broken {
            self.note_loss(now);
        }
    }

    /// The next address to dial, half-open from now on; none: not before [`Circle::poll_timeout`].
    pub fn poll_dial(&mut self, now: Instant) -> Option<SocketAddr> {
        self.expire_dials(now);
        if !self.places.may_dial_one_more() || self.pace.ready_at().is_some_and(|ready| now < ready) {
            return None;
        }
        let mut due = candidates(&self.known, &self.places);
        due.retain(|candidate| candidate.not_before <= now);
        let first = self.first_rank(&due)?;
        due.retain(|candidate| candidate.rank == first);
        let chosen = due[self.rng.random_range(0..due.len())];
        let is_link = first.0 == Group::Lan;
        self.link_ahead = if is_link { LINK_AHEAD.min(self.link_ahead + 1) } else { self.link_ahead.saturating_sub(1) };
        self.places.dial(chosen.address, chosen.guest, now);
        self.pace.handle_dial(now, &mut self.rng);
        if let Some(known) = self.known.get_mut(&chosen.address) {
            known.dialled = Some(now);
        }
        Some(chosen.address)
    }

    /// When to call [`Circle::poll_dial`] again, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let failure = self.places.first_timeout().map(|(at, _)| at);
        let mut dial = None;
        if self.places.may_dial_one_more() {
            let first = candidates(&self.known, &self.places).iter().map(|candidate| candidate.not_before).min();
            dial = first.map(|first| self.pace.ready_at().map_or(first, |ready| first.max(ready)));
        }
        [failure, dial].into_iter().flatten().min()
    }

    /// From where an address is known, if it is.
    pub fn origin(&self, address: &SocketAddr) -> Option<Origin> {
        self.known.get(address).map(|known| known.origin)
    }

    /// The addresses to come back to after a restart: those that were good most recently, but two of one network before
    /// the others. At most 200.
    pub fn to_remember(&self) -> Vec<SocketAddr> {
        memory::to_remember(&self.known, &self.places)
    }

    /// Our own network is another one: failures on the old one say nothing, and what only it said of its own is gone.
    pub fn handle_network_change(&mut self, now: Instant) {
        self.known.forget_link(|address| self.places.is_in_use(address));
        self.handle_resumed(now);
    }

    /// The machine slept: failures before it are forgotten, and the dials to come are spread.
    pub fn handle_resumed(&mut self, now: Instant) {
        self.known.iter_mut().for_each(|(_, known)| known.forgive(now));
        self.spread(now);
    }

    /// Whose turn it is: the local network's, but not always. Anybody on the link can invent machines there, and they would keep us
    /// from everybody else.
    fn first_rank(&self, due: &[Candidate]) -> Option<Rank> {
        let first = due.iter().map(|candidate| candidate.rank).min()?;
        let others = due.iter().map(|candidate| candidate.rank).filter(|rank| rank.0 > Group::Lan);
        let is_others_turn = first.0 == Group::Lan && self.link_ahead >= LINK_AHEAD;
        if is_others_turn { others.min().or(Some(first)) } else { Some(first) }
    }

    fn guest(&self, address: SocketAddr, direction: Direction, is_local: bool) -> Guest {
        let network = (!is_local).then(|| Network::of(address.ip()));
        Guest { network, is_configured: self.origin(&address) == Some(Origin::Configured), direction }
    }

    fn give_way(&mut self, other: SocketAddr, now: Instant) {
        let was_chosen = self.places.leave(&other).is_some_and(|taken| taken.guest.direction == Direction::Outgoing);
        if let Some(known) = self.known.get_mut(&other) {
            if was_chosen {
                known.proven = Some(now);
            }
            known.wait(now, &mut self.rng);
        }
    }

    fn expire_dials(&mut self, now: Instant) {
        while let Some((_, address)) = self.places.first_timeout().filter(|(at, _)| *at <= now) {
            self.handle_failed(address, now);
        }
    }

    /// Where nobody is left, those who were lost just now are no worse for it.
    fn note_loss(&mut self, now: Instant) {
        let is_recent = |at: Instant| now.saturating_duration_since(at) <= OUTAGE_WITHIN;
        let is_one_of_many = self.last_loss.replace(now).is_some_and(is_recent);
        if is_one_of_many && self.places.connected() == 0 {
            let lost = self.known.iter_mut().filter(|(_, known)| known.proven.is_some_and(is_recent));
            lost.for_each(|(_, known)| known.forgive(now));
            self.spread(now);
        }
    }

    /// The first neighbour after a while without any: who failed meanwhile may have failed for the same reason.
    fn end_loneliness(&mut self, first: &SocketAddr, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= LONELY {
            let others = self.known.iter_mut().filter(|(address, _)| *address != first);
            let failed = others.filter(|(_, known)| known.dialled.is_some_and(|at| at >= since));
            failed.for_each(|(_, known)| known.forgive(now));
            self.spread(now);
        }
    }

    fn spread(&mut self, now: Instant) {
        let wanted = self.known.len().min(self.most_wanted);
        self.pace.spread(wanted, now, &mut self.rng);
    }
}

/// IPv4 where it is IPv4, without flow label. The scope stays: without it a link-local address cannot be dialled.
fn canonical(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        (IpAddr::V6(_), SocketAddr::V6(mut address)) => {
            address.set_flowinfo(0);
            SocketAddr::V6(address)
        }
        (ip, address) => SocketAddr::new(ip, address.port()),
    }
}

fn is_somebodys(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}
