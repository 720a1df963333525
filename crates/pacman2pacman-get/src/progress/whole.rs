//! How far a whole pacman run is, in the room that the bar of one file leaves.

use std::time::{Duration, Instant};

use p2p_api::TransactionProgress;

use super::{clock, in_units, per_second, percent_of, scaled, to_f64};

/// All files of a pacman run together.
#[derive(Debug)]
pub(super) struct Whole {
    progress: TransactionProgress,
    /// When this process heard of it first, and how many bytes there were then.
    first: (Instant, u64),
    seconds_left: Option<u64>,
}

impl Whole {
    /// The first that is heard of it.
    pub(super) fn new(progress: TransactionProgress, now: Instant) -> Self {
        let mut whole = Self { progress, first: (now, progress.done), seconds_left: None };
        whole.update(progress, now);
        whole
    }

    /// Takes a new state. A process for one file lives too short to smooth a rate: what counts is all that has come since
    /// its start, of whatever file.
    pub(super) fn update(&mut self, progress: TransactionProgress, now: Instant) {
        self.progress = progress;
        let (then, before) = self.first;
        let missing = progress.total.saturating_sub(progress.done);
        let rate = per_second(progress.done.saturating_sub(before), now.saturating_duration_since(then));
        self.seconds_left = match missing {
            0 if progress.total > 0 => Some(0),
            _ if rate >= 1.0 => Duration::try_from_secs_f64(to_f64(missing) / rate).ok().map(|left| left.as_secs()),
            _ => None,
        };
    }

    /// What can be said of it, the most first.
    pub(super) fn forms(&self) -> [String; 4] {
        let TransactionProgress { files_done, files, done, total, from_peers } = self.progress;
        let digits = files.to_string().len();
        let count = format!("{files_done:digits$}/{files}");
        let share = percent_of(from_peers, done);
        let left = clock(self.seconds_left);
        let (done, total, unit) = sizes(done, total);
        [
            format!(
                "{} files, {} of {total} {unit}, {share} % from peers, {} left",
                count.trim(),
                done.trim(),
                shown(&left)
            ),
            format!("{count}  {done}/{total} {unit}  p2p {share:2}%  {left}"),
            format!("{count}  {left}"),
            count,
        ]
    }
}

/// The line for a log when the last file of a run is there; None: it is not the last, or the only one.
pub(crate) fn summary(progress: &TransactionProgress) -> Option<String> {
    let TransactionProgress { files_done, files, done, from_peers, .. } = *progress;
    let (size, unit) = in_units(to_f64(done));
    let share = percent_of(from_peers, done);
    (files > 1 && files_done == files).then(|| format!("{files} files, {size:.1} {unit}, {share} % from peers"))
}

/// Both in the unit of the whole, as long as one another.
fn sizes(done: u64, total: u64) -> (String, String, &'static str) {
    let (whole, unit) = in_units(to_f64(total));
    let decimals = usize::from(whole < 100.0 && unit != "B");
    let total = format!("{whole:.decimals$}");
    let length = total.len();
    (format!("{:length$.decimals$}", scaled(done, unit)), total, unit)
}

/// In a sentence a minute needs no leading zero.
fn shown(clock: &str) -> &str {
    clock.strip_prefix('0').unwrap_or(clock)
}
