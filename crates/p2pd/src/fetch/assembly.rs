//! One growing file: written in order where a mirror streams, followed where a swarm writes, hashed in the same pass.
//!
//! A thread of its own does the work, so that reading from the network and hashing overlap.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fs_err::{File, OpenOptions};
use p2p_package::Sha256;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::digests::Digest;

/// Chunks of the network that may wait for the disk: 64 of at most 64 KiB or so.
const QUEUE: usize = 64;

/// The handle of the thread; dropping it ends the thread and keeps the file.
#[derive(Debug)]
pub(crate) struct Assembly {
    path: Arc<Path>,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<AssemblyState>,
    worker: JoinHandle<()>,
}

/// What the thread has done so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct AssemblyState {
    /// The first bytes of the file that are written, hashed or not.
    pub(crate) contiguous: u64,
    /// Set once, when the disk refused.
    pub(crate) fault: Option<Arc<DiskFault>>,
}

/// The store's disk refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskFault {
    #[error("the disk of {0} is full")]
    Full(PathBuf),
    #[error("cannot write {0}")]
    Other(PathBuf, #[source] std::io::Error),
}

#[derive(Debug)]
enum Order {
    Append(Bytes),
    Rebase(u64),
    Follow(u64),
    Finish(oneshot::Sender<Option<Sha256>>),
    Sync(oneshot::Sender<()>),
}

impl DiskFault {
    pub(crate) fn new(path: &Path, error: std::io::Error) -> Self {
        if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
            return Self::Full(path.to_owned());
        }
        Self::Other(path.to_owned(), error)
    }
}

impl Assembly {
    /// Opens the file at `path`, whose first `prefix` bytes are there already, or makes it. With a `size` it is hashed.
    pub(crate) fn open(path: &Path, prefix: u64, size: Option<u64>) -> Result<Self, DiskFault> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| DiskFault::new(path, error))?;
        let (orders, incoming) = mpsc::channel(QUEUE);
        let (publish, state) = watch::channel(AssemblyState { contiguous: prefix, fault: None });
        let digest = size.map(Digest::new);
        let worker = Worker { path: path.to_owned(), file, size, written: prefix, digest, publish };
        let worker = tokio::task::spawn_blocking(move || worker.run(incoming));
        Ok(Self { path: path.into(), orders, state, worker })
    }

    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(crate) fn state(&self) -> watch::Receiver<AssemblyState> {
        self.state.clone()
    }

    /// A writer for the stream of one mirror.
    pub(crate) fn appender(&self) -> Appender {
        Appender(self.orders.clone())
    }

    /// From now on somebody else writes; the first `contiguous` bytes are good, and everything is hashed afresh from the file.
    pub(crate) async fn rebase(&self, contiguous: u64) {
        let _ = self.orders.send(Order::Rebase(contiguous)).await;
    }

    /// Hashes up to `contiguous`, which somebody else has written.
    pub(crate) async fn follow(&self, contiguous: u64) {
        let _ = self.orders.send(Order::Follow(contiguous)).await;
    }

    /// Hashes what a swarm completes, from the start of the file on, until the handle is dropped.
    pub(crate) fn follower(&self, mut contiguous: watch::Receiver<u64>) -> AbortOnDropHandle<()> {
        let orders = self.orders.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            while contiguous.changed().await.is_ok() {
                let end = *contiguous.borrow_and_update();
                if orders.send(Order::Follow(end)).await.is_err() {
                    return;
                }
            }
        }))
    }

    /// Ends; when this returns, nobody writes to the file any more. Appenders and followers have to be gone.
    pub(crate) async fn close(self) {
        drop(self.orders);
        // A worker that has panicked does not write either.
        let _ = self.worker.await;
    }

    /// Waits until everything appended so far is written; how many bytes that are.
    pub(crate) async fn synced(&self) -> u64 {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Sync(done)).await.is_ok() {
            let _ = wait.await;
        }
        self.state.borrow().contiguous
    }

    /// The hash of the whole file; none where it does not have the size that was announced.
    pub(crate) async fn finish(&self) -> Option<Sha256> {
        let (answer, wait) = oneshot::channel();
        self.orders.send(Order::Finish(answer)).await.ok()?;
        wait.await.ok().flatten()
    }
}

