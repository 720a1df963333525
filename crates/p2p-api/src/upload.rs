//! What peers outside of the local networks may be given now, and how a person changes it.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// The answer to `GET` and `POST /v1/upload`. Times are Unix seconds. Local networks are outside of all of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Bytes a second that may be uploaded now; None: no limit; 0: nothing.
    pub limit: Option<u64>,
    /// Why it is so much.
    pub reason: UploadReason,
    /// When the last pause ends; None where there is no pause, or one without end.
    pub paused_until: Option<u64>,
    /// Bytes uploaded in this month, by the local clock.
    pub month_bytes: u64,
    /// Bytes that may be uploaded in a month; None: as many as the limit allows.
    pub monthly_cap: Option<u64>,
    /// Peers that get data at the same time.
    pub slots: u64,
    /// The pauses in force, at most one for each reason.
    pub pauses: Vec<Pause>,
    /// The limit that a person has set, also where something else overrules it now.
    pub manual_limit: Option<ManualLimit>,
}

/// Why the upload has its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UploadReason {
    /// A pause.
    Paused,
    /// The month's cap has been reached.
    Cap,
    /// A person has said so.
    Limit,
    /// A rule of `seed.schedule`.
    Schedule,
    /// Our own downloads come first: a quarter of what would hold otherwise.
    OwnFetch,
    /// `network.upload_limit`, or a reason that only a newer daemon knows.
    #[serde(other)]
    Default,
}

/// One pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Whose it is.
    pub reason: PauseReason,
    /// When it ends, in Unix seconds; None: when somebody ends it.
    pub until: Option<u64>,
}

/// Whose pause it is: each is ended without touching the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseReason {
    /// A person wants it.
    #[default]
    User,
    /// The machine is on a network that is paid by volume.
    Metered,
}

/// A limit that a person has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualLimit {
    /// None: no limit.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// The body of `POST /v1/upload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum UploadRequest {
    /// Nothing is uploaded from now on.
    Pause {
        /// For so long, at most [`MAX_PAUSE_SECONDS`]; None: until somebody ends it.
        #[serde(default)]
        seconds: Option<NonZeroU64>,
        /// Whose pause it is; it takes the place of an earlier one.
        #[serde(default)]
        reason: PauseReason,
    },
    /// Ends a pause.
    Resume {
        /// Which; None: every one.
        #[serde(default)]
        reason: Option<PauseReason>,
    },
    /// Overrules configuration and schedule, until it is taken back.
    Limit(ManualLimit),
    /// Takes a limit back.
    Default,
}

/// The longest pause with an end: a year.
pub const MAX_PAUSE_SECONDS: u64 = 366 * 24 * 60 * 60;
