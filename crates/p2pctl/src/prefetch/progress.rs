//! A bar while a person looks on, and one line for each file that could not be had.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use p2p_api::TransactionProgress;

use crate::report::{percent, plain, say};

/// How often a sign of life moves while pacman is asked.
const TICK: Duration = Duration::from_millis(100);

/// Draws on standard error where that is a terminal, and nowhere else.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner().with_message("asking pacman");
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// Draws nowhere at all.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()) }
    }

    /// Takes a new state.
    pub(crate) fn show(&self, progress: &TransactionProgress) {
        let is_first = self.bar.length().is_none();
        let TransactionProgress { files_done, files, done, total, from_peers } = *progress;
        self.bar.set_message(format!("{files_done}/{files} files, {} from peers", percent(from_peers, done)));
        self.bar.set_position(done);
        self.bar.set_length(total.max(done));
        if is_first {
            self.begin();
        }
    }

    /// Says on standard error why a file is not there.
    pub(crate) fn complain(&self, url: &str, message: &str) {
        self.bar.suspend(|| say(&format!("p2pctl: {}: {}", plain(url), plain(message))));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The sign of life becomes a bar.
    fn begin(&self) {
        self.bar.disable_steady_tick();
        let template = "{msg}  {binary_bytes}/{binary_total_bytes}  {eta} left [{wide_bar}] {percent:>3}%";
        let style = ProgressStyle::with_template(template);
        self.bar.set_style(style.expect("a valid template").progress_chars("#-"));
    }
}

impl Drop for Progress {
    /// What is said next begins on an empty line.
    fn drop(&mut self) {
        self.finish();
    }
}
