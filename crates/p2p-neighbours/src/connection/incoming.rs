//! The bytes of one answer, on their way to whoever reads them.

use bytes::{Bytes, BytesMut};
use p2p_wire::DATA_BLOCK_BYTES;
use tokio::sync::mpsc;

/// What is not handed on yet is less than a block: others may send as few bytes at a time as they like, and the queue is
/// counted in parts.
#[derive(Debug)]
pub(super) struct Incoming {
    parts: mpsc::Sender<Bytes>,
    gathered: BytesMut,
}

impl Incoming {
    pub(super) fn new(parts: mpsc::Sender<Bytes>) -> Self {
        Self { parts, gathered: BytesMut::new() }
    }

    /// Hands bytes on, small ones together; whether anybody still wants them.
    pub(super) fn push(&mut self, bytes: Bytes, is_last: bool) -> bool {
        let is_block = is_last || bytes.len() >= DATA_BLOCK_BYTES;
        if self.gathered.is_empty() && is_block {
            return self.parts.try_send(bytes).is_ok();
        }
        self.gathered.extend_from_slice(&bytes);
        if is_last || self.gathered.len() >= DATA_BLOCK_BYTES { self.flush() } else { !self.parts.is_closed() }
    }

    /// Hands on what has been gathered; whether anybody still wants it.
    pub(super) fn flush(&mut self) -> bool {
        self.gathered.is_empty() || self.parts.try_send(self.gathered.split().freeze()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_mebibytes_in_single_kibibytes_fit_a_queue_of_256_parts_and_nothing_is_lost() {
        let (sender, mut receiver) = mpsc::channel(256);
        let mut incoming = Incoming::new(sender);
        let file: Vec<u8> = (0..4 << 20).map(|at: u32| at.to_be_bytes()[2]).collect();
        for (at, part) in file.chunks(1_000).enumerate() {
            assert!(incoming.push(Bytes::copy_from_slice(part), (at + 1) * 1_000 >= file.len()));
        }
        drop(incoming);
        let read: Vec<u8> = std::iter::from_fn(|| receiver.try_recv().ok()).flatten().collect();
        assert!(read == file, "{} of {} bytes", read.len(), file.len());
    }

    #[test]
    fn what_was_gathered_when_the_file_ended_early_is_handed_on_too() {
        let (sender, mut receiver) = mpsc::channel(4);
        let mut incoming = Incoming::new(sender);
        assert!(incoming.push(Bytes::from_static(b"ab"), false) && incoming.push(Bytes::from_static(b"c"), false));
        assert!(receiver.try_recv().is_err());
        assert!(incoming.flush());
        assert_eq!(receiver.try_recv().ok().as_deref(), Some(&b"abc"[..]));
        drop(receiver);
        assert!(!incoming.push(Bytes::from_static(b"d"), false), "nobody reads");
    }
}
