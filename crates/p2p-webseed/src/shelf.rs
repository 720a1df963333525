//! Bytes of one range that have arrived and are not yet served.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// A window on a file: it grows at its end as bytes arrive, and shrinks at its beginning as they are served.
#[derive(Debug)]
pub(crate) struct Shelf {
    begins_at: u64,
    ends_at: u64,
    chunks: VecDeque<Bytes>,
}

impl Shelf {
    /// An empty window at `offset`.
    pub(crate) fn new(offset: u64) -> Self {
        Self { begins_at: offset, ends_at: offset, chunks: VecDeque::new() }
    }

    /// The offset of the first byte.
    pub(crate) fn begins_at(&self) -> u64 {
        self.begins_at
    }

    /// The offset after the last byte.
    pub(crate) fn ends_at(&self) -> u64 {
        self.ends_at
    }

    /// The bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.ends_at - self.begins_at
    }

    /// Puts the next bytes at the end.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.ends_at += chunk.len() as u64;
        self.chunks.push_back(chunk);
    }

    /// Throws away what lies before `offset`.
    pub(crate) fn release(&mut self, offset: u64) {
        while self.begins_at < offset {
            let Some(first) = self.chunks.front_mut() else {
                return;
            };
            let excess = usize::try_from(offset - self.begins_at).unwrap_or(usize::MAX).min(first.len());
            first.advance(excess);
            self.begins_at += excess as u64;
            if first.is_empty() {
                self.chunks.pop_front();
            }
        }
    }

    /// The `length` bytes from `offset`, copied only where they came in several chunks; none where they are not all there.
    pub(crate) fn get(&self, offset: u64, length: usize) -> Option<Bytes> {
        if offset < self.begins_at || offset + length as u64 > self.ends_at {
            return None;
        }
        let mut skip = usize::try_from(offset - self.begins_at).ok()?;
        let mut chunks = self.chunks.iter();
        let first = loop {
            let chunk = chunks.next()?;
            if skip < chunk.len() {
                break chunk;
            }
            skip -= chunk.len();
        };
        if skip + length <= first.len() {
            return Some(first.slice(skip..skip + length));
        }
        let mut block = BytesMut::with_capacity(length);
        block.extend_from_slice(&first[skip..]);
        for chunk in chunks {
            let part = chunk.len().min(length - block.len());
            block.extend_from_slice(&chunk[..part]);
        }
        Some(block.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn what_is_released_or_has_not_come_is_not_there() {
        let mut shelf = Shelf::new(100);
        shelf.push(Bytes::from_static(b"abcdef"));
        shelf.release(102);
        assert_eq!((shelf.begins_at(), shelf.ends_at(), shelf.bytes()), (102, 106, 4));
        assert_eq!(shelf.get(101, 2), None);
        assert_eq!(shelf.get(105, 2), None);
        assert_eq!(shelf.get(102, 4), Some(Bytes::from_static(b"cdef")));
        shelf.release(1000);
        assert_eq!(shelf.bytes(), 0);
    }

    proptest! {
        #[test]
        fn chunks_are_invisible(chunk in 1_usize..20, offset in 0_u64..50, length in 1_usize..50) {
            let file: Vec<u8> = (0..100).collect();
            let mut shelf = Shelf::new(0);
            file.chunks(chunk).for_each(|chunk| shelf.push(Bytes::copy_from_slice(chunk)));
            shelf.release(offset);
            let start = usize::try_from(offset).expect("small");
            let expected = Bytes::copy_from_slice(&file[start..start + length]);
            prop_assert_eq!(shelf.get(offset, length), Some(expected));
        }
    }
}
