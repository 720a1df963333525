//! Signals that end a prefetch, noticed so that nothing of it is left.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};

/// A signal came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was interrupted")]
pub(crate) struct Interrupted(i32);

/// Notices when to stop.
#[derive(Debug)]
pub(crate) struct Interruption {
    signal: Arc<AtomicUsize>,
    /// Readable from the first signal on: what is waited for beside a program.
    woken: UnixStream,
}

impl Interruption {
    /// Begins to notice.
    pub(crate) fn watch() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let (woken, wake) = UnixStream::pair()?;
        for (number, value) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
            // In this order: who is woken sees the number.
            signal_hook::flag::register_usize(number, Arc::clone(&signal), value)?;
            pipe::register(number, wake.try_clone()?)?;
        }
        Ok(Self { signal, woken })
    }

    /// Whether to stop now.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        match i32::try_from(self.signal.load(Ordering::Relaxed)) {
            Ok(signal @ 1..) => Err(Interrupted(signal)),
            _ => Ok(()),
        }
    }
}

impl AsFd for Interruption {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

/// Ends this process as the signal would have: who started it can tell that it did not fail by itself.
pub(crate) fn end_by(interrupted: Interrupted) {
    // Where that can't be done, it ends with a failure.
    let _ = emulate_default_handler(interrupted.0);
}
