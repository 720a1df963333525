//! What can be wrong with a mirror's answer, named by what to do about it.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::resolver::NotGlobal;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a mirror did not give what was asked of it. It is never proof that the bytes are wrong, and our own fault only where
/// we are [`Crowded`](Self::Crowded).
#[derive(Debug, thiserror::Error)]
pub enum MirrorFault {
    /// It does not have the file (404, 403, 410, 451). It may have every other.
    #[error("the mirror does not have the file (HTTP {0})")]
    Lacks(u16),
    /// It has too much to do (429, 503), and may have said for how long.
    #[error("the mirror is busy (HTTP {status})")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long it wants to be left alone; at most an hour is believed.
        retry_after: Option<Duration>,
    },
    /// Any other status that is not success.
    #[error("the mirror answered HTTP {0}")]
    Refused(u16),
    /// It could not be reached, or the connection broke.
    #[error("the mirror can't be reached")]
    Network(#[source] Cause),
    /// Nothing, or next to nothing, arrived for the whole stall time-out.
    #[error("the mirror stalled")]
    Stalled,
    /// It sends whole files only, and a part was asked for.
    #[error("the mirror ignores ranges")]
    NoRanges,
    /// It sent another range than it was asked for, or a range of a file of another size.
    #[error("the mirror sent another range")]
    WrongRange,
    /// The file is longer than it must be.
    #[error("the mirror's file is too long")]
    TooLong,
    /// The file, or its transfer, ends too early.
    #[error("the mirror's file ends too early")]
    TooShort,
    /// It is something else: a web page of a captive portal, or an encoded body.
    #[error("the mirror sent something else: {0}")]
    NotThisFile(&'static str),
    /// It redirects too often, from HTTPS to HTTP, or from the Internet to a private address.
    #[error("the mirror redirects to where we do not go: {0}")]
    Redirect(&'static str),
    /// It was not asked: all our connections to it stayed in use for the whole queue time-out.
    #[error("all our connections to the mirror are in use")]
    Crowded,
}

impl MirrorFault {
    /// What became of a request or a body, according to the HTTP client.
    pub(crate) fn from_client(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            // An `io::Error` that wraps another names that one's source as its own.
            let io = error.downcast_ref::<io::Error>();
            if error.is::<NotGlobal>()
                || io.and_then(io::Error::get_ref).is_some_and(<dyn Error + Send + Sync>::is::<NotGlobal>)
            {
                return Self::Redirect("to a private address");
            }
            if io.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
                return Self::TooShort;
            }
            cause = error.source();
        }
        // The URL may hold a password.
        Self::Network(error.without_url().into())
    }
}
