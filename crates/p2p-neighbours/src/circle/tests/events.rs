//! Whatever happens, the bounds hold.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::*;

const OPTIONS: CircleOptions = CircleOptions { most: 40, most_local: 8, seed: 0 };

#[derive(Debug, Clone, Copy)]
enum Happening {
    Heard(SocketAddr, Origin),
    Connected(SocketAddr, Direction),
    Failed(SocketAddr),
    Left(SocketAddr, Left),
    Dial,
    Passes(Duration),
    NetworkChange,
    Resumed,
}

fn somebody() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (0..60_u16).prop_map(stranger),
        (0..60_u16).prop_map(relative),
        (0..30_u8).prop_map(local),
        (0..20_u16).prop_map(|number| SocketAddr::from(([0x2001, 0xdb8, number, 0, 0, 0, 0, 1], 6881))),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{Connected, Dial, Failed, Heard, NetworkChange, Passes, Resumed};
    let origins =
        [Origin::Configured, Origin::Lan, Origin::Remembered, Origin::Neighbour, Origin::Tracker, Origin::Dht];
    let reasons = vec![Left::Useless, Left::Broken, Left::Fault];
    prop_oneof![
        6 => (somebody(), select(origins.to_vec())).prop_map(|(address, origin)| Heard(address, origin)),
        6 => (somebody(), select(vec![Direction::Incoming, Direction::Outgoing]))
            .prop_map(|(address, direction)| Connected(address, direction)),
        2 => somebody().prop_map(Failed),
        2 => (somebody(), select(reasons)).prop_map(|(address, why)| Happening::Left(address, why)),
        8 => Just(Dial),
        4 => (0..40_000_u64).prop_map(|millis| Passes(Duration::from_millis(millis))),
        1 => Just(NetworkChange),
        1 => Just(Resumed),
    ]
}

/// What a caller knows of the circle from its answers alone.
struct Model {
    circle: Circle,
    now: Instant,
    here: BTreeMap<SocketAddr, Direction>,
    dialled: BTreeMap<SocketAddr, Instant>,
    dials: Vec<Duration>,
}

impl Model {
    fn happen(&mut self, happening: Happening, start: Instant) -> Result<(), TestCaseError> {
        let now = self.now;
        match happening {
            Happening::Heard(address, origin) => self.circle.handle_heard(address, origin, is_private(&address), now),
            Happening::Connected(address, direction) => {
                let was_here = self.here.contains_key(&address);
                match self.circle.handle_connected(address, direction, is_private(&address), now) {
                    Stay::No => prop_assert!(!was_here),
                    Stay::Yes if was_here => (),
                    Stay::Yes => _ = self.here.insert(address, direction),
                    Stay::InsteadOf(other) => {
                        prop_assert!(self.here.remove(&other).is_some(), "{} is not here", other);
                        self.here.insert(address, direction);
                    }
                }
                self.dialled.remove(&address);
            }
            Happening::Failed(address) => {
                self.circle.handle_failed(address, now);
                self.dialled.remove(&address);
            }
            Happening::Left(address, why) => {
                self.circle.handle_left(address, why, now);
                self.here.remove(&address);
                self.dialled.remove(&address);
            }
            Happening::Dial => self.dial(start)?,
            Happening::Passes(time) => self.now += time,
            Happening::NetworkChange => self.circle.handle_network_change(now),
            Happening::Resumed => self.circle.handle_resumed(now),
        }
        self.check()
    }

    fn dial(&mut self, start: Instant) -> Result<(), TestCaseError> {
        self.dialled.retain(|_, since| self.now < *since + DIAL_TIMEOUT);
        while let Some(address) = self.circle.poll_dial(self.now) {
            prop_assert!(!self.here.contains_key(&address), "{} is connected", address);
            prop_assert!(self.dialled.insert(address, self.now).is_none(), "{} is half-open", address);
            self.dials.push(self.now - start);
        }
        prop_assert!(self.circle.poll_timeout().is_none_or(|next| next > self.now));
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let is_configured = |address: &SocketAddr| self.circle.origin(address) == Some(Origin::Configured);
        let locals = self.here.keys().filter(|address| is_private(address)).count();
        prop_assert!(self.here.len() <= OPTIONS.most && locals <= OPTIONS.most_local);
        let strangers = self.here.iter().filter(|(address, direction)| {
            **direction == Direction::Outgoing && !is_private(address) && !is_configured(address)
        });
        prop_assert!(strangers.count() <= MOST_DIALLED);
        prop_assert!(
            self.dialled.len() <= MOST_HALF_OPEN
                || self.dialled.values().any(|since| self.now >= *since + DIAL_TIMEOUT)
        );
        prop_assert!(self.circle.known.len() <= MOST_KNOWN);
        prop_assert!(self.here.keys().all(|address| self.circle.places.get(address).is_some()));
        prop_assert!(self.circle.to_remember().len() <= MOST_REMEMBERED);
        Ok(())
    }
}

proptest! {
    #[test]
    fn bounds_hold_and_nobody_is_dialled_twice(seed in any::<u64>(), happenings in proptest::collection::vec(happening(), 0..250)) {
        let start = Instant::now();
        let circle = Circle::new(CircleOptions { seed, ..OPTIONS });
        let mut model = Model { circle, now: start, here: BTreeMap::new(), dialled: BTreeMap::new(), dials: Vec::new() };
        for happening in happenings {
            model.happen(happening, start)?;
        }
        prop_assert!(most_within(&model.dials) <= DIALS_A_SECOND);
    }
}
