//! Bytes that wait for the transport.

use std::collections::VecDeque;

use bytes::Bytes;

/// A queue that knows how many bytes it holds.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, part: Bytes) {
        self.bytes += part.len();
        self.parts.push_back(part);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let part = self.parts.pop_front()?;
        self.bytes -= part.len();
        if self.parts.is_empty() {
            // Most connections are idle most of the time.
            self.parts = VecDeque::new();
        }
        Some(part)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
