//! Wakes the scan when something happens in a directory.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use p2p_package::FileName;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// What may make a package come, go or change. Not that a byte was written: a download would wake us for each.
const WATCHED: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// What concerns the directory itself, or all watches.
const WHOLE: ReadFlags = ReadFlags::QUEUE_OVERFLOW
    .union(ReadFlags::IGNORED)
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::DELETE_SELF)
    .union(ReadFlags::MOVE_SELF);
/// Events of so long a time are taken together: each wake-up costs a transaction more than what it tells.
const GATHERED: Duration = Duration::from_millis(100);
/// Some hundred events; there may be more in the queue.
const EVENT_BYTES: usize = 16 * 1024;

/// Watches directories that may be missing, and may be replaced by others.
pub(super) struct DirectoryWatcher {
    directories: Vec<PathBuf>,
    listener: Option<Listener>,
    /// The kernel's number of each watch.
    watched: HashMap<PathBuf, i32>,
}

/// The thread that hears of events; it ends when this is dropped.
struct Listener {
    events: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl DirectoryWatcher {
    pub(super) fn new(directories: Vec<PathBuf>, hint: impl Fn() + Send + 'static) -> Self {
        let listener = Listener::start(hint);
        let listener = listener.inspect_err(|error| tracing::warn!(%error, "cache directories not watched")).ok();
        Self { directories, listener, watched: HashMap::new() }
    }

    /// Watches what is not watched yet; false where a directory cannot be.
    ///
    /// Each is asked for every time: for a directory that is watched the kernel says the same again, and one that took the place
    /// of another may even have its inode's number.
    pub(super) fn refresh(&mut self) -> bool {
        let Some(listener) = self.listener.as_ref().filter(|listener| listener.listens()) else {
            return false;
        };
        let mut all = true;
        for directory in &self.directories {
            let now = inotify::add_watch(&*listener.events, directory, WATCHED).ok();
            let before = self.watched.remove(directory);
            if let Some(before) = before.filter(|before| now != Some(*before)) {
                // The kernel has forgotten a watch on a directory that is gone.
                let _ = inotify::remove_watch(&*listener.events, before);
            }
            all &= now.is_some();
            self.watched.extend(now.map(|watch| (directory.clone(), watch)));
        }
        all
    }
}

impl Listener {
    fn start(hint: impl Fn() + Send + 'static) -> io::Result<Self> {
        let events = Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let (heard, stopped) = (Arc::clone(&events), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("cache-watch".to_owned());
        let thread = thread.spawn(move || {
            if let Err(error) = listen(&heard, &stopped, hint) {
                tracing::warn!(%error, "cache directories not watched any more");
            }
        })?;
        Ok(Self { events, stop, thread: Some(thread) })
    }

    fn listens(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A counter that is written once is never full.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(events: &OwnedFd, stop: &OwnedFd, hint: impl Fn()) -> io::Result<()> {
    loop {
        let mut waiting = [PollFd::new(stop, PollFlags::IN), PollFd::new(events, PollFlags::IN)];
        wait(&mut waiting, None)?;
        if !waiting[0].revents().is_empty() {
            return Ok(());
        }
        if take(events)? {
            hint();
        }
        let mut waiting = [PollFd::new(stop, PollFlags::IN)];
        if wait(&mut waiting, Some(GATHERED))? > 0 {
            return Ok(());
        }
    }
}

fn wait(waiting: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| Timespec::try_from(timeout).expect("a fraction of a second"));
    Ok(rustix::io::retry_on_intr(|| poll(waiting, timeout.as_ref()))?)
}

/// Reads all events that wait; whether one of them may have to do with a package.
fn take(events: &OwnedFd) -> io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
    let mut reader = inotify::Reader::new(events, &mut buffer);
    let mut found = false;
    loop {
        match reader.next() {
            Ok(event) => found |= matters(&event),
            Err(Errno::AGAIN) => return Ok(found),
            Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
}

fn matters(event: &inotify::Event<'_>) -> bool {
    let name = event.file_name().and_then(|name| name.to_str().ok());
    event.events().intersects(WHOLE) || name.is_some_and(|name| name.parse::<FileName>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;

    /// How long a hint may take.
    const BOUND: Duration = Duration::from_secs(10);

    #[test]
    fn an_overflow_of_the_kernels_queue_is_a_hint() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str| fs_err::write(directory.path().join(name), b"").expect("a file");
        write("a-1-1-any.pkg.tar");
        // Nobody takes events from the queue until this hint is taken.
        let (hints, hinted) = sync_channel(0);
        let hint = move || hints.send(()).unwrap_or_default();
        let mut watcher = DirectoryWatcher::new(vec![directory.path().to_owned()], hint);
        assert!(watcher.refresh());
        fs_err::remove_file(directory.path().join("a-1-1-any.pkg.tar")).expect("a file");
        let room = fs_err::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a kernel with inotify");
        for _ in 0..room.trim().parse::<u32>().expect("a number") {
            // Not the same event again: that would take no room.
            write("no-package");
            write("another");
        }
        assert_eq!(hinted.recv_timeout(BOUND), Ok(()), "for the package");
        assert_eq!(hinted.recv_timeout(BOUND), Ok(()), "for the overflow: no other event has to do with a package");
    }
}
