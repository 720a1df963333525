//! One plain download from one mirror into an assembly.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use p2p_webseed::{Answer, Download, MirrorFault, Mirrors, Unmodified, Validators};
use url::Url;

use super::assembly::Appender;
use super::content::Content;
use super::mirror_book::MirrorBook;
use super::plan::Verdict;

/// How often a mirror's rate is noted; a transfer that is cut off later has left most of what it showed.
const RATE_INTERVAL: Duration = Duration::from_secs(1);
/// Fewer bytes than this, in one go, say nothing of a mirror's rate.
const RATE_BYTES: u64 = 64 * 1024;

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
    /// What it must begin with.
    pub(crate) content: Content,
}

/// What became of a conditional request.
#[derive(Debug)]
pub(crate) enum Opening {
    Unmodified(Unmodified),
    Body(Box<Body>),
}

/// An answer whose first bytes have come, and look right.
#[derive(Debug)]
pub(crate) struct Body {
    stream: Stream,
    download: Download,
    first: VecDeque<Bytes>,
}

impl Stream {
    /// Asks, and waits for the first bytes.
    pub(crate) async fn start(self, client: &Mirrors, book: &MirrorBook) -> Result<Body, MirrorFault> {
        let download = client.get(&self.url, self.from).await?;
        self.begin(download, book).await
    }

    /// Asks for a whole file, unless it is the one that `validators` describe.
    pub(crate) async fn open(
        self,
        client: &Mirrors,
        book: &MirrorBook,
        validators: &Validators,
    ) -> Result<Opening, MirrorFault> {
        match client.get_unless(&self.url, validators).await? {
            Answer::Body(download) => Ok(Opening::Body(Box::new(self.begin(*download, book).await?))),
            Answer::Unmodified(unmodified) => {
                book.note_first_byte(&self.url, unmodified.first_byte);
                Ok(Opening::Unmodified(unmodified))
            }
        }
    }

    async fn begin(self, mut download: Download, book: &MirrorBook) -> Result<Body, MirrorFault> {
        book.note_first_byte(&self.url, download.first_byte());
        let mut first = VecDeque::new();
        if download.begins_at() == 0 {
            let mut seen = Vec::new();
            while seen.len() < self.content.first_bytes() {
                let Some(chunk) = download.chunk().await? else { break };
                seen.extend_from_slice(&chunk[..chunk.len().min(self.content.first_bytes())]);
                first.push_back(chunk);
            }
            self.content.judge(&seen)?;
        }
        // Only now: a page of another size is a page.
        if let Some(size) = self.size {
            download.expect_total(size)?;
        }
        Ok(Body { stream: self, download, first })
    }
}

impl Body {
    pub(crate) fn opened(&self) -> Opened {
        Opened { total: self.download.total(), modified: self.download.modified() }
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        self.download.etag()
    }

    /// Who answered: the mirror, or what it redirected to.
    pub(crate) fn origin(&self) -> String {
        self.download.origin()
    }

    /// Appends all of it.
    pub(crate) async fn pour(mut self, book: &MirrorBook, into: &Appender) -> Result<(), MirrorFault> {
        let Stream { from, size, limit, .. } = self.stream;
        let total = self.download.total();
        // A mirror that cannot range starts at byte 0: what is there already is passed over.
        let mut skip = from.saturating_sub(self.download.begins_at());
        let mut position = from;
        let (mut measured, mut bytes) = (Instant::now(), 0);
        while let Some(mut chunk) = self.chunk().await? {
            bytes += chunk.len() as u64;
            if measured.elapsed() >= RATE_INTERVAL {
                book.note_bytes(&self.stream.url, bytes, measured.elapsed());
                (measured, bytes) = (Instant::now(), 0);
            }
            let passed = skip.min(chunk.len() as u64);
            skip -= passed;
            let chunk = chunk.split_off(usize::try_from(passed).expect("at most the chunk's length"));
            position += chunk.len() as u64;
            if position > limit {
                return Err(MirrorFault::TooLong);
            }
            into.append(chunk).await;
        }
        if bytes >= RATE_BYTES {
            book.note_bytes(&self.stream.url, bytes, measured.elapsed());
        }
        match size.or(total) {
            Some(size) if position != size => Err(MirrorFault::TooShort),
            _ => Ok(()),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, MirrorFault> {
        match self.first.pop_front() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.download.chunk().await,
        }
    }
}

/// What a fault says about a mirror, as far as a fetch is concerned.
pub(crate) fn verdict(fault: &MirrorFault) -> Verdict {
    match fault {
        MirrorFault::Lacks(_) => Verdict::Lacks,
        MirrorFault::Busy { retry_after, .. } => Verdict::Rests(*retry_after),
        MirrorFault::Crowded => Verdict::Rests(Some(Duration::from_millis(200))),
        MirrorFault::TooLong | MirrorFault::NotThisFile(_) | MirrorFault::Redirect(_) => Verdict::Wrong,
        MirrorFault::NoRanges
        | MirrorFault::WrongRange
        | MirrorFault::Refused(_)
        | MirrorFault::Network(_)
        | MirrorFault::Stalled
        | MirrorFault::TooShort => Verdict::Rests(None),
    }
}
