//! `p2pctl mktorrent`: writes the canonical torrent beside each package, for mirrors that want to offer them.

mod address;
mod package;
mod progress;
mod torrent;

use std::collections::BTreeSet;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use address::{TrackerUrl, WebseedBase};
use package::{PackageFault, PackageFile};
use progress::Progress;
use torrent::{Made, Template};

/// Writes NAME.torrent beside each package: the canonical torrent, the same on every machine.
///
/// A torrent that is newer than its package and says what it would say again is left alone.
#[derive(Debug, clap::Args)]
pub(crate) struct MktorrentOptions {
    /// Packages, and directories of packages; directories in these are not entered
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// A tracker that the torrents name; may be given again
    #[arg(long, value_name = "URL")]
    announce: Vec<TrackerUrl>,
    /// Where the packages lie on a mirror (the URL of their directory); may be given again
    #[arg(long, value_name = "URL")]
    webseed: Vec<WebseedBase>,
}

/// Why not every package has its torrent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MktorrentError {
    /// The reasons were printed as they came up.
    #[error("{failed} of {all} could not be done")]
    Failed {
        /// Packages, or paths of the command line, without a torrent.
        failed: usize,
        /// All that were asked for.
        all: usize,
    },
    /// The summary could not be printed.
    #[error("the summary cannot be printed")]
    Print(#[source] io::Error),
}

/// How many packages came to which end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    written: usize,
    up_to_date: usize,
    failed: usize,
    /// Bytes of packages that were read.
    hashed_bytes: u64,
}

/// Does all packages, whatever becomes of single ones, and says so on standard output.
///
/// # Errors
///
/// Where a package has no torrent now; its reason is on standard error.
pub(crate) fn run(options: MktorrentOptions) -> Result<(), MktorrentError> {
    let MktorrentOptions { paths, announce, webseed } = options;
    let (files, faults) = listed(&paths);
    let progress = Progress::new(files.iter().map(PackageFile::size).sum());
    for fault in &faults {
        progress.complain(fault);
    }
    let mut tally = make_all(&files, &Template::new(&announce, webseed), &progress);
    tally.failed += faults.len();
    progress.finish(tally).map_err(MktorrentError::Print)?;
    let all = files.len() + faults.len();
    if tally.failed == 0 { Ok(()) } else { Err(MktorrentError::Failed { failed: tally.failed, all }) }
}

/// The packages that the paths name, each once, and the paths that name none.
fn listed(paths: &[PathBuf]) -> (BTreeSet<PackageFile>, Vec<PackageFault>) {
    let (mut files, mut faults) = (BTreeSet::new(), Vec::new());
    for path in paths {
        match package::packages_at(path) {
            Ok(found) => files.extend(found),
            Err(fault) => faults.push(fault),
        }
    }
    (files, faults)
}

/// One thread for each core; each takes the next package until none is left.
fn make_all(files: &BTreeSet<PackageFile>, template: &Template, progress: &Progress) -> Tally {
    let files: Vec<&PackageFile> = files.iter().collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let made = torrent::make(file, template, progress);
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            match made {
                Ok(Made::Written) => {
                    tally.written += 1;
                    tally.hashed_bytes += file.size();
                }
                Ok(Made::UpToDate) => tally.up_to_date += 1,
                Err(fault) => {
                    tally.failed += 1;
                    progress.complain(&fault);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(files.len());
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
