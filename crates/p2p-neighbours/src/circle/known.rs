//! The addresses that we know, connected or not.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

use super::Origin;
use super::network::Network;

/// Addresses known at most, some 150 bytes each.
pub(super) const MOST_KNOWN: usize = 2_000;

/// Addresses forgotten where they become too many.
pub(super) const FORGOTTEN_AT_ONCE: usize = 100;

/// Addresses of machines on our links that nobody has reached, at most: anybody there can invent them.
pub(super) const MOST_OF_THE_LINK: usize = 256;

/// Addresses that strangers tell of at one host, which is an IPv6 /64, too: a household. More is somebody who wants us to knock at
/// all of its doors.
pub(super) const MOST_OF_A_HOST: usize = 4;

/// The wait after a first failure; it doubles with each.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(3);

/// The longest wait. All waits differ by up to a quarter, so that daemons that failed together do not return together.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(30);

/// Between two times that an address' own announcement cuts its wait short: anybody on the link can send one for another.
const BETWEEN_HASTES: Duration = Duration::from_mins(1);

/// So many failures in a row make an address the first to be forgotten.
const DEAD: u32 = 4;

/// What is known of one address.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) origin: Origin,
    pub(super) is_local: bool,
    /// When it was last seen to be a neighbour after we had dialled it: who calls proves nothing about where he listens.
    pub(super) proven: Option<Instant>,
    /// In a row.
    pub(super) failures: u32,
    /// It is no neighbour or broke the protocol: its own announcements do not bring it back sooner.
    pub(super) is_unfit: bool,
    pub(super) dialled: Option<Instant>,
    /// When its own announcement last brought it forward.
    hastened: Option<Instant>,
    /// It is not dialled before.
    pub(super) not_before: Instant,
    heard: Instant,
}

/// Whom to dial first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Configured,
    Lan,
    /// Neighbours of this run or an earlier one: nobody can push them back by inventing addresses.
    Good,
    Hearsay,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    addresses: BTreeMap<SocketAddr, Address>,
    networks: BTreeMap<Network, u32>,
}

impl Address {
    fn new(origin: Origin, is_local: bool, now: Instant) -> Self {
        Self {
            origin,
            is_local,
            proven: None,
            failures: 0,
            is_unfit: false,
            dialled: None,
            hastened: None,
            not_before: now,
            heard: now,
        }
    }

    pub(super) fn group(&self) -> Group {
        let is_good = self.proven.is_some() || self.origin == Origin::Remembered;
        match self.origin {
            Origin::Configured => Group::Configured,
            Origin::Lan => Group::Lan,
            Origin::Remembered | Origin::Neighbour | Origin::Tracker | Origin::Dht => match (is_good, self.is_local) {
                (true, true) => Group::Lan,
                (true, false) => Group::Good,
                (false, _) => Group::Hearsay,
            },
        }
    }

    pub(super) fn network(&self, address: &SocketAddr) -> Option<Network> {
        (!self.is_local).then(|| Network::of(address.ip()))
    }

    /// Counts a failure, and waits for it.
    pub(super) fn back_off(&mut self, now: Instant, rng: &mut SmallRng) {
        self.failures = self.failures.saturating_add(1);
        self.wait(now, rng);
    }

    /// Waits as long as anybody has to.
    pub(super) fn set_aside(&mut self, now: Instant, rng: &mut SmallRng) {
        self.is_unfit = true;
        self.proven = None;
        self.failures = u32::MAX;
        self.wait(now, rng);
    }

    /// Waits as its failures so far demand.
    pub(super) fn wait(&mut self, now: Instant, rng: &mut SmallRng) {
        let doublings = self.failures.saturating_sub(1).min(20);
        let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        self.not_before = now + wait.mul_f64(rng.random_range(0.75..=1.25));
    }

    /// Forgets failures that were not its own.
    pub(super) fn forgive(&mut self, now: Instant) {
        if !self.is_unfit {
            self.failures = 0;
            self.not_before = now;
        }
    }

    fn worth(&self) -> u8 {
        match self.origin {
            Origin::Configured => 0,
            _ if self.proven.is_some() => 1,
            Origin::Lan => 2,
            Origin::Remembered => 3,
            Origin::Neighbour if self.failures < DEAD => 4,
            Origin::Neighbour | Origin::Tracker | Origin::Dht => 5,
        }
    }
}

impl Known {
    pub(super) fn get(&self, address: &SocketAddr) -> Option<&Address> {
        self.addresses.get(address)
    }

    pub(super) fn get_mut(&mut self, address: &SocketAddr) -> Option<&mut Address> {
        self.addresses.get_mut(address)
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &Address)> {
        self.addresses.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&SocketAddr, &mut Address)> {
        self.addresses.iter_mut()
    }

