//! Machines on a LAN that update together, in steps of some milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use p2p_package::Sha256;

use super::super::{Peer, Said, Turn, Turns};

const STEP: Duration = Duration::from_millis(10);
/// How long a neighbour takes to send a package, and how much longer to be given up where it does not.
const LOAN: Duration = Duration::from_millis(20);
const BROKEN_LOAN: Duration = Duration::from_secs(1);
const PACKAGES: u32 = 100;
const BYTES: u32 = 200_000;
/// Bytes a second, for all.
const MIRROR: f64 = 2_500_000.0;
const LANES: usize = 6;
const END: Duration = Duration::from_mins(5);

/// What a machine is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temper {
    Honest,
    JoinsAt(Duration),
    /// It says nothing from then on, and its connections stay.
    FreezesAt(Duration),
    SaysComing,
    SaysHere,
}

struct Machine {
    temper: Temper,
    turns: Turns<usize>,
    here: BTreeSet<Sha256>,
    /// Bytes that are missing, and who sends what, until when.
    streams: BTreeMap<Sha256, f64>,
    loans: BTreeMap<Sha256, (usize, Instant)>,
    /// Who has asked for what, and whom we have asked.
    askers: BTreeMap<Sha256, BTreeSet<usize>>,
    asked: BTreeSet<usize>,
}

/// How it went.
pub(super) struct Network {
    machines: Vec<Machine>,
    packages: Vec<Sha256>,
    begun: Instant,
    now: Instant,
    from_mirror: f64,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (share, time) = (self.mirrors_share(), self.time_to_the_mirrors());
        write!(formatter, "{share:.2} of the bytes from the mirror, in {time:.2} of one machine's time")
    }
}

impl Network {
    pub(super) fn run(tempers: &[Temper]) -> Self {
        let (begun, packages) = (Instant::now(), (0..PACKAGES).map(|n| Sha256::of(&n.to_be_bytes())).collect());
        let machine = |(number, temper): (usize, &Temper)| Machine {
            temper: *temper,
            turns: Turns::new(peer_id(number)),
            here: BTreeSet::new(),
            streams: BTreeMap::new(),
            loans: BTreeMap::new(),
            askers: BTreeMap::new(),
            asked: BTreeSet::new(),
        };
        let machines = tempers.iter().enumerate().map(machine).collect();
        let mut network = Self { machines, packages, begun, now: begun, from_mirror: 0.0 };
        while !network.is_over() {
            network.step();
            assert!(network.now < begun + END, "it does not end: {network:?}");
        }
        network
    }

    /// Bytes that the mirror sent, by those of the packages.
    pub(super) fn mirrors_share(&self) -> f64 {
        self.from_mirror / (f64::from(PACKAGES) * f64::from(BYTES))
    }

    /// The time of all machines, by that of one machine without neighbours.
    pub(super) fn time_to_the_mirrors(&self) -> f64 {
        (self.now - self.begun).as_secs_f64() / (f64::from(PACKAGES) * f64::from(BYTES) / MIRROR)
    }

    fn is_over(&self) -> bool {
        let is_well = |machine: &&Machine| matches!(machine.temper, Temper::Honest | Temper::JoinsAt(_));
        self.machines.iter().filter(is_well).all(|machine| machine.here.len() == self.packages.len())
    }

