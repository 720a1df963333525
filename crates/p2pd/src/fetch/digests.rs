//! The hashes of one growing file; of a large one on two cores at once.

use bytes::Bytes;
use p2p_package::{FileName, Hashed, Info, PieceHasher, Sha256Hasher};
use tokio::sync::{mpsc, oneshot};

/// From this size on, in bytes, a second thread pays: it hashes pieces while the first computes the SHA-256.
const TWO_THREADS_FROM: u64 = 8 * 1024 * 1024;
/// Chunks that may wait for the second thread.
const QUEUE: usize = 64;

/// A SHA-256 and the piece hashes of the same bytes.
#[derive(Debug)]
pub(super) struct Digests {
    taken: u64,
    sha256: Sha256Hasher,
    pieces: Pieces,
}

#[derive(Debug)]
enum Pieces {
    Here(PieceHasher),
    Elsewhere { chunks: mpsc::Sender<Bytes>, hasher: oneshot::Receiver<PieceHasher> },
}

impl Digests {
    /// For a package of `size` bytes; none for one that has no canonical torrent.
    pub(super) fn new(size: u64) -> Option<Self> {
        let hasher = PieceHasher::new(size)?;
        let pieces = if size < TWO_THREADS_FROM { Pieces::Here(hasher) } else { hash_elsewhere(hasher) };
        Some(Self { taken: 0, sha256: Sha256Hasher::default(), pieces })
    }

    /// How many bytes were taken in.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next bytes in. Called from a thread that may block.
    pub(super) fn update(&mut self, bytes: &Bytes) {
        self.taken += bytes.len() as u64;
        match &mut self.pieces {
            Pieces::Here(hasher) => hasher.update(bytes),
            Pieces::Elsewhere { chunks, .. } => {
                // Without the other thread there will be no piece hashes, and finishing tells.
                let _ = chunks.blocking_send(bytes.clone());
            }
        }
        self.sha256.update(bytes);
    }

    /// The hashes; none where there were not as many bytes as announced.
    pub(super) fn finish(self, name: FileName) -> Option<Hashed> {
        let info: Option<Info> = match self.pieces {
            Pieces::Here(hasher) => hasher.finish(name),
            Pieces::Elsewhere { chunks, hasher } => {
                drop(chunks);
                hasher.blocking_recv().ok()?.finish(name)
            }
        };
        Some(Hashed { sha256: self.sha256.finish(), info: info? })
    }
}

fn hash_elsewhere(mut hasher: PieceHasher) -> Pieces {
    let (chunks, mut queue) = mpsc::channel::<Bytes>(QUEUE);
    let (done, result) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        while let Some(chunk) = queue.blocking_recv() {
            hasher.update(&chunk);
        }
        // Nobody waits where the fetch was given up.
        let _ = done.send(hasher);
    });
    Pieces::Elsewhere { chunks, hasher: result }
}

#[cfg(test)]
mod tests {
    use p2p_package::Hasher;

    use super::*;

    #[tokio::test]
    async fn one_thread_and_two_give_the_same_hashes() {
        for size in [3, TWO_THREADS_FROM - 1, TWO_THREADS_FROM + 1] {
            let bytes = Bytes::from(vec![7; usize::try_from(size).expect("a few MiB")]);
            let name: FileName = "a-1-1-any.pkg.tar.zst".parse().expect("a package's name");
            let mut expected = Hasher::new(size).expect("a package");
            expected.update(&bytes);
            let mut digests = Digests::new(size).expect("a package");
            let copy = (bytes.clone(), name.clone());
            let found = tokio::task::spawn_blocking(move || {
                let (bytes, name) = copy;
                (0..bytes.len()).step_by(100_000).for_each(|at| {
                    digests.update(&bytes.slice(at..bytes.len().min(at + 100_000)));
                });
                digests.finish(name)
            });
            assert_eq!(found.await.expect("no panic"), expected.finish(name), "{size}");
        }
    }
}
