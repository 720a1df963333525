//! What neighbours answer, on its way to who asked.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use p2p_package::Sha256;
use p2p_wire::{Answer, DatabaseClaim, MAX_GET_BYTES, Pointer, Refusal, What};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::neighbours::Neighbours;
use crate::presence::{Neighbour, NeighbourId};

/// What one neighbour says to a question about packages.
#[derive(Debug)]
pub struct Reply {
    /// Who says so.
    pub neighbour: Neighbour,
    /// What was asked.
    pub ids: Arc<[Sha256]>,
    /// The answers, in that order. A claim.
    pub answers: Vec<Answer>,
}

/// The replies to one question, as they come.
#[derive(Debug)]
pub struct Replies(pub(crate) mpsc::Receiver<Reply>);

impl Replies {
    /// The next one; none when everybody has answered, or will not.
    pub async fn next(&mut self) -> Option<Reply> {
        self.0.recv().await
    }
}

/// What one neighbour knows of a club's repository. Claims.
#[derive(Debug)]
pub struct Recent {
    /// Who says so.
    pub neighbour: Neighbour,
    /// The newest databases that it has; 4 at most.
    pub databases: Vec<DatabaseClaim>,
    /// What publishers say; 4 at most, and nothing has been verified.
    pub pointers: Vec<Pointer>,
}

/// What neighbours know of a club's repository, as they answer.
#[derive(Debug)]
pub struct Recents(pub(crate) mpsc::Receiver<Recent>);

impl Recents {
    /// The next answer; none when everybody has answered, or will not.
    pub async fn next(&mut self) -> Option<Recent> {
        self.0.recv().await
    }
}

/// Who becomes a neighbour.
#[derive(Debug)]
pub struct Newcomers(pub(crate) broadcast::Receiver<NeighbourId>);

impl Newcomers {
    /// The next one; none when there will not be any more. A reader that falls far behind misses some.
    pub async fn next(&mut self) -> Option<NeighbourId> {
        loop {
            match self.0.recv().await {
                Ok(id) => return Some(id),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Bytes of a get on their way to who reads them; a refusal is the last of them.
pub(crate) type Part = Result<Bytes, Refusal>;

/// Bytes that one neighbour sends.
#[derive(Debug)]
pub struct Transfer {
    coming: mpsc::Receiver<Part>,
    /// What of the current get is still to come.
    left: u64,
    rest: Rest,
    /// Why no more comes, where the neighbour says so.
    refusal: Option<Refusal>,
}

/// What is still to be asked for, and of whom.
#[derive(Debug)]
struct Rest {
    neighbours: Neighbours,
    from: NeighbourId,
    what: What,
    range: Range<u64>,
}

impl Transfer {
    pub(crate) fn new(neighbours: Neighbours, from: NeighbourId, what: What, range: Range<u64>) -> Self {
        let mut rest = Rest { neighbours, from, what, range };
        let (coming, left) = rest.ask();
        Self { coming, left, rest, refusal: None }
    }

    /// The next bytes, in order; none at the end, and where the neighbour sends no more. The reader counts.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.coming.recv().await {
                Some(Ok(bytes)) => {
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    return Some(bytes);
                }
                Some(Err(refusal)) => self.refusal = Some(refusal),
                None if self.left > 0 || self.rest.range.is_empty() => return None,
                None => (self.coming, self.left) = self.rest.ask(),
            }
        }
    }

    /// Whether no more comes because the neighbour says that it is too busy just now, or has said nothing for 5 s.
    #[must_use]
    pub fn is_too_busy(&self) -> bool {
        self.refusal == Some(Refusal::TooBusy)
    }
}

impl Rest {
    /// Asks for as much of the rest as one get may; the bytes to come, and how many.
    fn ask(&mut self) -> (mpsc::Receiver<Part>, u64) {
        let end = self.range.end.min(self.range.start.saturating_add(MAX_GET_BYTES));
        let part = self.range.start..end;
        self.range.start = end;
        (self.neighbours.get_part(self.from, self.what, part.clone()), part.end.saturating_sub(part.start))
    }
}
