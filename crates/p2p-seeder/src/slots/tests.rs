use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A crowd that behaves as told, in virtual time.
struct Crowd {
    slots: Slots,
    start: Instant,
    now: Instant,
    unchoked: BTreeSet<SeatId>,
    /// Bytes that each peer still wants, and takes in a second while it is served.
    peers: BTreeMap<SeatId, (u64, u64)>,
    done: BTreeMap<SeatId, Duration>,
    most: usize,
}

impl Crowd {
    fn new(slots: usize) -> Self {
        let now = Instant::now();
        let (unchoked, peers, done) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { slots: Slots::new(slots), start: now, now, unchoked, peers, done, most: 0 }
    }

    fn comes(&mut self, wants: u64, rate: u64) -> SeatId {
        let id = self.slots.handle_arrival();
        self.peers.insert(id, (wants, rate));
        self.slots.handle_interest(id, Interest::Yes, self.now);
        self.listen();
        id
    }

    fn leaves(&mut self, id: SeatId) {
        self.peers.remove(&id);
        self.unchoked.remove(&id);
        self.slots.handle_departure(id, self.now);
        self.listen();
    }

    fn loses_interest(&mut self, id: SeatId) {
        self.slots.handle_interest(id, Interest::No, self.now);
        self.listen();
    }

    fn listen(&mut self) {
        while let Some((id, upload)) = self.slots.poll_change() {
            let changed = match upload {
                Upload::Unchoked => self.unchoked.insert(id),
                Upload::Choked => self.unchoked.remove(&id),
            };
            assert!(changed, "nobody is told the same thing twice");
            self.most = self.most.max(self.unchoked.len());
        }
    }

    /// One second: those that are served take their bytes, and leave when they have all.
    fn tick(&mut self) {
        self.now += Duration::from_secs(1);
        if self.slots.poll_timeout().is_some_and(|due| due <= self.now) {
            self.slots.handle_timeout(self.now);
            self.listen();
        }
        for id in self.unchoked.clone() {
            let Some((wants, rate)) = self.peers.get_mut(&id) else { continue };
            let taken = (*rate).min(*wants);
            *wants -= taken;
            let is_done = *wants == 0;
            if taken > 0 {
                self.slots.handle_taken(id, taken, self.now);
                self.listen();
            }
            if is_done {
                self.done.insert(id, self.now - self.start);
                self.leaves(id);
            }
        }
    }

    fn ticks(&mut self, seconds: u32) {
        (0..seconds).for_each(|_| self.tick());
    }

    fn is_served(&self, id: SeatId) -> bool {
        self.unchoked.contains(&id)
    }
}

const MIB: u64 = 1024 * 1024;

#[test]
fn of_two_hundred_peers_all_are_served_in_bounded_time_and_none_starves() {
    let mut crowd = Crowd::new(8);
    let peers: Vec<_> = (0..200).map(|_| crowd.comes(6 * MIB, MIB / 4)).collect();
    let mut first_served = BTreeMap::new();
    for second in 0..1_000 {
        for id in &crowd.unchoked {
            first_served.entry(*id).or_insert(second);
        }
        crowd.tick();
    }
    // Each needs 24 s of a slot: 25 rounds of 8.
    assert_eq!((crowd.most, crowd.done.len()), (8, 200));
    assert!(crowd.done.values().max() <= Some(&Duration::from_secs(25 * 25)), "{:?}", crowd.done.values().max());
    assert!(
        peers.windows(2).all(|pair| first_served[&pair[0]] <= first_served[&pair[1]]),
        "in the order of their coming"
    );
}

#[test]
fn slow_peers_take_turns_with_each_other_and_with_fast_ones() {
    let mut crowd = Crowd::new(8);
    let slow: Vec<_> = (0..100).map(|_| crowd.comes(u64::MAX, 10_000)).collect();
    let fast: Vec<_> = (0..100).map(|_| crowd.comes(100 * MIB, 10 * MIB)).collect();
    let mut longest = BTreeMap::new();
    let mut waits: BTreeMap<SeatId, u32> = slow.iter().chain(&fast).map(|id| (*id, 0)).collect();
    for _ in 0..3_600 {
        crowd.tick();
        for (id, waited) in &mut waits {
            *waited = if crowd.is_served(*id) || !crowd.peers.contains_key(id) { 0 } else { *waited + 1 };
            let longest = longest.entry(*id).or_insert(0);
            *longest = (*longest).max(*waited);
        }
    }
    // Before one comes again, all others had their turn of 30 s, a second late each: 199 of them in 8 slots.
    assert!(longest.values().all(|waited| *waited <= 199 * 31 / 8 + 31), "{longest:?}");
    assert_eq!(crowd.done.len(), 100, "the fast ones, which need 4 turns each, are done");
}

