//! `p2pctl prefetch`: has packages fetched before pacman asks for them.

mod databases;
mod error;
mod interruption;
mod order;
mod pacman;
mod program;
mod progress;
mod targets;

use std::io::{self, Write as _};
use std::path::PathBuf;

use p2p_api::{PrefetchFile, PrefetchRecord, PrefetchRequest, TransactionProgress};
use p2p_client::{Client, ClientError, Heard};
use p2p_pacman::PacmanConf;

use self::databases::{Claims, Copies};
pub(crate) use self::error::PrefetchError;
use self::interruption::Interruption;
pub(crate) use self::interruption::end_by;
use self::order::Order;
use self::pacman::Pacman;
use self::progress::{Progress, Tally};
use self::targets::Targets;

/// Has packages fetched now, so that pacman finds them on this machine later.
///
/// The databases of the system are not touched: what p2pd has fetched ahead is shared with others once they list it.
#[derive(Debug, clap::Args)]
pub(crate) struct PrefetchOptions {
    /// Fetch what `pacman -Syu` would download now; any user who may fetch may do so
    #[arg(long, short = 'u')]
    sysupgrade: bool,
    /// The configuration of pacman
    #[arg(long, value_name = "PACMAN_CONF", default_value = "/etc/pacman.conf")]
    config: PathBuf,
    /// Print the daemon's last record as JSON, for programs
    #[arg(long)]
    json: bool,
    /// Packages with what they need, and URLs; `-`: read them from standard input, one a line
    #[arg(value_name = "NAME|URL|-", required_unless_present = "sysupgrade")]
    targets: Vec<String>,
}

/// Fetches all that can be had, and says so on standard output.
///
/// # Errors
///
/// Where something is not there now; single files are named on standard error.
pub(crate) fn run(options: &PrefetchOptions, client: &Client) -> Result<(), PrefetchError> {
    let targets = Targets::gather(&options.targets, io::stdin().lock()).map_err(PrefetchError::Targets)?;
    let interruption = Interruption::watch().map_err(PrefetchError::Signals)?;
    // Pacman may take a minute, in vain where nobody fetches: so an order of nothing asks beforehand.
    fetch(client, Vec::new(), &Progress::hidden(), &interruption)?;
    let progress = Progress::new();
    let Order { files, cached, refused } = order(options, targets, &interruption)?;
    for (url, error) in &refused {
        progress.complain(url, &error.to_string());
    }
    let mut tally = Tally { cached, failed: refused.len() as u64, ..Tally::default() };
    tally.record.files = tally.failed;
    if !files.is_empty() {
        let (record, failed) = fetch(client, files, &progress, &interruption)?;
        tally = Tally { record, failed: tally.failed + failed, refused: tally.failed, cached };
    }
    progress.finish();
    print(&tally, options.json).map_err(PrefetchError::Print)?;
    match tally.failed {
        0 => Ok(()),
        failed => Err(PrefetchError::Incomplete { failed, all: tally.all() }),
    }
}
