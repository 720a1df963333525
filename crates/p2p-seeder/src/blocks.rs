//! Reads blocks of packages, with few files open, and never from a file that changed.

use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use p2p_package::InfoHash;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::Row;
use crate::buffers::Buffer;
use crate::hash::{open_file, stamp_of};

/// Why a block cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockFault {
    /// The file changed, moved or vanished: its row must leave the catalog.
    #[error("the package's file is not the one that was hashed")]
    Changed,
    /// The file cannot be read.
    #[error("the package's file cannot be read")]
    Read(#[source] io::Error),
}

/// The files that were read last, opened read-only.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    capacity: usize,
    /// The one used last at the end.
    files: Mutex<Vec<(InfoHash, Arc<OpenFile>)>>,
}

#[derive(Debug)]
struct OpenFile {
    row: Arc<Row>,
    file: fs_err::File,
}

impl OpenFiles {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), files: Mutex::new(Vec::new()) }
    }

    /// Reads these ranges of the row's file, one after the other, into a buffer for just so many bytes. The file must
    /// still be the one that was hashed after the read.
    pub(crate) async fn read(
        &self,
        row: &Arc<Row>,
        ranges: &[Range<u64>],
        mut buffer: Buffer,
    ) -> Result<Bytes, BlockFault> {
        if row.is_withdrawn() {
            self.close(row);
            return Err(BlockFault::Changed);
        }
        let open = match self.cached(row) {
            Some(open) => open,
            None => self.open(row).await?,
        };
        // What lies in the page cache is read here; a thread is only worth its price where the disk must be waited for.
        let bytes = if read_cached(&open.file, ranges, buffer.as_mut()) {
            open.check().map(|()| buffer.freeze())
        } else {
            let (open, ranges) = (Arc::clone(&open), ranges.to_vec());
            let read = tokio::task::spawn_blocking(move || read_waiting(&open, &ranges, buffer)).await;
            read.unwrap_or_else(|error| Err(BlockFault::Read(io::Error::other(error))))
        };
        if bytes.is_err() {
            self.close(row);
        }
        bytes
    }

    /// Lets go of a row's file.
    pub(crate) fn close(&self, row: &Row) {
        self.lock().retain(|(hash, _)| *hash != row.info_hash());
    }

    fn cached(&self, row: &Arc<Row>) -> Option<Arc<OpenFile>> {
        let mut files = self.lock();
        let at = files.iter().rposition(|(hash, open)| *hash == row.info_hash() && Arc::ptr_eq(&open.row, row))?;
        files[at..].rotate_left(1);
        files.last().map(|(_, open)| Arc::clone(open))
    }

    async fn open(&self, row: &Arc<Row>) -> Result<Arc<OpenFile>, BlockFault> {
        let wanted = Arc::clone(row);
        let opened = tokio::task::spawn_blocking(move || OpenFile::open(wanted)).await;
        let opened = opened.unwrap_or_else(|error| Err(BlockFault::Read(io::Error::other(error))))?;
        let opened = Arc::new(opened);
        let mut files = self.lock();
        files.retain(|(hash, _)| *hash != row.info_hash());
        if files.len() >= self.capacity {
            files.remove(0);
        }
        files.push((row.info_hash(), Arc::clone(&opened)));
        Ok(opened)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(InfoHash, Arc<OpenFile>)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenFile {
    fn open(row: Arc<Row>) -> Result<Self, BlockFault> {
        let file = open_file(&row.path).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => BlockFault::Changed,
            _ => BlockFault::Read(error),
        })?;
        let open = Self { row, file };
        open.check()?;
        Ok(open)
    }

    /// Content, links and times show on the descriptor, whatever happens to the path.
    fn check(&self) -> Result<(), BlockFault> {
        let stamp = stamp_of(&self.file).map_err(BlockFault::Read)?;
        if stamp == Some(self.row.stamp) && !self.row.is_withdrawn() { Ok(()) } else { Err(BlockFault::Changed) }
    }
}

/// Reads without waiting for a disk; false where that is not possible.
fn read_cached(file: &fs_err::File, ranges: &[Range<u64>], mut buffer: &mut [u8]) -> bool {
    runs(ranges).all(|run| {
        let (part, rest) = std::mem::take(&mut buffer).split_at_mut(length(&run));
        buffer = rest;
        // Any error, like that of a file system that cannot read this way, shows again in the read that waits.
        let read = preadv2(file, &mut [IoSliceMut::new(part)], run.start, ReadWriteFlags::NOWAIT);
        read.is_ok_and(|read| read == part.len())
    })
}

fn read_waiting(open: &OpenFile, ranges: &[Range<u64>], mut buffer: Buffer) -> Result<Bytes, BlockFault> {
    let mut left = buffer.as_mut();
    for run in runs(ranges) {
        let (mut part, rest) = left.split_at_mut(length(&run));
        let mut offset = run.start;
        while !part.is_empty() {
            match rustix::io::pread(&open.file, &mut *part, offset) {
                Ok(0) => return Err(BlockFault::Changed),
                Ok(read) => (part, offset) = (&mut part[read..], offset + read as u64),
                Err(Errno::INTR) => (),
                Err(error) => return Err(BlockFault::Read(error.into())),
            }
        }
        left = rest;
    }
    open.check().map(|()| buffer.freeze())
}

/// The ranges, joined where one begins at the end of the one before.
fn runs(ranges: &[Range<u64>]) -> impl Iterator<Item = Range<u64>> {
    ranges.chunk_by(|a, b| a.end == b.start).map(|run| run[0].start..run[run.len() - 1].end)
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).expect("blocks fit into memory")
}
