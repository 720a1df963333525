//! Cuts the bytes of a connection into messages.

use bytes::{Buf, Bytes, BytesMut};

use crate::message::{Message, check_length};

/// Collects bytes until they make a message; holds at most one unfinished message.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    max_message_bytes: usize,
}

/// The other side does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingFault {
    /// Longer than anything that belongs here.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// The message's id asks for another length.
    #[error("a message with id {id} does not have {length} bytes")]
    Length {
        /// The message's id.
        id: u8,
        /// Its length with the id, in bytes.
        length: usize,
    },
}

impl Framer {
    /// A framer for messages of up to `max_message_bytes`, without the length prefix.
    #[must_use]
    pub fn new(max_message_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), max_message_bytes }
    }

    /// Takes the next bytes in. Take out all messages after each call: then the buffer stays bounded.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that is complete.
    ///
    /// # Errors
    ///
    /// A message that is too long or has the wrong length for its id, as soon as its first bytes tell.
    pub fn next_message(&mut self) -> Result<Option<Message>, FramingFault> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(self.nothing());
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length == 0 {
            self.buffer.advance(4);
            return Ok(Some(Message::KeepAlive));
        }
        if length > self.max_message_bytes {
            return Err(FramingFault::TooLong(length));
        }
        let Some(id) = self.buffer.get(4).copied() else {
            return Ok(self.nothing());
        };
        check_length(id, length)?;
        if self.buffer.len() < 4 + length {
            return Ok(self.nothing());
        }
        self.buffer.advance(5);
        let payload: Bytes = self.buffer.split_to(length - 1).freeze();
        Message::decode(id, payload).map(Some)
    }

    /// Lets go of an empty buffer's memory: most connections are idle most of the time.
    fn nothing(&mut self) -> Option<Message> {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        None
    }
}

#[cfg(test)]
mod tests;
