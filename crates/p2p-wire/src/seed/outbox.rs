//! Bytes that wait for the transport.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A queue that knows how many bytes it holds. Small messages that follow one another are one part: a refusal on its own
/// would take five times its seventeen bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    parts: VecDeque<Part>,
    /// Small messages after the last part.
    tail: BytesMut,
    bytes: usize,
    small_bytes: usize,
}

#[derive(Debug)]
enum Part {
    Large(Bytes),
    Small(Bytes),
}

impl Outbox {
    /// A block or its like.
    pub(super) fn push(&mut self, part: Bytes) {
        self.end_tail();
        self.bytes += part.len();
        self.parts.push_back(Part::Large(part));
    }

    pub(super) fn push_small(&mut self, message: &[u8]) {
        self.bytes += message.len();
        self.small_bytes += message.len();
        self.tail.extend_from_slice(message);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.parts.is_empty() {
            self.end_tail();
        }
        let part = match self.parts.pop_front()? {
            Part::Large(part) => part,
            Part::Small(part) => {
                self.small_bytes -= part.len();
                part
            }
        };
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

    /// The part of them that are small messages.
    pub(super) fn small_bytes(&self) -> usize {
        self.small_bytes
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push_back(Part::Small(std::mem::take(&mut self.tail).freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_out_in_order_and_small_messages_together() {
        let mut outbox = Outbox::default();
        outbox.push_small(b"a");
        outbox.push_small(b"b");
        outbox.push(Bytes::from_static(b"block"));
        outbox.push_small(b"c");
        assert_eq!((outbox.bytes(), outbox.small_bytes()), (8, 3));
        let parts: Vec<_> = std::iter::from_fn(|| outbox.pop()).collect();
        assert_eq!(parts, [&b"ab"[..], b"block", b"c"]);
        assert_eq!((outbox.bytes(), outbox.small_bytes()), (0, 0));
    }
}
