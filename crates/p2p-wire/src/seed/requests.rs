//! What the other side has asked for and not got yet.

use std::collections::VecDeque;

use crate::Block;
use crate::limits::MAX_QUEUED_REQUESTS;

/// Requests in the order in which they came: first those that wait, then those that the driver is getting.
#[derive(Debug, Default)]
pub(super) struct RequestQueue {
    waiting: VecDeque<Block>,
    handed_out: Vec<Block>,
    handed_out_bytes: usize,
}

impl RequestQueue {
    /// Takes a request in; false where there are too many. Who asks twice is answered twice.
    pub(super) fn add(&mut self, block: Block) -> bool {
        let has_room = self.waiting.len() + self.handed_out.len() < MAX_QUEUED_REQUESTS;
        if has_room {
            self.waiting.push_back(block);
        }
        has_room
    }

    /// Forgets a request; false where it is not there, or has been answered.
    pub(super) fn cancel(&mut self, block: Block) -> bool {
        let waiting = self.waiting.iter().position(|other| *other == block);
        waiting.and_then(|at| self.waiting.remove(at)).is_some() || self.take(block)
    }

    /// The next request for the driver, if it fits into `room` bytes, or however long it is if `alone`.
    pub(super) fn hand_out(&mut self, room: usize, alone: bool) -> Option<Block> {
        let block = *self.waiting.front()?;
        if block.length as usize > room && !alone {
            return None;
        }
        self.waiting.pop_front();
        if self.waiting.is_empty() {
            // Most connections are idle most of the time.
            self.waiting = VecDeque::new();
        }
        self.handed_out_bytes += block.length as usize;
        self.handed_out.push(block);
        Some(block)
    }

    /// Ends a request that the driver got; false where it has been cancelled.
    pub(super) fn take(&mut self, block: Block) -> bool {
        let Some(at) = self.handed_out.iter().position(|other| *other == block) else {
            return false;
        };
        self.handed_out.swap_remove(at);
        self.handed_out_bytes -= block.length as usize;
        true
    }

    /// Forgets all requests and returns them.
    pub(super) fn clear(&mut self) -> Vec<Block> {
        self.handed_out_bytes = 0;
        self.handed_out.drain(..).chain(self.waiting.drain(..)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.handed_out.is_empty()
    }

    pub(super) fn handed_out_bytes(&self) -> usize {
        self.handed_out_bytes
    }
}