    /// Notes an address, from the best origin that ever named it.
    pub(super) fn hear(&mut self, address: SocketAddr, origin: Origin, is_local: bool, now: Instant) {
        if !self.addresses.contains_key(&address) {
            let Some(new) = self.admit(address, origin, is_local, now) else { return };
            *self.networks.entry(Network::of(address.ip())).or_default() += 1;
            self.addresses.insert(address, new);
        }
        let known = self.addresses.get_mut(&address).expect("it was put there a moment ago");
        if origin <= known.origin {
            // Who is trusted less does not know better whether it is near.
            (known.origin, known.is_local) = (origin, is_local);
        }
        known.heard = now;
        if origin == Origin::Lan && !known.is_unfit {
            // It speaks for itself, most likely, so it is there now.
            let soonest = known.dialled.map_or(now, |dialled| dialled + FIRST_WAIT);
            if known.hastened.is_none_or(|last| now >= last + BETWEEN_HASTES) {
                known.hastened = Some(now);
                known.not_before = known.not_before.min(soonest);
            }
        }
    }

    /// An address that was not known; none where strangers have told of enough at its host. One of these that failed makes way,
    /// and leaves its failures behind: it is the host that is left alone.
    fn admit(&mut self, address: SocketAddr, origin: Origin, is_local: bool, now: Instant) -> Option<Address> {
        let mut new = Address::new(origin, is_local, now);
        let told = self.addresses.range(host(address)).filter(|(_, known)| known.origin >= Origin::Neighbour);
        let told: Vec<_> = told.map(|(other, known)| (*other, known)).collect();
        if origin < Origin::Neighbour || told.len() < MOST_OF_A_HOST {
            return Some(new);
        }
        let failed = told.into_iter().filter(|(_, known)| known.failures > 0 && known.proven.is_none());
        let (worst, known) = failed.max_by_key(|(_, known)| known.failures)?;
        (new.failures, new.not_before) = (known.failures, known.not_before);
        self.remove(&worst);
        Some(new)
    }

    /// Forgets the worst of those that the link told of and nobody has reached, where there are too many.
    pub(super) fn thin_link(&mut self, is_in_use: impl Fn(&SocketAddr) -> bool) {
        let is_thin = |(address, known): &(&SocketAddr, &Address)| {
            known.origin == Origin::Lan && known.proven.is_none() && !is_in_use(address)
        };
        let mut told: Vec<_> = self.addresses.iter().filter(is_thin).collect();
        if told.len() > MOST_OF_THE_LINK {
            told.sort_unstable_by_key(|(address, known)| (known.failures, Reverse(known.heard), **address));
            let worst: Vec<SocketAddr> = told[MOST_OF_THE_LINK..].iter().map(|(address, _)| **address).collect();
            for address in &worst {
                self.remove(address);
            }
        }
    }

    /// Forgets the worst addresses that are not in use, where there are too many: some at once, since who is worst takes
    /// a look at all of them.
    ///
    /// Configured ones stay, then those that proved themselves; within what strangers say the dead ones go first, then
    /// those of networks of which we know the most addresses.
    pub(super) fn forget_worst(&mut self, is_in_use: impl Fn(&SocketAddr) -> bool) {
        if self.len() <= MOST_KNOWN {
            return;
        }
        let fault = |(address, known): (&SocketAddr, &Address)| {
            let crowd = self.networks.get(&Network::of(address.ip())).copied();
            let fault = (known.worth(), known.failures >= DEAD, crowd, known.failures, Reverse(known.heard));
            (!is_in_use(address)).then_some((fault, *address))
        };
        let mut idle: Vec<_> = self.addresses.iter().filter_map(fault).collect();
        idle.sort_unstable();
        for (_, address) in idle.iter().rev().take(FORGOTTEN_AT_ONCE) {
            self.remove(address);
        }
    }

    /// Forgets what only the local network said that we have left.
    pub(super) fn forget_link(&mut self, is_in_use: impl Fn(&SocketAddr) -> bool) {
        let left = |(address, known): (&SocketAddr, &Address)| {
            (known.origin == Origin::Lan && known.proven.is_none() && !is_in_use(address)).then_some(*address)
        };
        let gone: Vec<SocketAddr> = self.addresses.iter().filter_map(left).collect();
        for address in &gone {
            self.remove(address);
        }
    }

    fn remove(&mut self, address: &SocketAddr) {
        if self.addresses.remove(address).is_some() {
            let network = Network::of(address.ip());
            let left = self.networks.get_mut(&network).expect("each address is counted");
            *left -= 1;
            if *left == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

/// All addresses of the host that has this one.
fn host(address: SocketAddr) -> RangeInclusive<SocketAddr> {
    match address {
        SocketAddr::V4(address) => {
            let port = |port| SocketAddr::V4(SocketAddrV4::new(*address.ip(), port));
            port(0)..=port(u16::MAX)
        }
        SocketAddr::V6(address) => {
            let (low, bits) = (u128::from(u64::MAX), address.ip().to_bits());
            let first = SocketAddrV6::new((bits & !low).into(), 0, 0, 0);
            first.into()..=SocketAddrV6::new((bits | low).into(), u16::MAX, u32::MAX, u32::MAX).into()
        }
    }
}
