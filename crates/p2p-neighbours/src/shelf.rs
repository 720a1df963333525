//! What the rest of the daemon holds, for those who ask.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use p2p_package::Sha256;
use p2p_wire::{Holding, What, Wishes};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Somebody on a local network, or on this host.
    Local,
    /// Anybody else.
    Remote,
}

/// What we hold. What an asker may not have is not there for them.
pub trait Shelf: Send + Sync {
    /// What is here of these packages, in their order. Must not block.
    fn look(&self, ids: &[Sha256], wishes: Wishes, asker: Asker) -> Vec<Option<Holding>>;

    /// Whether this asker is given packages now, and not only answers.
    fn gives(&self, asker: Asker) -> bool;

    /// These bytes of a package, its `info` or its signature; none where they are not here. May block: it is called on a thread
    /// for that.
    ///
    /// # Errors
    ///
    /// Where the disk fails.
    fn read(&self, what: What, range: Range<u64>, asker: Asker) -> io::Result<Option<Bytes>>;
}
