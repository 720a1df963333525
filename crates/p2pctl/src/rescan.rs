//! `p2pctl rescan`: has the cache looked at now.

use bytesize::ByteSize;
use indicatif::ProgressBar;
use p2p_api::{RescanDone, RescanRecord, RescanRequest};
use p2p_client::{Client, Heard};

use crate::catalog::{CatalogError, Outcome, broken_off};
use crate::report::count;
use crate::terminal::print;

/// Has pacman's cache and p2pd's store looked at now, for what is new, changed or gone
///
/// The daemon does that by itself when files change, and every ten minutes: this is for file systems that do not tell, and for
/// those who do not want to wait.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag of the command line")]
pub(crate) struct RescanOptions {
    /// Also take in again what was forgotten
    #[arg(long)]
    all: bool,
    /// Return at once
    #[arg(long)]
    no_wait: bool,
    /// Return at once, never fail and say nothing, even where p2pd is not running: for hooks
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as JSON, for programs
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// Waits for the end of a scan, where that is wanted.
pub(crate) fn run(options: &RescanOptions, client: &Client) -> Result<Outcome, CatalogError> {
    let request = RescanRequest { all: options.all, wait: !options.no_wait && !options.quiet };
    if options.quiet {
        // Whoever runs hooks has other worries: the daemon looks by itself sooner or later.
        drop(client.rescan(&request));
        return Ok(Outcome::Done);
    }
    let bar = ProgressBar::new_spinner();
    for heard in client.rescan(&request).map_err(CatalogError::Client)? {
        match heard.map_err(CatalogError::Client)? {
            Heard::Nothing => bar.tick(),
            Heard::Record(RescanRecord::Progress(progress)) => {
                let read = ByteSize(progress.hashed_bytes).display().iec();
                bar.set_message(format!("{} read, {read}; {} to read", progress.hashed, progress.waiting));
                bar.tick();
            }
            Heard::Record(record @ (RescanRecord::Asked | RescanRecord::Done(_))) => {
                bar.finish_and_clear();
                return tell(&record, options.json);
            }
        }
    }
    Err(broken_off())
}

fn tell(record: &RescanRecord, as_json: bool) -> Result<Outcome, CatalogError> {
    let text = match record {
        _ if as_json => serde_json::to_string(record).expect("string keys only"),
        RescanRecord::Done(done) => summary(done),
        RescanRecord::Asked | RescanRecord::Progress(_) => return Ok(Outcome::Done),
    };
    print(&text).map_err(CatalogError::Print)?;
    Ok(Outcome::Done)
}

fn summary(done: &RescanDone) -> String {
    let size = |bytes| ByteSize(bytes).display().iec();
    let mut parts = vec![format!("{}, {}", count(done.packages, "package"), size(done.bytes))];
    if done.hashed > 0 {
        parts.push(format!("{} read, {}", count(done.hashed, "file"), size(done.hashed_bytes)));
    }
    for (number, what) in [(done.wrong, "not as the sync database says"), (done.unreadable, "unreadable")] {
        if number > 0 {
            parts.push(format!("{} {what}", count(number, "file")));
        }
    }
    match done.unreadable_directories {
        0 => {}
        1 => parts.push("1 directory is missing or unreadable".to_owned()),
        number => parts.push(format!("{number} directories are missing or unreadable")),
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_says_what_is_not_as_it_should_be_and_nothing_of_what_is() {
        let done = RescanDone { packages: 3, bytes: 3 << 20, ..RescanDone::default() };
        assert_eq!(summary(&done), "3 packages, 3.0 MiB");
        let done = RescanDone { hashed: 1, hashed_bytes: 1 << 20, wrong: 2, unreadable_directories: 1, ..done };
        let told = "3 packages, 3.0 MiB; 1 file read, 1.0 MiB; 2 files not as the sync database says; \
                    1 directory is missing or unreadable";
        assert_eq!(summary(&done), told);
    }
}
