//! One answer of a mirror, as its body arrives.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::answer::Promise;
use crate::connections::Connection;
use crate::fault::MirrorFault;
use crate::mirrors::{Head, Throttle};
use crate::pace::Pace;

/// The body of a mirror's answer. It holds one of the mirror's connections until it is dropped; read to its end, the
/// connection is kept for the next request.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    promise: Promise,
    position: u64,
    waited: Duration,
    pace: Pace,
    throttle: Arc<Throttle>,
    _connection: Connection,
}

impl Download {
    pub(crate) fn new(head: Head, promise: Promise, pace: Pace, throttle: Arc<Throttle>) -> Self {
        let Head { response, connection, waited } = head;
        Self { response, position: promise.begins_at, promise, waited, pace, throttle, _connection: connection }
    }

    /// Where the body comes from in the end, scheme, host and port: the mirror, or what it redirected to.
    #[must_use]
    pub fn origin(&self) -> String {
        self.response.url().origin().ascii_serialization()
    }

    /// How long the head of the answer took to come; the wait for one of our own connections is not part of it.
    #[must_use]
    pub fn first_byte(&self) -> Duration {
        self.waited
    }

    /// The offset in the file, in bytes, of the first byte of this body: the one that was asked for, or 0 where the mirror
    /// can't resume and begins again.
    #[must_use]
    pub fn begins_at(&self) -> u64 {
        self.promise.begins_at
    }

    /// The size of the whole file in bytes, where the mirror says it.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.promise.total
    }

    pub(crate) fn ends_at(&self) -> Option<u64> {
        self.promise.ends_at
    }

    /// When the mirror's file was last modified.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        self.promise.modified
    }

    /// The mirror's entity tag for the file, quotes included.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.promise.etag.as_deref()
    }

    /// The offset in the file of the byte that comes next.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Demands that the whole file has `total` bytes; [`Self::chunk`] then fails rather than give more or fewer.
    ///
    /// # Errors
    ///
    /// [`MirrorFault::TooShort`] or [`MirrorFault::TooLong`] where the mirror has announced another size.
    pub fn expect_total(&mut self, total: u64) -> Result<(), MirrorFault> {
        match self.promise.total {
            Some(announced) if announced < total => return Err(MirrorFault::TooShort),
            Some(announced) if announced > total => return Err(MirrorFault::TooLong),
            _ => self.promise.total = Some(total),
        }
        self.promise.ends_at = self.promise.ends_at.or(Some(total));
        Ok(())
    }

    /// The next bytes, and none at the end of the body. May be cancelled at no loss.
    ///
    /// # Errors
    ///
    /// [`MirrorFault::Stalled`], [`MirrorFault::Network`], and where the end is known, [`MirrorFault::TooShort`] and
    /// [`MirrorFault::TooLong`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MirrorFault> {
        self.throttle.pass().await;
        let asked = Instant::now();
        let next = tokio::time::timeout(self.pace.patience(), self.response.chunk()).await;
        let next = next.map_err(|_| MirrorFault::Stalled)?.map_err(MirrorFault::from_client)?;
        let Some(bytes) = next else {
            let short = self.promise.ends_at.is_some_and(|end| self.position < end);
            return if short { Err(MirrorFault::TooShort) } else { Ok(None) };
        };
        self.pace.handle_bytes(bytes.len(), asked.elapsed());
        self.throttle.count(bytes.len());
        self.position += bytes.len() as u64;
        if self.promise.ends_at.is_some_and(|end| self.position > end) {
            return Err(MirrorFault::TooLong);
        }
        Ok(Some(bytes))
    }
}
