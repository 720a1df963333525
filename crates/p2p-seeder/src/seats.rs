//! Tells connections when they may upload; the decisions are [`Slots`]'.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use p2p_wire::{Interest, Upload};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::slots::{Claim, SeatId, Slots};

/// The seats of all connections with peers outside of the local networks.
#[derive(Debug)]
pub(crate) struct Seats {
    book: Mutex<Book>,
    /// Where connections are served, and so where turns end.
    runtime: OnceLock<Handle>,
    /// A turn ends earlier than the task sleeps.
    earlier: Notify,
}

#[derive(Debug)]
struct Book {
    slots: Slots,
    told: BTreeMap<SeatId, watch::Sender<Upload>>,
    /// What the task that ends turns sleeps for; it exists only while somebody waits for a slot.
    sleeps_until: Option<std::time::Instant>,
}

/// One connection's seat; it is free when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    id: SeatId,
}

impl Seats {
    pub(crate) fn new(slots: usize) -> Self {
        let book = Book { slots: Slots::new(slots), told: BTreeMap::new(), sleeps_until: None };
        Self { book: Mutex::new(book), runtime: OnceLock::new(), earlier: Notify::new() }
    }

    /// Gives a connection a seat, and what it is told: choked at first.
    pub(crate) fn take(self: &Arc<Self>) -> (Seat, watch::Receiver<Upload>) {
        self.runtime.get_or_init(Handle::current);
        let (sender, receiver) = watch::channel(Upload::Choked);
        let mut book = self.lock();
        let id = book.slots.handle_arrival();
        book.told.insert(id, sender);
        (Seat { seats: Arc::clone(self), id }, receiver)
    }

    pub(crate) fn set_slots(self: &Arc<Self>, slots: usize) {
        self.change(|book, now| book.set_slots(slots, now));
    }

    pub(crate) fn set_paused(self: &Arc<Self>, is_paused: bool) {
        self.change(|book, now| book.set_paused(is_paused, now));
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.lock().slots.is_paused()
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Slots, std::time::Instant)) {
        let mut book = self.lock();
        change(&mut book.slots, Instant::now().into_std());
        book.tell();
        let Some(due) = book.slots.poll_timeout() else { return };
        match (book.sleeps_until, self.runtime.get()) {
            (Some(until), _) if due < until => self.earlier.notify_one(),
            (None, Some(runtime)) => {
                book.sleeps_until = Some(due);
                runtime.spawn(end_turns(Arc::downgrade(self)));
            }
            (Some(_), _) | (None, None) => (),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn tell(&mut self) {
        while let Some((id, upload)) = self.slots.poll_change() {
            if let Some(told) = self.told.get(&id) {
                told.send_replace(upload);
            }
        }
    }
}

/// Ends turns as long as somebody waits for that.
async fn end_turns(seats: Weak<Seats>) {
    while let Some(seats) = seats.upgrade() {
        let due = {
            let mut book = seats.lock();
            book.slots.handle_timeout(Instant::now().into_std());
            book.tell();
            book.sleeps_until = book.slots.poll_timeout();
            book.sleeps_until
        };
        let Some(due) = due else { return };
        tokio::select! {
            () = sleep_until(due.into()) => {}
            () = seats.earlier.notified() => {}
        }
    }
}

impl Seat {
    /// Notes whether the peer wants data.
    pub(crate) fn note_interest(&self, interest: Interest) {
        self.seats.change(|slots, now| slots.handle_interest(self.id, interest, now));
    }

    /// What the peer may expect now.
    pub(crate) fn claim(&self) -> Claim {
        self.seats.lock().slots.claim(self.id)
    }

    /// Notes bytes of blocks that the peer has taken.
    pub(crate) fn note_taken(&self, bytes: usize) {
        let is_over = self.seats.lock().slots.handle_taken(self.id, bytes as u64, Instant::now().into_std());
        if is_over {
            // Whose turn begins has a time of its own.
            self.seats.change(|_, _| ());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().told.remove(&self.id);
        self.seats.change(|slots, now| slots.handle_departure(self.id, now));
    }
}
