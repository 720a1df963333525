//! What the rest of the daemon holds, for those who ask.

use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{DatabaseClaim, Holding, Pointer, What, Wishes};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Somebody on a local network, or on this host.
    Local,
    /// Anybody else.
    Remote,
}

/// Whether the limits on uploads hold for what goes to somebody: not within the local networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// They do not.
    Unlimited,
    /// They do.
    Limited,
}

/// What we hold. What an asker may not have is not there for them.
pub trait Shelf: Send + Sync {
    /// Brings what is known up to date before this asker is told or given anything.
    fn refresh(&self, asker: Asker) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// What is here of these packages, in their order. Must not block.
    fn look(&self, ids: &[Sha256], wishes: Wishes, asker: Asker) -> Vec<Option<Holding>>;

    /// Whether a mirror is bringing a package that is not here, so that this asker may wait for it. Must not block.
    fn is_coming(&self, id: &Sha256, asker: Asker) -> bool;

    /// The newest databases of the repository of one of our clubs, and what publishers say of it: four of each at most. Must not
    /// block.
    fn recent(&self, club: InfoHash, asker: Asker) -> (Vec<DatabaseClaim>, Vec<Pointer>);

    /// Whether somebody of this traffic is given packages now, and not only answers.
    fn gives(&self, traffic: Traffic) -> bool;

    /// These bytes of a package, of what else there is of it, of a database or of an index; none where they are not here. May block: it is called on a thread
    /// for that.
    ///
    /// # Errors
    ///
    /// Where the disk fails.
    fn read(&self, what: What, range: Range<u64>, asker: Asker) -> io::Result<Option<Bytes>>;
}
