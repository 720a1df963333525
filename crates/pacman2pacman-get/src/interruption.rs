//! Signals, and the death of the pacman that waits for us.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, getppid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::outcome::say;

/// Why to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A signal came in.
    Signal(u8),
    /// Our parent is gone. No signal tells us: pacman has no reason to send one.
    Orphaned,
}

impl Stop {
    /// The exit status: as a shell would report the signal.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Signal(signal) => 128 + signal,
            Self::Orphaned => 128 + 1,
        }
    }

    /// pacman ignores ^C while it waits for us, and then goes on with the next mirror; only in the two seconds between
    /// does it listen.
    pub(crate) fn explain(self) {
        if self.status() == 130 && std::io::stderr().is_terminal() {
            say("press ^C again to stop pacman");
        }
    }
}

/// Notices when to stop.
#[derive(Debug)]
pub(crate) struct Interruption {
    signal: Arc<AtomicUsize>,
    parent: Option<Pid>,
}

impl Interruption {
    /// Begins to notice.
    pub(crate) fn watch() -> Self {
        let signal = Arc::new(AtomicUsize::new(0));
        for (number, value) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1), (SIGQUIT, 3)] {
            // Where a signal can't be caught it ends us without tidying up, which leaves nothing complete behind.
            let _ = signal_hook::flag::register_usize(number, Arc::clone(&signal), value);
        }
        Self { signal, parent: getppid() }
    }

    /// Whether to stop now.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        match u8::try_from(self.signal.load(Ordering::Relaxed)) {
            Ok(signal @ 1..) => Err(Stop::Signal(signal)),
            _ if getppid() != self.parent => Err(Stop::Orphaned),
            _ => Ok(()),
        }
    }
}
