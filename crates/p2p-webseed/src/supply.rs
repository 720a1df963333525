//! The mirror's side of a virtual peer: blocks that are wanted go in, their bytes come out.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll};

use bytes::Bytes;
use p2p_package::Info;
use p2p_wire::{Block, PieceSet};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::fault::MirrorFault;
use crate::mirrors::Mirrors;
use crate::piece_check::PieceCheck;
use crate::ranges::RangePlanner;
use crate::shelf::Shelf;

/// Bytes that one range may have arrived ahead of what was served.
const READ_AHEAD: u64 = 4 * 1024 * 1024;
/// A block so far ahead in a running range is asked for anew; one that is nearer is read up to.
const SKIP: u64 = 1024 * 1024;
/// Ranges that run at one time: the one that is served from, and the next.
const FETCHES: usize = 2;
/// Chunks on their way from a range's task; the client's chunks have up to 400 KiB.
const CHUNKS: usize = 4;
/// Broken transfers in a row that are simply continued, as when a mirror closes a connection that waited too long.
const SETBACKS: u32 = 2;

/// Why there will be no more blocks.
#[derive(Debug)]
pub(crate) enum Outage {
    /// The mirror failed.
    Mirror(MirrorFault),
    /// Its bytes and the torrent contradict each other in this piece.
    Contradiction(u32),
}

/// The blocks that are wanted, and the ranges that bring them.
#[derive(Debug)]
pub(crate) struct Supply {
    mirrors: Mirrors,
    url: Url,
    info: Info,
    /// The pieces that may be asked for; none for all.
    share: Option<PieceSet>,
    planner: RangePlanner,
    fetches: Vec<Fetch>,
    wanted: VecDeque<Want>,
    setbacks: u32,
    fetched_bytes: u64,
}

#[derive(Debug)]
struct Want {
    block: Block,
    /// Where the block lies in the file.
    range: Range<u64>,
    /// Whether the planner knows.
    is_noted: bool,
}

#[derive(Debug)]
struct Fetch {
    range: Range<u64>,
    shelf: Shelf,
    check: PieceCheck,
    chunks: mpsc::Receiver<Result<Bytes, MirrorFault>>,
    _task: AbortOnDropHandle<()>,
}

impl Supply {
    pub(crate) fn new(mirrors: Mirrors, url: Url, info: Info) -> Self {
        let planner = RangePlanner::new(info.length(), info.piece_length().bytes().into());
        let (fetches, wanted) = (Vec::new(), VecDeque::new());
        Self { mirrors, url, info, share: None, planner, fetches, wanted, setbacks: 0, fetched_bytes: 0 }
    }

