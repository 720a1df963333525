//! How much is uploaded to others than the local networks: applies what the [policy](policy::UploadPolicy) says, whenever
//! that changes.

mod alarm;
mod month;
mod policy;
mod schedule;
mod wishes;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use p2p_api::{MAX_PAUSE_SECONDS, Upload, UploadRequest};
use p2p_gate::Gate;
use p2p_seeder::Seeder;
use tokio::sync::Notify;

pub(crate) use alarm::Alarm;
pub(crate) use month::MonthBytes;
use policy::{Decision, UploadPolicy};
use wishes::Wishes;

use crate::config::Settings;
use crate::services::Services;

/// The longest sleep: the machine's time zone may change without anybody being told.
const LOOK_AGAIN_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// The policy, and what was told to gate and seeder last.
#[derive(Debug)]
pub(crate) struct Uploads {
    shared: Mutex<Shared>,
    /// Something was asked for, or configured.
    changed: Notify,
    /// Where the wishes are kept; held while they are written, so that the last ones are.
    wishes: Mutex<PathBuf>,
}

#[derive(Debug)]
struct Shared {
    policy: UploadPolicy,
    /// Limits of upload and download, slots.
    applied: Option<(Option<u64>, Option<NonZeroU64>, usize)>,
}

/// What was asked for makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestFault {
    #[error("a pause with an end lasts {MAX_PAUSE_SECONDS} seconds at most")]
    TooLong,
}

impl Uploads {
    /// Goes on where the last run ended; `wishes` is the file that keeps what people have said.
    pub(crate) fn load(wishes: PathBuf, month: MonthBytes) -> Self {
        if let Err(error) = TimeZone::try_system() {
            tracing::warn!(%error, "the local time zone is not known; schedule and months go by UTC");
        }
        let policy = UploadPolicy::new(Wishes::load(&wishes), month);
        Self {
            shared: Mutex::new(Shared { policy, applied: None }),
            changed: Notify::new(),
            wishes: Mutex::new(wishes),
        }
    }

    /// Tells gate and seeder what holds; to be called before they serve anybody.
    pub(crate) fn begin(&self, settings: &Settings, gate: &Gate, seeder: &Seeder) {
        self.lock().apply(settings, gate, seeder);
    }

    /// Does what is asked for, at once, and says what holds now. Blocks: it writes a file.
    pub(crate) fn handle_request(&self, services: &Services, request: UploadRequest) -> Result<Upload, RequestFault> {
        if matches!(request, UploadRequest::Pause { seconds: Some(seconds), .. } if seconds.get() > MAX_PAUSE_SECONDS) {
            return Err(RequestFault::TooLong);
        }
        let path = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shared = self.lock();
        let wishes = shared.policy.handle_request(request, Timestamp::now()).clone();
        tracing::info!(?request, "upload limits were asked for");
        shared.apply_to(services);
        let upload = shared.policy.describe(&services.settings(), &now());
        drop(shared);
        self.changed.notify_one();
        // Nobody who only asks what holds waits for the disk.
        if let Err(error) = wishes.save(&path) {
            tracing::warn!(%error, "pause and limit will not survive a restart");
        }
        Ok(upload)
    }

    /// Takes over what the configuration says now.
    pub(crate) fn handle_settings(&self, services: &Services) {
        self.lock().apply_to(services);
        self.changed.notify_one();
    }

    /// What holds now.
    pub(crate) fn describe(&self, services: &Services) -> Upload {
        let (now, mut shared) = (now(), self.lock());
        shared.policy.handle_uploaded(services.gate.totals().uploaded_outside, &now);
        shared.policy.describe(&services.settings(), &now)
    }

    /// What this month has cost so far, to be kept over restarts.
    pub(crate) fn month(&self, services: &Services) -> MonthBytes {
        let mut shared = self.lock();
        shared.policy.handle_uploaded(services.gate.totals().uploaded_outside, &now());
        shared.policy.month()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Looks at everything, and tells gate and seeder what has changed; also how many bytes may have been uploaded when it
    /// has to be looked at again.
    fn apply_to(&mut self, services: &Services) -> (Decision, Option<u64>) {
        self.policy.handle_fetches(*services.fetches.urgent().borrow());
        let seeder = services.swarms.seeder().expect("the gate was opened before there were services");
        self.apply(&services.settings(), &services.gate, seeder)
    }

    fn apply(&mut self, settings: &Settings, gate: &Gate, seeder: &Seeder) -> (Decision, Option<u64>) {
        let (now, uploaded) = (now(), gate.totals().uploaded_outside);
        self.policy.handle_uploaded(uploaded, &now);
        let decision = self.policy.decide(settings, &now);
        let Decision { limit, slots, reason, cap_left, .. } = decision;
        let applied = Some((limit, settings.network.download_limit, slots));
        if self.applied != applied {
            tracing::debug!(?limit, slots, ?reason, "upload limits changed");
            seeder.set_slots(slots);
            seeder.set_paused(limit == Some(0));
            gate.set_limits(limit, settings.network.download_limit);
            self.applied = applied;
        }
        (decision, cap_left.map(|left| uploaded.saturating_add(left)))
    }
}

/// Runs until the daemon stops; sleeps until something can have changed.
pub(crate) async fn keep(services: Arc<Services>, alarm: Alarm) {
    let uploads = &services.upload;
    let mut fetches = services.fetches.urgent();
    loop {
        fetches.mark_unchanged();
        let (decision, mark) = uploads.lock().apply_to(&services);
        let latest = Timestamp::now().saturating_add(LOOK_AGAIN_WITHIN).unwrap_or(Timestamp::MAX);
        let wake_up = decision.look_again.map_or(latest, |at| at.min(latest));
        tokio::select! {
            rung = alarm.until(wake_up) => if let Err(error) = rung {
                tracing::error!(%error, "the schedule cannot be kept");
                return;
            },
            () = uploads.changed.notified() => {}
            // Its sender lives as long as the daemon.
            _ = fetches.changed() => {}
            () = services.gate.uploaded_outside_reaches(mark.unwrap_or(u64::MAX)) => {}
            () = services.stopping.cancelled() => return,
        }
    }
}

/// By the clock on the wall; UTC where the machine does not say where it is.
fn now() -> Zoned {
    Timestamp::now().to_zoned(TimeZone::try_system().unwrap_or(TimeZone::UTC))
}
