//! The bytes of one answer, on their way to whoever reads them.

use bytes::{Bytes, BytesMut};
use p2p_wire::DATA_BLOCK_BYTES;

use super::waiting::Get;

/// What is not handed on yet is less than a block: others may send as few bytes at a time as they like, and the queue is
/// counted in parts.
#[derive(Debug)]
pub(super) struct Incoming {
    get: Get,
    gathered: BytesMut,
}

impl Incoming {
    pub(super) fn new(get: Get) -> Self {
        Self { get, gathered: BytesMut::new() }
    }

    /// Hands bytes on, small ones together; whether anybody still wants them.
    pub(super) fn push(&mut self, bytes: Bytes, is_last: bool) -> bool {
        self.get.range.start += bytes.len() as u64;
        let is_block = is_last || bytes.len() >= DATA_BLOCK_BYTES;
        if self.gathered.is_empty() && is_block {
            return self.get.parts.try_send(Ok(bytes)).is_ok();
        }
        self.gathered.extend_from_slice(&bytes);
        if is_last || self.gathered.len() >= DATA_BLOCK_BYTES { self.flush() } else { !self.get.parts.is_closed() }
    }

    /// No more comes for now. Hands on what has been gathered; what is still to be got, if anybody still wants it.
    pub(super) fn end(mut self) -> Option<Get> {
        self.flush().then_some(self.get)
    }

    fn flush(&mut self) -> bool {
        self.gathered.is_empty() || self.get.parts.try_send(Ok(self.gathered.split().freeze())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::Sha256;
    use p2p_wire::{Kind, What};
    use tokio::sync::mpsc;

    use super::*;
    use crate::replies::Part;

    fn incoming(length: u64, parts: mpsc::Sender<Part>) -> Incoming {
        let what = What { id: Sha256::of(b"a file"), kind: Kind::Package };
        Incoming::new(Get::new(what, 0..length, parts))
    }

    #[test]
    fn four_mebibytes_in_single_kibibytes_fit_a_queue_of_256_parts_and_nothing_is_lost() {
        let (sender, mut receiver) = mpsc::channel(256);
        let mut incoming = incoming(4 << 20, sender);
        let file: Vec<u8> = (0..4 << 20).map(|at: u32| at.to_be_bytes()[2]).collect();
        for (at, part) in file.chunks(1_000).enumerate() {
            assert!(incoming.push(Bytes::copy_from_slice(part), (at + 1) * 1_000 >= file.len()));
        }
        drop(incoming);
        let read: Vec<u8> = std::iter::from_fn(|| receiver.try_recv().ok()?.ok()).flatten().collect();
        assert!(read == file, "{} of {} bytes", read.len(), file.len());
    }

    #[test]
    fn what_was_gathered_when_the_file_ended_early_is_handed_on_too() {
        let (sender, mut receiver) = mpsc::channel(4);
        let mut incoming = incoming(9, sender);
        assert!(incoming.push(Bytes::from_static(b"ab"), false) && incoming.push(Bytes::from_static(b"c"), false));
        assert!(receiver.try_recv().is_err());
        let rest = incoming.end().expect("somebody waits for the rest");
        assert_eq!((receiver.try_recv(), &rest.range), (Ok(Ok(Bytes::from_static(b"abc"))), &(3..9)));
        drop(receiver);
        assert!(!Incoming::new(rest).push(Bytes::from_static(b"d"), false), "nobody reads");
    }
}