    /// Bytes that have come from the mirror.
    pub(crate) fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes
    }

    /// Whether blocks are wanted that have not been given out.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether connections to the mirror are open.
    pub(crate) fn is_fetching(&self) -> bool {
        !self.fetches.is_empty()
    }

    /// Notes that a block is wanted.
    pub(crate) fn want(&mut self, block: Block) {
        // The state machine has refused every other block.
        let range = block.range(&self.info).expect("a wanted block lies in the torrent");
        let is_noted = self.planner.handle_wanted(&range);
        self.wanted.push_back(Want { block, range, is_noted });
    }

    /// Asks the mirror for these pieces only from now on. A range that would bring others, too, is ended.
    pub(crate) fn set_share(&mut self, share: Option<PieceSet>) {
        self.share = share;
        let (share, piece_length) = (&self.share, self.planner.piece_length());
        self.fetches.retain(|fetch| {
            let arrived = fetch.shelf.ends_at();
            arrived >= fetch.range.end || run_end(share.as_ref(), arrived, piece_length) >= fetch.range.end
        });
    }

    /// Forgets all wanted blocks, and keeps what has arrived.
    pub(crate) fn forget_wanted(&mut self) {
        self.wanted.clear();
    }

    /// Gives the mirror's connections back.
    pub(crate) fn hang_up(&mut self) {
        self.fetches.clear();
    }

    /// A wanted block that has arrived.
    pub(crate) fn take(&mut self) -> Option<(Block, Bytes)> {
        let ready = |want: &Want| {
            self.fetches.iter().find_map(|fetch| fetch.shelf.get(want.range.start, want.block.length as usize))
        };
        let (index, bytes) = self.wanted.iter().enumerate().find_map(|(index, want)| Some((index, ready(want)?)))?;
        let Want { block, range, .. } = self.wanted.remove(index)?;
        self.planner.handle_served(&range);
        // What was passed over may still be wanted: the engine asks for the last piece before the second.
        for fetch in self.fetches.iter_mut().filter(|fetch| fetch.shelf.begins_at() == range.start) {
            fetch.shelf.release(range.end);
        }
        Some((block, bytes))
    }

    /// Waits for the next wanted block; for ever, where none is wanted. May be cancelled at no loss.
    ///
    /// # Errors
    ///
    /// See [`Outage`].
    pub(crate) async fn next(&mut self) -> Result<(Block, Bytes), Outage> {
        loop {
            if let Some(block) = self.take() {
                return Ok(block);
            }
            self.make_room();
            self.start_fetches();
            let (index, arrived) = poll_fn(|context| self.poll_fetches(context)).await;
            match arrived {
                Some(Ok(chunk)) => self.put(index, chunk)?,
                Some(Err(fault)) => self.handle_fault(index, fault)?,
                None => self.handle_end(index),
            }
        }
    }

    /// Where a range can't go on for the bytes that it has read ahead in vain, throws them away: those before the first
    /// that is wanted, or else the range itself, since it keeps a connection to the mirror.
    fn make_room(&mut self) {
        let wanted = &self.wanted;
        self.fetches.retain_mut(|fetch| {
            if fetch.shelf.bytes() < READ_AHEAD {
                return true;
            }
            let first = wanted.iter().map(|want| want.range.start).filter(|start| fetch.range.contains(start)).min();
            first.is_some_and(|first| {
                fetch.shelf.release(first);
                true
            })
        });
    }

    fn start_fetches(&mut self) {
        for index in 0..self.wanted.len() {
            let Want { range, is_noted, .. } = &mut self.wanted[index];
            *is_noted = *is_noted || self.planner.handle_wanted(range);
            if self.fetches.iter().any(|fetch| fetch.brings(range)) {
                continue;
            }
            let range = range.clone();
            if self.fetches.len() == FETCHES && !self.drop_unwanted() {
                return;
            }
            let until = self.bound(range.start);
            let planned = self.planner.plan(range.start, until);
            self.wanted[index].is_noted |= self.planner.handle_wanted(&range);
            tracing::debug!(
                mirror = self.url.host_str(),
                from = planned.start,
                until = planned.end,
                "asking for a range"
            );
            self.fetches.push(Fetch::start(&self.mirrors, &self.url, &self.info, planned));
        }
    }

    /// Where a range from here on has to end: what a running one brings, and what is not in the share, is not asked for.
    fn bound(&self, from: u64) -> Option<u64> {
        let piece_length = self.planner.piece_length();
        let running = self.fetches.iter().map(|fetch| fetch.shelf.begins_at()).filter(|begin| *begin > from).min();
        let running = running.map(|begin| begin.next_multiple_of(piece_length));
        let share = self.share.as_ref().map(|share| run_end(Some(share), from, piece_length));
        running.into_iter().chain(share).min().map(|end| end.min(self.info.length()))
    }

    /// Ends one range from which nothing is wanted; false where each is needed.
    fn drop_unwanted(&mut self) -> bool {
        let needed = |fetch: &Fetch| self.wanted.iter().any(|want| fetch.brings(&want.range));
        let unneeded = self.fetches.iter().position(|fetch| !needed(fetch));
        unneeded.map(|index| self.fetches.remove(index)).is_some()
    }

    fn poll_fetches(&mut self, context: &mut Context<'_>) -> Poll<(usize, Option<Result<Bytes, MirrorFault>>)> {
        for (index, fetch) in self.fetches.iter_mut().enumerate() {
            if fetch.is_running()
                && let Poll::Ready(arrived) = fetch.chunks.poll_recv(context)
            {
                return Poll::Ready((index, arrived));
            }
        }
        Poll::Pending
    }

    fn put(&mut self, index: usize, chunk: Bytes) -> Result<(), Outage> {
        self.fetched_bytes += chunk.len() as u64;
        let fetch = &mut self.fetches[index];
        fetch.check.update(&chunk).map_err(Outage::Contradiction)?;
        fetch.shelf.push(chunk);
        if fetch.shelf.ends_at() == fetch.range.end {
            self.setbacks = 0;
        }
        Ok(())
    }

    fn handle_fault(&mut self, index: usize, fault: MirrorFault) -> Result<(), Outage> {
        let fetch = self.fetches.remove(index);
        // One connection is enough while it lasts.
        if matches!(fault, MirrorFault::Crowded) && self.fetches.iter().any(Fetch::is_connected) {
            return Ok(());
        }
        let broken = matches!(fault, MirrorFault::Network(_) | MirrorFault::TooShort);
        let has_moved = fetch.shelf.ends_at() > fetch.range.start;
        if !broken || !has_moved || self.setbacks == SETBACKS {
            return Err(Outage::Mirror(fault));
        }
        self.setbacks += 1;
        tracing::debug!(mirror = self.url.host_str(), error = %fault, "continuing a broken range");
        Ok(())
    }

    /// A range has ended; what it brought is kept until it is served.
    fn handle_end(&mut self, index: usize) {
        let fetch = &mut self.fetches[index];
        if fetch.shelf.ends_at() < fetch.range.end {
            // The task ended without a word: it was cancelled with the runtime.
            self.fetches.remove(index);
        }
    }
}

