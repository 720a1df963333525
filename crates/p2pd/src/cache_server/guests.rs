//! How many connections and fetches one client, and all of them together, may have.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of all clients together.
const MAX_CONNECTIONS: usize = 512;
/// Connections of one client on another machine.
const MAX_FOREIGN_CONNECTIONS: usize = 64;
/// Fetches that all clients on other machines together may have going: half of what the daemon does at a time.
const MAX_FOREIGN_FETCHES: usize = 128;
/// Fetches that one client may have going.
const MAX_FETCHES: usize = 64;

/// Who is connected.
#[derive(Debug, Clone, Default)]
pub(super) struct Guests(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    connections: usize,
    foreign_fetches: usize,
    guests: BTreeMap<IpAddr, Guest>,
}

#[derive(Debug, Default)]
struct Guest {
    connections: usize,
    fetches: usize,
}

/// One connection, as long as it lasts.
#[derive(Debug)]
pub(super) struct Visit {
    guests: Guests,
    address: IpAddr,
}

/// One fetch that a client has going, as long as it lasts.
#[derive(Debug)]
pub(super) struct Errand {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    /// Lets a client in; none where there are too many.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Visit> {
        let address = household(address);
        let mut table = self.lock();
        let of_client = table.guests.get(&address).map_or(0, |guest| guest.connections);
        let most = if address.is_loopback() { MAX_CONNECTIONS } else { MAX_FOREIGN_CONNECTIONS };
        if table.connections >= MAX_CONNECTIONS || of_client >= most {
            return None;
        }
        table.connections += 1;
        table.guests.entry(address).or_default().connections += 1;
        Some(Visit { guests: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Whether the client is on this machine.
    pub(super) fn is_at_home(&self) -> bool {
        self.address.is_loopback()
    }

    /// Lets the client have one more fetch; none where it has too many.
    pub(super) fn begin_errand(&self) -> Option<Errand> {
        let mut table = self.guests.lock();
        let is_foreign = !self.is_at_home();
        let guest = table.guests.get(&self.address).map_or(0, |guest| guest.fetches);
        if guest >= MAX_FETCHES || is_foreign && table.foreign_fetches >= MAX_FOREIGN_FETCHES {
            return None;
        }
        table.foreign_fetches += usize::from(is_foreign);
        table.guests.entry(self.address).or_default().fetches += 1;
        Some(Errand { guests: self.guests.clone(), address: self.address })
    }
}

impl Errand {
    /// Whether the client is on another machine.
    pub(super) fn is_foreign(&self) -> bool {
        !self.address.is_loopback()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut table = self.guests.lock();
        table.connections -= 1;
        table.leave(self.address, |guest| guest.connections -= 1);
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let mut table = self.guests.lock();
        table.foreign_fetches -= usize::from(self.is_foreign());
        table.leave(self.address, |guest| guest.fetches -= 1);
    }
}

impl Table {
    fn leave(&mut self, address: IpAddr, change: impl FnOnce(&mut Guest)) {
        if let Some(guest) = self.guests.get_mut(&address) {
            change(guest);
            if guest.connections == 0 && guest.fetches == 0 {
                self.guests.remove(&address);
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 network, in which one machine has as many addresses as it likes.
fn household(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    match address {
        IpAddr::V6(in_network) if !address.is_loopback() => {
            let [a, b, c, d, ..] = in_network.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_on_another_machine_has_so_many_connections_and_others_still_come_in() {
        let guests = Guests::default();
        let visits: Vec<Visit> = (0..MAX_FOREIGN_CONNECTIONS)
            .map(|n| guests.enter(address(&format!("2001:db8::{n:x}"))).expect("a connection"))
            .collect();
        assert!(guests.enter(address("2001:db8::ffff")).is_none());
        assert!(guests.enter(address("2001:db8:0:1::1")).is_some());
        assert!(guests.enter(address("::1")).is_some_and(|visit| visit.is_at_home()));
        drop(visits);
        assert!(guests.lock().guests.is_empty() && guests.lock().connections == 0);
    }

    #[test]
    fn all_clients_together_have_so_many_connections() {
        let guests = Guests::default();
        let local = address("::ffff:127.0.0.1");
        let visits: Vec<Visit> = (0..MAX_CONNECTIONS).map(|_| guests.enter(local).expect("a connection")).collect();
        assert!(guests.enter(local).is_none() && guests.enter(address("192.0.2.1")).is_none());
        drop(visits);
        assert!(guests.enter(local).is_some());
    }

    #[test]
    fn one_client_and_all_foreign_ones_have_so_many_fetches() {
        let guests = Guests::default();
        let visits = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1"]
            .map(|text| guests.enter(address(text)).expect("a connection"));
        let mut errands: Vec<Errand> = Vec::new();
        for visit in &visits[..2] {
            errands.extend((0..MAX_FETCHES).map(|_| visit.begin_errand().expect("a fetch")));
            assert!(visit.begin_errand().is_none());
        }
        assert!(visits[2].begin_errand().is_none(), "all foreign clients together");
        assert!(visits[3].begin_errand().is_some());
        drop((visits, errands));
        assert!(guests.lock().guests.is_empty() && guests.lock().foreign_fetches == 0);
    }
}
