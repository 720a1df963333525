//! What people have said by `p2pctl`: pauses and a limit, kept over restarts in a small file.

use std::path::Path;

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};
use p2p_api::{ManualLimit, Pause, PauseReason, UploadRequest};
use serde::{Deserialize, Serialize};

/// The wishes in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wishes {
    /// At most one for each reason.
    pauses: Vec<Pause>,
    manual_limit: Option<ManualLimit>,
}

impl Wishes {
    /// What was said before; nothing where the file is missing or broken.
    pub(crate) fn load(path: &Path) -> Self {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::warn!(%error, "pauses and limits of the last run are lost");
                return Self::default();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, "pauses and limits of the last run are lost");
            Self::default()
        })
    }

    /// Blocks.
    pub(crate) fn save(&self, path: &Path) -> std::io::Result<()> {
        p2p_state::replace(path, &serde_json::to_vec(self).expect("wishes are JSON"))
    }

    pub(crate) fn handle_request(&mut self, request: UploadRequest, now: Timestamp) {
        match request {
            UploadRequest::Pause { seconds, reason } => {
                let until = seconds.map(|seconds| later(now, seconds.get()));
                self.end_pause(reason);
                self.pauses.push(Pause { reason, until });
            }
            UploadRequest::Resume { reason: Some(reason) } => self.end_pause(reason),
            UploadRequest::Resume { reason: None } => self.pauses.clear(),
            UploadRequest::Limit(limit) => self.manual_limit = Some(limit),
            UploadRequest::Default => self.manual_limit = None,
        }
    }

    /// The pauses in force.
    pub(crate) fn pauses(&self, now: Timestamp) -> impl Iterator<Item = Pause> {
        self.pauses.iter().copied().filter(move |pause| pause.until.is_none_or(|until| until > seconds(now)))
    }

    pub(crate) fn manual_limit(&self) -> Option<ManualLimit> {
        self.manual_limit
    }

    fn end_pause(&mut self, reason: PauseReason) {
        self.pauses.retain(|pause| pause.reason != reason);
    }
}

/// Unix seconds; a time before 1970 is 1970.
fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}

/// Rounded up to a whole second: a pause is never shorter than asked for.
fn later(now: Timestamp, wanted: u64) -> u64 {
    let end = now.saturating_add(SignedDuration::from_nanos(999_999_999)).map_or(0, seconds);
    end.saturating_add(wanted)
}