#[test]
fn a_peer_that_comes_gets_a_free_slot_at_once_and_one_that_leaves_frees_its_own() {
    let mut crowd = Crowd::new(2);
    let (a, b, c) = (crowd.comes(u64::MAX, 1), crowd.comes(u64::MAX, 1), crowd.comes(u64::MAX, 1));
    assert!(crowd.is_served(a) && crowd.is_served(b) && !crowd.is_served(c));
    crowd.leaves(a);
    assert!(crowd.is_served(c));
    let d = crowd.comes(u64::MAX, 1);
    crowd.loses_interest(b);
    assert!(crowd.is_served(d) && !crowd.is_served(b));
    assert_eq!(crowd.slots.poll_timeout(), None, "nobody waits, so nothing is due");
}

#[test]
fn while_nobody_waits_a_turn_does_not_end() {
    let mut crowd = Crowd::new(2);
    let (a, b) = (crowd.comes(u64::MAX, 1), crowd.comes(u64::MAX, 100 * MIB));
    assert_eq!(crowd.slots.poll_timeout(), None);
    crowd.ticks(1_000);
    assert!(crowd.is_served(a) && crowd.is_served(b));
    let c = crowd.comes(u64::MAX, 1);
    assert!(crowd.is_served(c), "turns are over, so a newcomer need not wait");
}

#[test]
fn one_who_takes_nothing_loses_its_slot_soon_and_comes_again_late() {
    let mut crowd = Crowd::new(1);
    let idle = crowd.comes(u64::MAX, 0);
    let honest = crowd.comes(u64::MAX, 1_000);
    crowd.ticks(9);
    assert!(crowd.is_served(idle));
    crowd.ticks(1);
    assert!(crowd.is_served(honest));
    crowd.ticks(31);
    assert!(crowd.is_served(honest), "the idle one's minute is not over");
    crowd.ticks(30);
    assert!(crowd.is_served(idle));
    crowd.ticks(10);
    assert!(crowd.is_served(honest));
    crowd.ticks(100);
    assert!(crowd.is_served(honest), "the second time it is two minutes");
}

#[test]
fn a_crowd_that_takes_nothing_does_not_keep_an_honest_peer_waiting_for_long() {
    let mut crowd = Crowd::new(8);
    for _ in 0..190 {
        crowd.comes(u64::MAX, 0);
    }
    let honest: Vec<_> = (0..10).map(|_| crowd.comes(60 * MIB, MIB)).collect();
    // Two turns each; before the first the idle ones waste ten seconds each, before the second five.
    crowd.ticks(190 / 8 * (10 + 5) + 4 * 31 + 30);
    assert!(honest.iter().all(|id| crowd.done.contains_key(id)), "{:?}", crowd.done);
}

#[test]
fn a_pause_takes_all_slots_and_afterwards_those_who_waited_longest_come_first() {
    let mut crowd = Crowd::new(2);
    let peers: Vec<_> = (0..4).map(|_| crowd.comes(u64::MAX, 1)).collect();
    crowd.ticks(5);
    crowd.slots.set_paused(true, crowd.now);
    crowd.listen();
    assert_eq!((crowd.unchoked.len(), crowd.slots.poll_timeout()), (0, None));
    let late = crowd.comes(u64::MAX, 1);
    crowd.ticks(100);
    assert_eq!(crowd.unchoked.len(), 0);
    crowd.slots.set_paused(false, crowd.now);
    crowd.listen();
    assert!(crowd.is_served(peers[2]) && crowd.is_served(peers[3]) && !crowd.is_served(late));
}

#[test]
fn more_and_fewer_slots_hold_at_once() {
    let mut crowd = Crowd::new(1);
    let peers: Vec<_> = (0..3).map(|_| crowd.comes(u64::MAX, 1)).collect();
    crowd.ticks(1);
    crowd.slots.set_slots(3, crowd.now);
    crowd.listen();
    assert_eq!(crowd.unchoked.len(), 3);
    crowd.slots.set_slots(1, crowd.now);
    crowd.listen();
    assert_eq!(crowd.unchoked.len(), 1);
    assert!(!crowd.is_served(peers[0]), "it was served longest");
    crowd.slots.set_slots(0, crowd.now);
    crowd.listen();
    assert_eq!(crowd.unchoked.len(), 0);
}

#[test]
fn a_peer_has_a_claim_while_it_waits_or_is_served_unless_it_let_its_last_turn_pass() {
    let mut crowd = Crowd::new(1);
    let idle = crowd.comes(u64::MAX, 0);
    let honest = crowd.comes(u64::MAX, 1_000);
    let claims = |crowd: &Crowd| [idle, honest].map(|id| crowd.slots.claim(id));
    assert_eq!(claims(&crowd), [Claim::Served, Claim::Waiting]);
    crowd.ticks(10);
    assert_eq!(claims(&crowd), [Claim::Nothing, Claim::Served]);
    crowd.ticks(61);
    assert!(crowd.is_served(idle));
    assert_eq!(claims(&crowd), [Claim::Nothing, Claim::Waiting]);
    crowd.slots.handle_taken(idle, 1, crowd.now);
    crowd.loses_interest(honest);
    assert_eq!(claims(&crowd), [Claim::Served, Claim::Nothing]);
    crowd.leaves(idle);
    assert_eq!(claims(&crowd), [Claim::Nothing; 2]);
}