impl Fetch {
    fn start(mirrors: &Mirrors, url: &Url, info: &Info, range: Range<u64>) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let transfer = transfer(mirrors.clone(), url.clone(), range.clone(), info.length(), sender);
        let check = PieceCheck::new(info.clone(), range.start);
        let task = AbortOnDropHandle::new(tokio::spawn(transfer));
        Self { shelf: Shelf::new(range.start), range, check, chunks, _task: task }
    }

    /// Whether the bytes of `wanted` have come, or will soon.
    fn brings(&self, wanted: &Range<u64>) -> bool {
        self.shelf.begins_at() <= wanted.start
            && wanted.end <= self.range.end
            && wanted.start <= self.shelf.ends_at() + SKIP
    }

    /// Whether the mirror has begun to answer, and has not ended.
    fn is_connected(&self) -> bool {
        let arrived = self.shelf.ends_at();
        self.range.start < arrived && arrived < self.range.end
    }

    /// Whether more bytes are to come, and there is room for them.
    fn is_running(&self) -> bool {
        self.shelf.bytes() < READ_AHEAD && self.shelf.ends_at() < self.range.end
    }
}

/// Where the pieces of the share end that follow one another from this byte on; for ever, where all may be asked for.
fn run_end(share: Option<&PieceSet>, from: u64, piece_length: u64) -> u64 {
    let Some(share) = share else { return u64::MAX };
    let first = u32::try_from(from / piece_length).unwrap_or(u32::MAX);
    let end = (first..u32::MAX).find(|piece| !share.contains(*piece)).unwrap_or(u32::MAX);
    // A block of a piece that is not in the share was wanted before.
    u64::from(end.max(first.saturating_add(1))) * piece_length
}

async fn transfer(
    mirrors: Mirrors,
    url: Url,
    range: Range<u64>,
    total: u64,
    sender: mpsc::Sender<Result<Bytes, MirrorFault>>,
) {
    let outcome = async {
        let mut download = mirrors.part(&url, range, total).await?;
        while let Some(chunk) = download.chunk().await? {
            if sender.send(Ok(chunk)).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    if let Err(fault) = outcome.await {
        // Where nobody listens any more, nobody needs to know.
        let _ = sender.send(Err(fault)).await;
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::Hasher;

    use super::*;
    use crate::mirrors::MirrorOptions;

    #[tokio::test]
    async fn a_range_that_finds_no_connection_is_no_outage_while_another_has_one() {
        let bytes = vec![7; 1_000_000];
        let mut hasher = Hasher::new(1_000_000).expect("a package's size");
        hasher.update(&bytes);
        let info = hasher.finish("a-1-1-any.pkg.tar.zst".parse().expect("a package name")).expect("all bytes").info;
        let mirrors = Mirrors::new(MirrorOptions::default()).expect("an HTTP client");
        let url = "http://127.0.0.1:9/a".parse().expect("a URL");
        let mut supply = Supply::new(mirrors, url, info);
        for range in [0..500_000, 500_000..1_000_000] {
            supply.fetches.push(Fetch::start(&supply.mirrors, &supply.url, &supply.info, range));
        }
        supply.put(0, Bytes::from_static(&[7; 1000])).expect("a good beginning");
        supply.handle_fault(1, MirrorFault::Crowded).expect("the other range goes on");
        let rest = Bytes::from(vec![7; 499_000]);
        supply.put(0, rest).expect("good bytes");
        supply.fetches.push(Fetch::start(&supply.mirrors, &supply.url, &supply.info, 500_000..1_000_000));
        let outage = supply.handle_fault(1, MirrorFault::Crowded);
        assert!(matches!(outage, Err(Outage::Mirror(MirrorFault::Crowded))), "{outage:?}");
    }
}
