//! Who is served next, where more want data than there are upload slots.
//!
//! Few peers at a good speed finish sooner, and can serve others sooner, than many at a trickle. So only so many peers are
//! served at a time, each for a turn; then whoever has waited longest takes its place. A turn ends early for one who takes
//! nothing. While nobody waits, everybody stays, and nothing is due.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use p2p_wire::{Interest, Upload};

/// How long a peer is served while others wait. libtorrent and transmission look at their slots every 10 to 15 s, and leave
/// one who was just unchoked at least that long; a seed has nothing to measure meanwhile, so it may be longer.
pub(crate) const TURN: Duration = Duration::from_secs(30);
/// Bytes that end a turn too: a peer on a fast line has most packages whole by then.
pub(crate) const TURN_BYTES: u64 = 32 * 1024 * 1024;
/// How long a peer with a slot may take nothing while others wait; half as long after each turn that it wasted.
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// How much later than others the owner of an idle slot comes again, for each such turn. It is never more than
/// [`MAX_PENALTIES`] of them, so nobody is kept out for good.
const PENALTY: Duration = Duration::from_mins(1);
const MAX_PENALTIES: u32 = 5;

/// A peer that may want a slot.
pub(crate) type SeatId = u64;

/// What a peer outside of the local networks may expect at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it wants no data, or took none in its last turn.
    Nothing,
    /// A slot, for which it waits.
    Waiting,
    /// Data: it has a slot.
    Served,
}

/// The slots, and who waits for them.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: usize,
    is_paused: bool,
    seats: BTreeMap<SeatId, Seat>,
    next: SeatId,
    changes: VecDeque<(SeatId, Upload)>,
}

#[derive(Debug)]
struct Seat {
    state: State,
    /// Turns in a row in which nothing was taken.
    wasted: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Wants nothing.
    Resting,
    /// Waits; the earliest comes first.
    Waiting(Instant),
    Served(Turn),
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    since: Instant,
    taken: Instant,
    bytes: u64,
    idle: Duration,
}

impl Turn {
    fn due(&self) -> Instant {
        if self.bytes >= TURN_BYTES { self.since } else { (self.since + TURN).min(self.taken + self.idle) }
    }
}