/// Appends the bytes of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Appender(mpsc::Sender<Order>);

impl Appender {
    /// Appends; waits where the disk is slower than the network.
    pub(crate) async fn append(&self, bytes: Bytes) {
        let _ = self.0.send(Order::Append(bytes)).await;
    }
}

#[derive(Debug)]
struct Worker {
    path: PathBuf,
    file: File,
    size: Option<u64>,
    written: u64,
    digest: Option<Digest>,
    publish: watch::Sender<AssemblyState>,
}

impl Worker {
    fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.blocking_recv() {
            let done = match order {
                Order::Append(bytes) => self.append(&bytes),
                Order::Rebase(contiguous) => {
                    self.digest = self.size.map(Digest::new);
                    self.follow(contiguous)
                }
                Order::Follow(contiguous) => self.follow(contiguous),
                Order::Finish(answer) => self.finish(answer),
                Order::Sync(answer) => {
                    let _ = answer.send(());
                    Ok(())
                }
            };
            if let Err(error) = done {
                let fault = Arc::new(DiskFault::new(&self.path, error));
                self.publish.send_modify(|state| state.fault = Some(fault));
                return;
            }
        }
    }

    fn append(&mut self, bytes: &Bytes) -> std::io::Result<()> {
        self.catch_up(self.written)?;
        self.file.file().write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.publish();
        Ok(())
    }

    fn follow(&mut self, contiguous: u64) -> std::io::Result<()> {
        self.written = contiguous;
        self.publish();
        self.catch_up(contiguous)
    }

    fn finish(&mut self, answer: oneshot::Sender<Option<Sha256>>) -> std::io::Result<()> {
        self.catch_up(self.written)?;
        let _ = answer.send(self.digest.take().and_then(Digest::finish));
        Ok(())
    }

    /// Hashes what is in the file up to `end` and did not pass through [`Self::append`].
    fn catch_up(&mut self, end: u64) -> std::io::Result<()> {
        self.digest.as_mut().map_or(Ok(()), |digest| digest.catch_up(&self.file, end))
    }

    fn publish(&self) {
        let contiguous = self.written;
        self.publish.send_modify(|state| state.contiguous = contiguous);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_swarm_rewrote_is_what_is_hashed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a");
        let assembly = Assembly::open(&path, 0, Some(6)).expect("a new file");
        assembly.appender().append(Bytes::from_static(b"abXX")).await;
        assert_eq!(assembly.synced().await, 4);
        let file = OpenOptions::new().write(true).open(&path).expect("the same file");
        file.file().write_all_at(b"cdef", 2).expect("room for a few bytes");
        assembly.rebase(2).await;
        assert_eq!(assembly.synced().await, 2);
        assembly.follow(6).await;
        assert_eq!(assembly.finish().await, Some(Sha256::of(b"abcdef")));
        assembly.close().await;
    }

    #[tokio::test]
    async fn a_prefix_of_an_earlier_run_is_hashed_too() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a");
        fs_err::write(&path, b"abc").expect("a temporary file");
        let assembly = Assembly::open(&path, 3, Some(6)).expect("an existing file");
        assembly.appender().append(Bytes::from_static(b"def")).await;
        assert_eq!(assembly.synced().await, 6);
        assert_eq!(assembly.finish().await, Some(Sha256::of(b"abcdef")));
    }

    #[tokio::test]
    async fn fewer_bytes_than_announced_have_no_hash() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let assembly = Assembly::open(&directory.path().join("a"), 0, Some(6)).expect("a new file");
        assembly.appender().append(Bytes::from_static(b"abc")).await;
        assert_eq!(assembly.finish().await, None);
    }
}
