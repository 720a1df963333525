//! Bytes that wait for the transport, and which of their questions they answer.

use std::collections::VecDeque;

use bytes::Bytes;

use super::limits::SEND_BUFFER;

/// A queue that knows how many bytes it holds. A question counts as unanswered until its answer has left: so who asks and
/// does not read soon has asked enough.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    parts: VecDeque<(Bytes, Ends)>,
    bytes: usize,
}

/// What the other side is done with once it has read a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Nothing,
    Question,
    Get,
    /// A question or get that was one too many.
    Excess,
}

impl Outbox {
    pub(super) fn push(&mut self, message: Bytes, ends: Ends) {
        self.bytes += message.len();
        self.parts.push_back((message, ends));
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let (message, _) = self.parts.pop_front()?;
        self.bytes -= message.len();
        if self.parts.is_empty() {
            // Most connections are idle most of the time.
            self.parts = VecDeque::new();
        }
        Some(message)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether what is large may be added.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < SEND_BUFFER
    }

    /// Messages that wait and end one of these.
    pub(super) fn count(&self, ends: Ends) -> usize {
        self.parts.iter().filter(|(_, other)| *other == ends).count()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