impl Slots {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, is_paused: false, seats: BTreeMap::new(), next: 0, changes: VecDeque::new() }
    }

    /// A peer has come; it is choked until [`Self::poll_change`] says otherwise.
    pub(crate) fn handle_arrival(&mut self) -> SeatId {
        let id = self.next;
        self.next += 1;
        self.seats.insert(id, Seat { state: State::Resting, wasted: 0 });
        id
    }

    /// A peer has left; nothing more is said about it.
    pub(crate) fn handle_departure(&mut self, id: SeatId, now: Instant) {
        self.seats.remove(&id);
        self.settle(now);
    }

    /// A peer wants data, or no more.
    pub(crate) fn handle_interest(&mut self, id: SeatId, interest: Interest, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        match (interest, seat.state) {
            (Interest::Yes, State::Resting) => seat.state = State::Waiting(now + penalty(seat.wasted)),
            (Interest::No, State::Served(turn)) => {
                seat.wasted += u32::from(turn.bytes == 0);
                seat.state = State::Resting;
                self.changes.push_back((id, Upload::Choked));
            }
            (Interest::No, State::Waiting(_)) => seat.state = State::Resting,
            (Interest::Yes, _) | (Interest::No, State::Resting) => return,
        }
        self.settle(now);
    }

    /// A peer has taken bytes of blocks; whether that ends its turn, and so may begin another's.
    pub(crate) fn handle_taken(&mut self, id: SeatId, bytes: u64, now: Instant) -> bool {
        let Some(Seat { state: State::Served(turn), wasted }) = self.seats.get_mut(&id) else { return false };
        turn.bytes += bytes;
        (turn.taken, turn.idle) = (now, IDLE);
        *wasted = 0;
        let is_over = turn.bytes >= TURN_BYTES;
        if is_over {
            self.settle(now);
        }
        is_over
    }

    /// Ends the turns that are over; call it when [`Self::poll_timeout`]'s time has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
    }

    /// Replaces the number of slots; those served longest give way to a smaller one.
    pub(crate) fn set_slots(&mut self, slots: usize, now: Instant) {
        self.slots = slots;
        self.settle(now);
    }

    /// Serves nobody from now on, or goes on.
    pub(crate) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        self.is_paused = is_paused;
        self.settle(now);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// What a peer may expect now.
    pub(crate) fn claim(&self, id: SeatId) -> Claim {
        match self.seats.get(&id) {
            Some(Seat { state: State::Waiting(_), wasted: 0 }) => Claim::Waiting,
            Some(Seat { state: State::Served(_), wasted: 0 }) => Claim::Served,
            Some(_) | None => Claim::Nothing,
        }
    }

    /// What a peer shall be told next.
    pub(crate) fn poll_change(&mut self) -> Option<(SeatId, Upload)> {
        self.changes.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called; none while nobody waits for somebody's turn to end.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let (_, since) = self.first_waiting()?;
        let ends = |turn: &Turn, wasted| turn.due().max(since.checked_sub(penalty(wasted)).unwrap_or(since));
        self.served().map(|(_, turn, wasted)| ends(turn, wasted)).min()
    }

    fn settle(&mut self, now: Instant) {
        let slots = if self.is_paused { 0 } else { self.slots };
        while self.served().count() > slots {
            let longest = self.served().min_by_key(|(id, turn, _)| (turn.since, *id));
            let (id, ..) = longest.expect("there are more served than slots");
            self.end_turn(id, 0, now);
        }
        while self.served().count() < slots
            && let Some((id, _)) = self.first_waiting()
        {
            self.begin_turn(id, now);
        }
        while let Some((first, since)) = self.first_waiting()
            && let Some((id, wasted)) = self.overdue(since, now)
        {
            self.end_turn(id, wasted, now);
            self.begin_turn(first, now);
        }
    }

    /// Whose turn is over, for one who waits since then: the one whose turn should have ended first.
    fn overdue(&self, since: Instant, now: Instant) -> Option<(SeatId, u32)> {
        let over = self.served().filter(|(_, turn, wasted)| turn.due() <= now && since <= now + penalty(*wasted));
        over.min_by_key(|(id, turn, _)| (turn.due(), *id)).map(|(id, _, wasted)| (id, wasted))
    }

    fn begin_turn(&mut self, id: SeatId, now: Instant) {
        let seat = self.seats.get_mut(&id).expect("who waits has a seat");
        let idle = IDLE / (1 << seat.wasted.min(MAX_PENALTIES));
        seat.state = State::Served(Turn { since: now, taken: now, bytes: 0, idle });
        self.changes.push_back((id, Upload::Unchoked));
    }

    fn end_turn(&mut self, id: SeatId, wasted: u32, now: Instant) {
        let seat = self.seats.get_mut(&id).expect("who is served has a seat");
        (seat.state, seat.wasted) = (State::Waiting(now + penalty(wasted)), wasted);
        self.changes.push_back((id, Upload::Choked));
    }

    /// Those that are served, with the turns in a row that they will have wasted if this one ends now.
    fn served(&self) -> impl Iterator<Item = (SeatId, &Turn, u32)> {
        self.seats.iter().filter_map(|(id, seat)| match &seat.state {
            State::Served(turn) if turn.bytes == 0 => Some((*id, turn, seat.wasted + 1)),
            State::Served(turn) => Some((*id, turn, 0)),
            State::Resting | State::Waiting(_) => None,
        })
    }

    fn first_waiting(&self) -> Option<(SeatId, Instant)> {
        let waiting = self.seats.iter().filter_map(|(id, seat)| match seat.state {
            State::Waiting(since) => Some((*id, since)),
            State::Resting | State::Served(_) => None,
        });
        waiting.min_by_key(|(id, since)| (*since, *id))
    }
}

fn penalty(wasted: u32) -> Duration {
    PENALTY * wasted.min(MAX_PENALTIES)
}

#[cfg(test)]
mod tests;
