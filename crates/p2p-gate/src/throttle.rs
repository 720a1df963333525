//! The rate limits that all strangers share, and how one connection waits for its part.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::Sleep;

use crate::clock;
use crate::embargo::Upload;
use crate::pacer::{Pacer, Reservation};

/// The longest sleep before the limit is looked at again, so that a new one is noticed soon.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What may pass in a second while nothing is to be uploaded, in bytes: what our own downloads need. The requests for 100 MB are
/// 100 KB.
const PROTOCOL_RATE: NonZeroU64 = NonZeroU64::new(128 * 1024).expect("not zero");

/// A rate limit that many connections share.
#[derive(Debug)]
pub(crate) struct Throttle {
    limit: Mutex<Limit>,
    upload: watch::Sender<Upload>,
}

#[derive(Debug)]
struct Limit {
    pacer: Pacer,
    /// How often the limit was replaced: reservations from before are void.
    era: u64,
}

impl Throttle {
    /// Limits to so many bytes a second, or not at all.
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        let limit = Limit { pacer: Pacer::new(rate, clock::now()), era: 0 };
        Self { limit: Mutex::new(limit), upload: watch::Sender::new(Upload::Open) }
    }

    pub(crate) fn set_limit(&self, rate: Option<NonZeroU64>) {
        self.replace(rate);
        self.upload.send_replace(Upload::Open);
    }

    /// Lets nothing pass but what a conversation needs that gives no blocks.
    pub(crate) fn close(&self) {
        self.replace(Some(PROTOCOL_RATE));
        self.upload.send_replace(Upload::Closed);
    }

    /// Whether blocks may pass.
    pub(crate) fn upload(&self) -> watch::Receiver<Upload> {
        self.upload.subscribe()
    }

    fn replace(&self, rate: Option<NonZeroU64>) {
        let mut limit = self.limit();
        limit.pacer.set_rate(rate, clock::now());
        limit.era += 1;
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().expect("nothing panics while it holds the limit")
    }
}

/// One direction of one connection, waiting for its turn.
#[derive(Debug)]
pub(crate) struct Pace {
    throttle: Option<Arc<Throttle>>,
    turn: Option<Turn>,
}

/// A turn that has not come yet. Nobody else waits for its owner: one that does not come back loses nothing but the turn.
#[derive(Debug)]
struct Turn {
    reservation: Reservation,
    era: u64,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    /// Goes at the pace of `throttle`, or as fast as it can.
    pub(crate) fn new(throttle: Option<Arc<Throttle>>) -> Self {
        Self { throttle, turn: None }
    }

    /// Whether no limit will ever hold for this direction.
    pub(crate) fn is_free(&self) -> bool {
        self.throttle.is_none()
    }

    /// How many of `wanted` bytes may pass now; what does not pass is to be [given back](Self::give_back).
    pub(crate) fn poll_grant(&mut self, wanted: usize, context: &mut Context<'_>) -> Poll<usize> {
        let Some(throttle) = &self.throttle else { return Poll::Ready(wanted) };
        loop {
            if let Some(turn) = &mut self.turn {
                ready!(turn.sleep.as_mut().poll(context));
                let (Reservation { bytes, due }, era) = (turn.reservation, turn.era);
                if throttle.limit().era != era {
                    self.turn = None;
                } else if due > clock::now() {
                    turn.sleep.as_mut().reset(wake_for(due).into());
                } else {
                    self.turn = None;
                    let granted = bytes.min(wanted);
                    self.give_back(bytes - granted);
                    return Poll::Ready(granted);
                }
                continue;
            }
            let (now, mut limit) = (clock::now(), throttle.limit());
            let reservation = limit.pacer.reserve(wanted, now);
            if reservation.due <= now {
                return Poll::Ready(reservation.bytes);
            }
            let sleep = Box::pin(tokio::time::sleep_until(wake_for(reservation.due).into()));
            self.turn = Some(Turn { reservation, era: limit.era, sleep });
        }
    }

    /// Returns bytes that were granted and did not pass.
    pub(crate) fn give_back(&self, bytes: usize) {
        if let Some(throttle) = self.throttle.as_ref().filter(|_| bytes > 0) {
            throttle.limit().pacer.give_back(bytes);
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.give_back(turn.reservation.bytes);
        }
    }
}

fn wake_for(due: Instant) -> Instant {
    due.min(clock::now() + LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::Instant;

    use super::*;

    /// The bytes that each of `count` greedy connections gets in ten seconds.
    async fn race(throttle: &Arc<Throttle>, count: usize) -> Vec<u64> {
        let end = Instant::now() + Duration::from_secs(10);
        let passed: Arc<Vec<AtomicU64>> = Arc::new(std::iter::repeat_with(AtomicU64::default).take(count).collect());
        let run = |index: usize| {
            let (mut pace, passed) = (Pace::new(Some(Arc::clone(throttle))), Arc::clone(&passed));
            tokio::spawn(tokio::time::timeout_at(end, async move {
                loop {
                    let granted = poll_fn(|context| pace.poll_grant(16 * 1024, context)).await;
                    passed[index].fetch_add(granted as u64, Ordering::Relaxed);
                }
            }))
        };
        let runs: Vec<_> = (0..count).map(run).collect();
        for run in runs {
            run.await.expect("no panic").expect_err("only time ends it");
        }
        passed.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn all_connections_together_keep_the_limit_and_use_it() {
        let throttle = Arc::new(Throttle::new(NonZeroU64::new(1_000_000)));
        let passed = race(&throttle, 5).await;
        // Ten seconds' worth, the quarter of a second's that may pass at once, and one turn that goes into debt.
        let sum: u64 = passed.iter().sum();
        assert!((9_900_000..=10_270_000).contains(&sum), "{sum}");
        // Whoever asks first gets what may pass at once; beyond that all get the same.
        assert!(passed.iter().all(|bytes| *bytes > 1_950_000), "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_for_his_turn_keeps_nobody_waiting() {
        let throttle = Arc::new(Throttle::new(NonZeroU64::new(1_000_000)));
        let mut absent = Pace::new(Some(Arc::clone(&throttle)));
        let asked = poll_fn(|context| {
            while absent.poll_grant(16 * 1024, context).is_ready() {}
            Poll::Ready(())
        });
        asked.await;
        let passed = race(&throttle, 2).await;
        assert!(passed.iter().all(|bytes| *bytes > 4_900_000), "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_limit_holds_for_those_who_wait_already() {
        let throttle = Arc::new(Throttle::new(NonZeroU64::new(1)));
        let mut pace = Pace::new(Some(Arc::clone(&throttle)));
        // The first turn is free, and the next is due when it has been paid for: in a quarter of an hour.
        poll_fn(|context| pace.poll_grant(1_000, context)).await;
        let start = Instant::now();
        let waiting = tokio::spawn(async move { poll_fn(|context| pace.poll_grant(1_000, context)).await });
        tokio::task::yield_now().await;
        throttle.set_limit(None);
        assert_eq!(waiting.await.expect("no panic"), 1_000);
        assert!(start.elapsed() <= LONGEST_WAIT);
    }
}
