//! One plain download from one mirror into an assembly.

use std::time::SystemTime;

use p2p_webseed::{MirrorFault, Mirrors};
use url::Url;

use super::assembly::Appender;
use super::plan::Verdict;

/// What a stream tells when it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// The size of the whole file in bytes, where the mirror says it.
    pub(crate) total: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
}

/// Streams the rest of a file.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) url: Url,
    /// The first byte that is wanted.
    pub(crate) from: u64,
    /// The size that the file must have, where that is known; in bytes.
    pub(crate) size: Option<u64>,
    /// No more bytes than this are taken.
    pub(crate) limit: u64,
}

impl Stream {
    /// Runs to the last byte; `opened` is called once the mirror has answered.
    pub(crate) async fn run(
        self,
        client: &Mirrors,
        into: &Appender,
        opened: impl FnOnce(Opened),
    ) -> Result<(), MirrorFault> {
        let mut download = client.get(&self.url, self.from).await?;
        if let Some(size) = self.size {
            download.expect_total(size)?;
        }
        let total = download.total();
        opened(Opened { total, modified: download.modified() });
        // A mirror that cannot range starts at byte 0: what is there already is passed over.
        let mut skip = self.from.saturating_sub(download.begins_at());
        let mut position = self.from;
        while let Some(mut chunk) = download.chunk().await? {
            let passed = skip.min(chunk.len() as u64);
            skip -= passed;
            let chunk = chunk.split_off(usize::try_from(passed).expect("at most the chunk's length"));
            position += chunk.len() as u64;
            if position > self.limit {
                return Err(MirrorFault::TooLong);
            }
            into.append(chunk).await;
        }
        match self.size.or(total) {
            Some(size) if position != size => Err(MirrorFault::TooShort),
            _ => Ok(()),
        }
    }
}

/// What a fault says about a mirror, as far as a fetch is concerned.
pub(crate) fn verdict(fault: &MirrorFault) -> Verdict {
    match fault {
        MirrorFault::Lacks(_) => Verdict::Lacks,
        MirrorFault::Busy { retry_after, .. } => Verdict::Rests(*retry_after),
        MirrorFault::TooLong | MirrorFault::NotThisFile(_) | MirrorFault::Redirect(_) => Verdict::Wrong,
        MirrorFault::NoRanges
        | MirrorFault::WrongRange
        | MirrorFault::Refused(_)
        | MirrorFault::Network(_)
        | MirrorFault::Stalled
        | MirrorFault::TooShort => Verdict::Rests(None),
    }
}
