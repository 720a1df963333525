//! `p2pctl pause`, `resume` and `limit`: what others than the local network get from us.

mod amount;
mod words;

use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use p2p_api::{ManualLimit, PauseReason, Upload, UploadRequest};
use p2p_client::{Client, ClientError};
use thiserror::Error;

use self::amount::{Rate, duration, rate};
pub(crate) use self::words::summary;

/// Uploads nothing to others than the local network
///
/// The local network is served as before, and downloads go on, from peers too. A pause survives a restart of p2pd.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseOptions {
    /// How long, "90m" or "2h 30m" for example; left out: until `p2pctl resume`
    #[arg(value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Whose pause it is: each is ended without the other
    #[arg(long, value_enum, default_value = "user")]
    reason: Reason,
    /// Print what holds then as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Ends pauses
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeOptions {
    /// Only this pause [default: all]
    #[arg(long, value_enum)]
    reason: Option<Reason>,
    /// Print what holds then as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Sets what others than the local network may get in a second, whatever configuration and schedule say
///
/// It survives a restart of p2pd. A pause, and a month's cap, still hold.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitOptions {
    /// "200KiB/s" for example; "none": no limit; "default": what configuration and schedule say
    #[arg(value_name = "RATE", value_parser = rate)]
    rate: Rate,
    /// Print what holds then as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Whose pause it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Reason {
    /// A person's
    User,
    /// For a network that is paid by volume: what the network's dispatcher script uses
    Metered,
}

/// Why it was not changed, or not shown.
#[derive(Debug, Error)]
pub(crate) enum UploadError {
    /// The daemon was of no help.
    #[error(transparent)]
    Client(ClientError),
    /// Standard output did not take it.
    #[error("the result can't be printed")]
    Print(#[source] io::Error),
}

/// Pauses.
pub(crate) fn pause(options: &PauseOptions, client: &Client) -> Result<(), UploadError> {
    // A pause is not shorter than asked for.
    let seconds = options.duration.map(|duration| duration.as_secs() + u64::from(duration.subsec_nanos() > 0));
    let request = UploadRequest::Pause { seconds: seconds.and_then(NonZeroU64::new), reason: options.reason.into() };
    change(&request, options.json, client)
}

/// Ends pauses.
pub(crate) fn resume(options: &ResumeOptions, client: &Client) -> Result<(), UploadError> {
    change(&UploadRequest::Resume { reason: options.reason.map(PauseReason::from) }, options.json, client)
}

/// Sets a limit, or takes it back.
pub(crate) fn limit(options: &LimitOptions, client: &Client) -> Result<(), UploadError> {
    let limit = |bytes_per_second| UploadRequest::Limit(ManualLimit { bytes_per_second });
    let request = match options.rate {
        Rate::Bytes(bytes) => limit(Some(bytes)),
        Rate::Unlimited => limit(None),
        Rate::Default => UploadRequest::Default,
    };
    change(&request, options.json, client)
}

fn change(request: &UploadRequest, as_json: bool, client: &Client) -> Result<(), UploadError> {
    let upload = client.change_upload(request).map_err(UploadError::Client)?;
    let text = if as_json {
        serde_json::to_string_pretty(&upload).map_err(|error| UploadError::Print(error.into()))?
    } else {
        sentence(&upload)
    };
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(UploadError::Print(error)),
        _ => Ok(()),
    }
}

fn sentence(upload: &Upload) -> String {
    format!("upload: {}", summary(upload, SystemTime::now()))
}

impl From<Reason> for PauseReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::User => Self::User,
            Reason::Metered => Self::Metered,
        }
    }
}
