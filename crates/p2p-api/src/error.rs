//! What the daemon answers to a request that it does not serve.

use serde::{Deserialize, Serialize};

/// The body of every answer that is not 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What a program decides by.
    pub code: ErrorCode,
    /// What happened, as a sentence for a person.
    pub message: String,
    /// What the person can do about it.
    pub hint: Option<String>,
}

/// Why a request was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request can't be read: bad JSON, a URL that is none.
    BadRequest,
    /// The other side speaks another [`API_VERSION`](crate::API_VERSION), or does not say which.
    VersionMismatch,
    /// This user may not do that, or the request looks like one from a web page.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// The body is larger than [`MAX_REQUEST_BYTES`](crate::MAX_REQUEST_BYTES).
    TooLarge,
    /// Too many requests are being served already.
    TooBusy,
    /// The daemon is starting or stopping; also any code that this version does not know.
    #[serde(other)]
    Unavailable,
}

impl ErrorCode {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::VersionMismatch => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::TooBusy => 429,
            Self::Unavailable => 503,
        }
    }
}
