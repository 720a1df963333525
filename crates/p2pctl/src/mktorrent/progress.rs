//! A bar while a person looks on, and one line at the end for everybody.

use std::io::{self, Write};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};

use super::Tally;
use super::package::PackageFault;
use crate::report::complain;

/// Bytes done so far; shared by all threads.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Draws on standard error where that is a terminal, and nowhere else.
    pub(crate) fn new(bytes: u64) -> Self {
        let bar = ProgressBar::new(bytes);
        let style = ProgressStyle::with_template(
            "{binary_bytes:>10} {binary_bytes_per_sec:>12} {eta_precise} [{wide_bar}] {percent:>3}%",
        );
        bar.set_style(style.expect("a valid template").progress_chars("#-"));
        Self { bar }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Says on standard error why a package has no torrent.
    pub(crate) fn complain(&self, fault: &PackageFault) {
        self.bar.suspend(|| complain(fault));
    }

    /// Takes the bar away and prints the summary.
    pub(crate) fn finish(&self, tally: Tally) -> io::Result<()> {
        self.bar.finish_and_clear();
        let Tally { written, up_to_date, failed, hashed_bytes } = tally;
        let hashed = ByteSize(hashed_bytes);
        writeln!(io::stdout(), "torrents: {written} written ({hashed} read), {up_to_date} up to date, {failed} failed")
    }
}
