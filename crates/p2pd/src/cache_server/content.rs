//! The bytes of an answer: of a complete file, or of one that grows.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fs_err::os::unix::fs::OpenOptionsExt;
use futures_util::stream::unfold;

use super::awaited::Awaited;
use super::decision::{HELD_BACK, Wish};
use crate::fetch::{Outcome, Snapshot};

/// What is read at a time: with the same again in hyper's buffer, all that a connection holds.
const CHUNK: u64 = 256 * 1024;
/// A growing file of which nothing comes for so long is given up; pacman waits for 10 s.
const STALL: Duration = Duration::from_secs(8);

/// Opens a regular file, of whatever size it has now.
pub(super) async fn open(path: &Path) -> io::Result<(Arc<File>, u64)> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = fs_err::OpenOptions::new().read(true).custom_flags(no_link).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok((Arc::new(file.into_file()), metadata.len()))
    });
    opened.await.map_err(io::Error::other)?
}

/// These bytes of a complete file.
pub(super) fn complete(file: Arc<File>, range: Range<u64>) -> Body {
    Body::from_stream(unfold((file, range), |(file, range)| async move {
        let end = range.end.min(range.start.saturating_add(CHUNK));
        if range.is_empty() {
            return None;
        }
        let chunk = read(&file, range.start..end).await;
        let rest = if chunk.is_ok() { end..range.end } else { range.end..range.end };
        Some((chunk, (file, rest)))
    }))
}

/// All of a small file; fails where it has more than `most` bytes.
pub(super) async fn small(path: &Path, most: u64) -> io::Result<Bytes> {
    let (file, size) = open(path).await?;
    if size > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    read(&file, 0..size).await
}

/// A growing file on its way to a client.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) file: Arc<File>,
    /// Where the file lies: the fetch may begin anew with another one.
    pub(super) source: Arc<Path>,
    /// The size of the file when it is complete.
    pub(super) size: u64,
    /// What is still to be sent.
    pub(super) range: Range<u64>,
    /// How often its bytes had been written anew when the answer began.
    pub(super) rewinds: u32,
    pub(super) wish: Wish,
    pub(super) awaited: Awaited,
}

/// The file does not become what was promised; the connection must break, so that pacman asks somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("the fetch failed or found the file to be wrong")]
    Wrong,
    #[error("the fetch began anew")]
    Anew,
    #[error("nobody sends the rest")]
    Stalled,
}

impl Growing {
    /// The bytes, as they come.
    pub(super) fn body(self) -> Body {
        Body::from_stream(unfold(Some(self), |growing| async {
            let mut growing = growing?;
            match growing.chunk().await {
                Ok(None) => None,
                Ok(Some(chunk)) => Some((Ok(chunk), Some(growing))),
                Err(error) => {
                    tracing::debug!(error = %p2p_api::Report(&*error), "an answer of the cache server breaks off");
                    Some((Err(error), None))
                }
            }
        }))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        loop {
            if self.range.is_empty() {
                return Ok(None);
            }
            let snapshot = self.awaited.snapshots.borrow_and_update().clone();
            let may_send_to = self.limit(&snapshot)?;
            if may_send_to > self.range.start {
                let end = may_send_to.min(self.range.start.saturating_add(CHUNK));
                let chunk = read(&self.file, self.range.start..end).await?;
                // While we read, the fetch may have taken the bytes back.
                self.limit(&self.awaited.snapshots.borrow())?;
                self.range.start = end;
                return Ok(Some(chunk));
            }
            match tokio::time::timeout(STALL, self.grows()).await {
                Ok(true) => {}
                Ok(false) => return Err(Broken::Wrong.into()),
                Err(_) => return Err(Broken::Stalled.into()),
            }
        }
    }

    /// Waits until more may be sent, or something else has happened; false where nothing will.
    async fn grows(&mut self) -> bool {
        loop {
            if self.awaited.snapshots.changed().await.is_err() {
                return false;
            }
            let limit = self.limit(&self.awaited.snapshots.borrow());
            if limit.is_err() || limit.is_ok_and(|limit| limit > self.range.start) {
                return true;
            }
        }
    }

    /// Up to where the answer may be sent now.
    fn limit(&self, snapshot: &Snapshot) -> Result<u64, Broken> {
        match &snapshot.outcome {
            Some(Outcome::Ready(ready)) if ready.path == *self.source => {
                let is_right = self.wish.accepts(ready) && ready.size == self.size && snapshot.rewinds == self.rewinds;
                if is_right { Ok(self.range.end) } else { Err(Broken::Wrong) }
            }
            Some(Outcome::Ready(_)) => Err(Broken::Anew),
            Some(Outcome::Failed(_) | Outcome::Abandoned) => Err(Broken::Wrong),
            None if snapshot.source.as_deref() != Some(&*self.source) || snapshot.rewinds != self.rewinds => {
                Err(Broken::Anew)
            }
            None => Ok(snapshot.contiguous.min(self.range.end.saturating_sub(HELD_BACK))),
        }
    }
}

async fn read(file: &Arc<File>, range: Range<u64>) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let length = range.end.saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    });
    read.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