    fn works(&self, number: usize) -> bool {
        match self.machines[number].temper {
            Temper::Honest => true,
            Temper::JoinsAt(after) => self.begun + after <= self.now,
            Temper::FreezesAt(after) => self.now < self.begun + after,
            Temper::SaysComing | Temper::SaysHere => false,
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        for number in 0..self.machines.len() {
            if self.works(number) {
                self.begin(number);
                let machine = &mut self.machines[number];
                machine.turns.note_idleness(self.now);
                let due = machine.turns.poll_timeout().is_some_and(|at| at <= self.now);
                let anew = if due { machine.turns.handle_timeout(self.now) } else { Vec::new() };
                self.ask(number, &anew);
                self.decide(number);
            }
        }
        self.stream();
        self.lend();
    }

    /// All is asked for when a machine begins, and when somebody asks who has not been asked.
    fn begin(&mut self, number: usize) {
        let wants = |id: &&Sha256| !self.machines[number].here.contains(id);
        let wanted: Vec<Sha256> = self.packages.iter().filter(wants).copied().collect();
        let machine = &mut self.machines[number];
        let is_first = machine.asked.is_empty();
        let has_stranger = machine.askers.values().flatten().any(|asker| !machine.asked.contains(asker));
        if is_first {
            for id in &wanted {
                machine.turns.want(*id, u64::from(BYTES), Some(2_500_000));
            }
        }
        if is_first || has_stranger {
            self.ask(number, &wanted);
        }
    }

    fn ask(&mut self, number: usize, ids: &[Sha256]) {
        if ids.is_empty() {
            return;
        }
        let absent = |other: &usize| matches!(self.machines[*other].temper, Temper::JoinsAt(_)) && !self.works(*other);
        let others: Vec<usize> = (0..self.machines.len()).filter(|other| *other != number && !absent(other)).collect();
        let peers: Vec<Peer<usize>> =
            others.iter().map(|id| Peer { id: *id, peer_id: peer_id(*id), is_local: true }).collect();
        let machine = &mut self.machines[number];
        let strangers: Vec<Peer<usize>> =
            peers.iter().filter(|peer| !machine.asked.contains(&peer.id)).copied().collect();
        machine.asked.extend(&others);
        machine.asked.insert(number);
        machine.turns.handle_asked_anew(self.now);
        for id in ids {
            if !strangers.is_empty() {
                self.machines[number].turns.handle_asked(id, &strangers, self.now);
            }
            for peer in &peers {
                if let Some(said) = self.answer(peer.id, number, id) {
                    self.machines[number].turns.handle_answer(*peer, id, said, self.now);
                }
            }
        }
    }

    fn answer(&mut self, number: usize, asker: usize, id: &Sha256) -> Option<Said> {
        let works = self.works(number);
        let machine = &mut self.machines[number];
        match machine.temper {
            Temper::SaysComing => return Some(Said::Coming),
            Temper::SaysHere => return Some(Said::Here),
            Temper::Honest | Temper::JoinsAt(_) | Temper::FreezesAt(_) if !works => return None,
            Temper::Honest | Temper::JoinsAt(_) | Temper::FreezesAt(_) => {}
        }
        if machine.here.contains(id) {
            return Some(Said::Here);
        }
        machine.askers.entry(*id).or_default().insert(asker);
        Some(if machine.streams.contains_key(id) { Said::Coming } else { Said::Absent })
    }

    fn decide(&mut self, number: usize) {
        let machine = &mut self.machines[number];
        for id in &self.packages {
            if machine.here.contains(id) || machine.streams.contains_key(id) || machine.loans.contains_key(id) {
                continue;
            }
            if machine.turns.wants_rivals(id, self.now) {
                let askers = machine.askers.get(id).into_iter().flatten();
                let rivals: Vec<_> = askers.map(|asker| (*asker, peer_id(*asker))).collect();
                machine.turns.handle_rivals(id, &rivals, self.now);
            }
            match machine.turns.turn(id, self.now) {
                Turn::Here if machine.loans.len() < LANES => {
                    let holders = machine.turns.holders(id, self.now);
                    let holder = holders[number % holders.len()];
                    machine.loans.insert(*id, (holder, self.now + LOAN));
                }
                Turn::Ours if machine.streams.len() < LANES => {
                    machine.turns.handle_sent(id);
                    machine.streams.insert(*id, f64::from(BYTES));
                }
                Turn::Here | Turn::Ours | Turn::Asking | Turn::Theirs => {}
            }
        }
    }

    fn stream(&mut self) {
        let working: Vec<usize> = (0..self.machines.len()).filter(|number| self.works(*number)).collect();
        let streams: usize = working.iter().map(|number| self.machines[*number].streams.len()).sum();
        let each = MIRROR * STEP.as_secs_f64() / f64::from(u32::try_from(streams.max(1)).expect("a few"));
        for number in working {
            let mut complete = Vec::new();
            for (id, left) in &mut self.machines[number].streams {
                self.from_mirror += each.min(*left);
                *left -= each;
                if *left <= 0.0 {
                    complete.push(*id);
                }
            }
            for id in &complete {
                self.come(number, id);
            }
        }
    }

    fn lend(&mut self) {
        for number in 0..self.machines.len() {
            let due = |(id, (from, at)): (&Sha256, &(usize, Instant))| {
                let gives = self.works(*from);
                let at = if gives { *at } else { *at + BROKEN_LOAN };
                (at <= self.now).then_some((*id, *from, gives))
            };
            let ended: Vec<_> = self.machines[number].loans.iter().filter_map(due).collect();
            for (id, from, gives) in ended {
                let machine = &mut self.machines[number];
                machine.loans.remove(&id);
                if gives {
                    machine.turns.handle_brought(from, self.now);
                    self.come(number, &id);
                } else {
                    machine.turns.handle_refused(from, &id, self.now);
                }
            }
        }
    }

    fn come(&mut self, number: usize, id: &Sha256) {
        let machine = &mut self.machines[number];
        machine.streams.remove(id);
        machine.here.insert(*id);
        machine.turns.handle_here(id);
        let askers = machine.askers.remove(id).unwrap_or_default();
        let us = Peer { id: number, peer_id: peer_id(number), is_local: true };
        for asker in askers {
            self.machines[asker].turns.handle_answer(us, id, Said::Here, self.now);
        }
    }
}

fn peer_id(number: usize) -> [u8; 20] {
    [u8::try_from(number).expect("a few machines"); 20]
}
