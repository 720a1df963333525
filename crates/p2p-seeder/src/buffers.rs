//! Memory for blocks on their way to peers: large for the few who take fast, small for the many who do not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes of a large buffer. Sixteen blocks at once cost a sixteenth of the system calls and wake-ups; more gained nothing
/// on loopback.
pub(crate) const LARGE: usize = 256 * 1024;
/// Bytes of blocks that a connection holds where no large buffer is left.
pub(crate) const SMALL: usize = 32 * 1024;
/// Large buffers in all: 16 MiB. Peers that take nothing keep theirs for a minute; the others go on with small ones.
const MAX_LARGE: usize = 64;
/// Large buffers that are kept for the next connection: 1 MiB.
const MAX_SPARE: usize = 4;

/// The large buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Stock>);

#[derive(Debug, Default)]
struct Stock {
    in_use: usize,
    spare: Vec<Box<[u8]>>,
}

/// The right to one large buffer.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Buffers>);

/// A buffer; a large one goes back when the last of its bytes are dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    permit: Option<Permit>,
}

impl Buffers {
    /// The right to a large buffer, where one is left.
    pub(crate) fn permit(self: &Arc<Self>) -> Option<Permit> {
        let mut stock = self.lock();
        let is_left = stock.in_use < MAX_LARGE;
        stock.in_use += usize::from(is_left);
        is_left.then(|| Permit(Arc::clone(self)))
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lock().in_use -= 1;
    }
}

impl Buffer {
    /// A buffer for `length` bytes, a large one where that needs one.
    pub(crate) fn new(length: usize, permit: Option<Permit>) -> Self {
        let permit = permit.filter(|_| (SMALL + 1..=LARGE).contains(&length));
        let spare = permit.as_ref().and_then(|permit| permit.0.lock().spare.pop());
        let size = if permit.is_some() { LARGE } else { length };
        Self { bytes: spare.unwrap_or_else(|| vec![0; size].into()), length, permit }
    }

    /// What is to be filled.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Shares what has been filled.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(permit) = &self.permit {
            let mut stock = permit.0.lock();
            if stock.spare.len() < MAX_SPARE {
                stock.spare.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_few_and_come_back_with_their_last_bytes() {
        let buffers = Arc::new(Buffers::default());
        let mut held: Vec<Bytes> = Vec::new();
        while let Some(permit) = buffers.permit() {
            held.push(Buffer::new(LARGE, Some(permit)).freeze().slice(..1));
        }
        assert_eq!(held.len(), MAX_LARGE);
        let small = Buffer::new(SMALL, None);
        assert_eq!(small.as_ref().len(), SMALL);
        held.clear();
        assert_eq!(buffers.lock().in_use, 0);
        assert_eq!(buffers.lock().spare.len(), MAX_SPARE);
        let unused = buffers.permit();
        assert_eq!(Buffer::new(1, unused).bytes.len(), 1, "what is small needs no large one");
        assert_eq!(buffers.lock().in_use, 0);
    }
}
