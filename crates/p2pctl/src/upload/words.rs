//! What holds for the upload, in words.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use p2p_api::{PauseReason, Upload, UploadReason};

/// For whom it holds.
const BEYOND: &str = "beyond the local network";
const EXCEPT: &str = "but for the local network";

/// How much is uploaded to others than the local networks, why, and what this month has cost.
pub(crate) fn summary(upload: &Upload, now: SystemTime) -> String {
    let held = match upload.reason {
        UploadReason::Paused => paused(upload, now),
        UploadReason::Cap => format!("nothing {BEYOND} until next month: the cap has been reached"),
        UploadReason::Limit => format!("{}, as set by p2pctl", amount(upload.limit)),
        UploadReason::Schedule => format!("{}, by the schedule", amount(upload.limit)),
        UploadReason::OwnFetch => format!("{} while files are downloaded", amount(upload.limit)),
        UploadReason::Default => amount(upload.limit),
    };
    format!("{held}; {}", month(upload))
}

fn paused(upload: &Upload, now: SystemTime) -> String {
    let is_metered = upload.pauses.iter().all(|pause| pause.reason == PauseReason::Metered);
    let why = if is_metered { "paused on a metered network" } else { "paused" };
    let Some(until) = upload.paused_until else { return format!("{why}, {EXCEPT}") };
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The end is a whole second, the first after the pause that was asked for.
    let now = now.as_secs() + u64::from(now.subsec_nanos() > 0);
    let left = Duration::from_secs(until.saturating_sub(now));
    format!("{why} for {}, {EXCEPT}", humantime::format_duration(left))
}

fn amount(limit: Option<u64>) -> String {
    match limit {
        None => "without limit".to_owned(),
        Some(0) => format!("nothing {BEYOND}"),
        Some(bytes) => format!("at most {}/s {BEYOND}", size(bytes)),
    }
}

fn month(upload: &Upload) -> String {
    let so_far = size(upload.month_bytes);
    match upload.monthly_cap {
        Some(cap) => format!("{so_far} of {} this month", size(cap)),
        None => format!("{so_far} this month"),
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use p2p_api::Pause;

    use super::*;

    fn said(adjust: impl FnOnce(&mut Upload)) -> String {
        let mut upload = Upload {
            limit: Some(2 << 20),
            reason: UploadReason::Default,
            paused_until: None,
            month_bytes: 3 << 30,
            monthly_cap: None,
            slots: 8,
            pauses: Vec::new(),
            manual_limit: None,
        };
        adjust(&mut upload);
        summary(&upload, SystemTime::UNIX_EPOCH + Duration::from_millis(999_500))
    }

    #[test]
    fn every_reason_has_its_words() {
        let by = |reason, limit| move |upload: &mut Upload| (upload.reason, upload.limit) = (reason, limit);
        assert_eq!(said(|_| ()), "at most 2.0 MiB/s beyond the local network; 3.0 GiB this month");
        assert_eq!(said(by(UploadReason::Limit, None)), "without limit, as set by p2pctl; 3.0 GiB this month");
        assert_eq!(
            said(by(UploadReason::Schedule, Some(0))),
            "nothing beyond the local network, by the schedule; 3.0 GiB this month"
        );
        assert_eq!(
            said(by(UploadReason::OwnFetch, Some(1024))),
            "at most 1.0 KiB/s beyond the local network while files are downloaded; 3.0 GiB this month"
        );
        let capped = |upload: &mut Upload| (upload.reason, upload.monthly_cap) = (UploadReason::Cap, Some(3 << 30));
        assert_eq!(
            said(capped),
            "nothing beyond the local network until next month: the cap has been reached; 3.0 GiB of 3.0 GiB this month"
        );
    }

    #[test]
    fn a_pause_says_how_long_it_lasts_and_whether_the_network_is_why() {
        let paused = |reason, until| {
            said(|upload| {
                (upload.reason, upload.paused_until) = (UploadReason::Paused, until);
                upload.pauses = vec![Pause { reason, until }];
            })
        };
        assert_eq!(
            paused(PauseReason::User, Some(8_260)),
            "paused for 2h 1m, but for the local network; 3.0 GiB this month"
        );
        assert_eq!(
            paused(PauseReason::Metered, None),
            "paused on a metered network, but for the local network; 3.0 GiB this month"
        );
    }
}
