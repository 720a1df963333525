//! The one file of a swarm, and the news about it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use p2p_package::Info;
use tokio::sync::watch;

use crate::ledger::Ledger;
use crate::swarm::{Stage, SwarmFault, SwarmProgress};

/// A spool file under the engine's hands.
///
/// Every verified piece and every failure is told at once through the watch channel. After [`Self::close`] has returned,
/// nothing is read from or written to the file any more, whatever tasks the engine still has running.
#[derive(Debug)]
pub(crate) struct Spool {
    file: RwLock<Option<File>>,
    closing: AtomicBool,
    /// Before the end of the initial check, bytes beyond the end of the file are just missing.
    checked: AtomicBool,
    length: u64,
    ledger: Mutex<Ledger>,
    progress: watch::Sender<SwarmProgress>,
}

impl Spool {
    /// Takes the file over; it may already hold any of the torrent's bytes.
    pub(crate) fn new(info: &Info, file: File) -> Self {
        let start = SwarmProgress { stage: Stage::Checking, verified_bytes: 0, contiguous_bytes: 0 };
        Self {
            file: RwLock::new(Some(file)),
            closing: AtomicBool::new(false),
            checked: AtomicBool::new(false),
            length: info.length(),
            ledger: Mutex::new(Ledger::new(info)),
            progress: watch::Sender::new(start),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<SwarmProgress> {
        self.progress.subscribe()
    }

    /// Fills `buffer` from `offset`; fails where the file ends before.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let read = self.with_file(|file| file.read_exact_at(buffer, offset));
        let just_missing =
            |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof && !self.checked.load(Ordering::Acquire);
        read.inspect_err(|error| {
            if !just_missing(error) {
                self.fail_from(error);
            }
        })
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with_file(|file| file.write_all_at(bytes, offset)).inspect_err(|error| self.fail_from(error))
    }

    /// Ends the initial check: makes the file as long as the torrent, so that it can be read where it was not yet
    /// written. A longer file stays as it is. Where a file can't be grown ahead, the writes will grow it, or say why not.
    pub(crate) fn grow(&self) {
        let grown = self
            .with_file(|file| if file.metadata()?.len() < self.length { file.set_len(self.length) } else { Ok(()) });
        if let Err(error) = grown {
            tracing::debug!(bytes = self.length, %error, "spool file was not grown ahead");
        }
        self.checked.store(true, Ordering::Release);
    }

    /// Takes in the pieces that the initial check found, and goes live.
    pub(crate) fn go_live(&self, found: impl Iterator<Item = usize>) {
        self.update(|ledger, stage| {
            found.for_each(|piece| ledger.mark(piece));
            if matches!(stage, Stage::Checking) {
                *stage = Stage::Live;
            }
        });
    }

    /// Notes a piece that was just downloaded and verified.
    pub(crate) fn mark(&self, piece: usize) {
        self.update(|ledger, _| ledger.mark(piece));
    }

    /// Tells the swarm's failure, unless it is complete or failed before.
    pub(crate) fn fail(&self, fault: SwarmFault) {
        if !self.closing.load(Ordering::Acquire) {
            self.update(|_, stage| *stage = Stage::Failed(fault));
        }
    }

    /// Refuses all I/O that has not begun yet.
    pub(crate) fn refuse(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Refuses all I/O, waits for what has begun, and closes the file. Blocks as long as the disk does.
    pub(crate) fn close(&self) {
        self.refuse();
        self.file.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn with_file<T>(&self, operation: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        match file.as_ref().filter(|_| !self.closing.load(Ordering::Acquire)) {
            Some(file) => operation(file),
            None => Err(io::Error::new(io::ErrorKind::NotConnected, "the swarm was left")),
        }
    }

    fn fail_from(&self, error: &io::Error) {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let copy = || Arc::new(io::Error::new(error.kind(), error.to_string()));
        self.fail(if full { SwarmFault::DiskFull } else { SwarmFault::Disk(copy()) });
    }

    fn update(&self, change: impl FnOnce(&mut Ledger, &mut Stage)) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.send_modify(|progress| {
            if matches!(progress.stage, Stage::Failed(_) | Stage::Complete) {
                return;
            }
            change(&mut ledger, &mut progress.stage);
            progress.verified_bytes = ledger.verified_bytes();
            progress.contiguous_bytes = ledger.contiguous_bytes();
            if matches!(progress.stage, Stage::Live) && ledger.is_complete() {
                progress.stage = Stage::Complete;
            }
        });
    }
}
