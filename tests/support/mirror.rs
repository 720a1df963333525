//! A mirror inside the test, with faults that are switched on and off while it serves, and a log.

mod answer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::fault::Faults;
use crate::{Fault, Host};

/// Stands for every path in [`Mirror::fault`].
const EVERY_PATH: &str = "*";

/// An HTTP server for one directory.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One request that a [`Mirror`] saw.
#[derive(Debug, Clone)]
pub struct MirrorRequest {
    /// The path, with the leading slash, and the query.
    pub path: String,
    /// The value of `Range`.
    pub range: Option<String>,
    /// The value of `If-None-Match`.
    pub if_none_match: Option<String>,
    /// The value of `If-Modified-Since`.
    pub if_modified_since: Option<String>,
    /// The value of `User-Agent`.
    pub user_agent: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the body sent so far.
    pub served: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    root: PathBuf,
    faults: Mutex<BTreeMap<String, Faults>>,
    healed: Notify,
    log: Mutex<Vec<(MirrorRequest, Arc<AtomicU64>)>>,
    line: Mutex<Line>,
}

/// What all connections share: a line of so many bytes a second.
#[derive(Debug)]
pub(crate) struct Line {
    rate: Option<u64>,
    free_at: Instant,
}

impl Mirror {
    /// Serves `root` on this machine's loopback.
    #[must_use]
    #[track_caller]
    pub fn serve(root: &Path) -> Self {
        Self::serve_on(&Host::loopback(), root)
    }

    /// Serves `root` on a free port of `host`.
    #[must_use]
    #[track_caller]
    pub fn serve_on(host: &Host, root: &Path) -> Self {
        let state = Arc::new(State::new(root));
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let (served, wanted) = (Arc::clone(&state), SocketAddr::new(host.address(), 0));
        let thread = host.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(wanted).await.expect("a port is free");
                bound.send(listener.local_addr().expect("a bound socket has an address")).expect("the test waits");
                let server = axum::serve(listener, axum::Router::new().fallback(answer::answer).with_state(served));
                tokio::select! {
                    served = server.into_future() => served.expect("serving does not end"),
                    _ = stopped => (),
                }
            });
            // Connections that are still open are cut here, as a machine that dies would cut them.
            runtime.shutdown_background();
        });
        let address = address.recv().expect("the mirror binds a port");
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A `Server` line for `pacman.conf`.
    #[must_use]
    pub fn server(&self) -> String {
        self.url("/$repo/os/$arch")
    }

    /// Adds a fault to one path, or to every path with `*`.
    pub fn fault(&self, path: &str, fault: Fault) {
        locked(&self.state.faults).entry(path.to_owned()).or_default().add(fault);
    }

    /// Takes the faults of a path back, and lets its stalled answers go on.
    pub fn heal(&self, path: &str) {
        locked(&self.state.faults).remove(path);
        self.state.healed.notify_waiters();
    }

    /// Limits all connections together, in bytes a second.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        locked(&self.state.line).rate = bytes_per_second;
    }

    /// The log, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<MirrorRequest> {
        let served = |(request, served): &(MirrorRequest, Arc<AtomicU64>)| MirrorRequest {
            served: served.load(Ordering::Relaxed),
            ..request.clone()
        };
        locked(&self.state.log).iter().map(served).collect()
    }

    /// The requests for one path.
    #[must_use]
    pub fn requests_for(&self, path: &str) -> Vec<MirrorRequest> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// The bytes of bodies sent for one path.
    #[must_use]
    pub fn served(&self, path: &str) -> u64 {
        self.requests_for(path).iter().map(|request| request.served).sum()
    }

    /// Dies: every connection breaks, and no new one is accepted.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn new(root: &Path) -> Self {
        let line = Line { rate: None, free_at: Instant::now() };
        Self {
            root: root.to_owned(),
            faults: Mutex::default(),
            healed: Notify::new(),
            log: Mutex::default(),
            line: Mutex::new(line),
        }
    }

    fn faults(&self, path: &str) -> Faults {
        let faults = locked(&self.faults);
        faults.get(path).or_else(|| faults.get(EVERY_PATH)).cloned().unwrap_or_default()
    }

    fn record(&self, request: MirrorRequest) -> Arc<AtomicU64> {
        let served = Arc::new(AtomicU64::new(0));
        locked(&self.log).push((request, Arc::clone(&served)));
        served
    }

    /// Waits until the shared line is free for so many bytes.
    async fn pass(&self, bytes: u64) {
        let until = {
            let mut line = locked(&self.line);
            let Some(rate) = line.rate else { return };
            let begin = line.free_at.max(Instant::now());
            line.free_at = begin + time_for(bytes, rate);
            line.free_at
        };
        // A slow line is what the test asked for.
        tokio::time::sleep_until(until).await;
    }
}

/// How long `bytes` take at `rate` bytes a second.
fn time_for(bytes: u64, rate: u64) -> std::time::Duration {
    std::time::Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread of the mirror panics while it holds a lock")
}

#[cfg(test)]
mod tests;
