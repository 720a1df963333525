//! `p2pctl prefetch`: has packages fetched before pacman asks for them.

mod databases;
mod error;
mod interruption;
mod order;
mod pacman;
mod program;
mod progress;
mod tally;
mod targets;

use std::io;
use std::path::PathBuf;

use p2p_api::{PrefetchFile, PrefetchRecord, PrefetchRequest};
use p2p_client::{Client, ClientError, Heard};
use p2p_pacman::PacmanConf;

use self::databases::{Claims, Copies};
pub(crate) use self::error::PrefetchError;
use self::interruption::Interruption;
pub(crate) use self::interruption::end_by;
use self::order::Order;
use self::pacman::Pacman;
use self::progress::Progress;
use self::tally::Tally;
use self::targets::Targets;
use crate::terminal;

/// Has packages fetched now, so that pacman finds them on this machine later.
///
/// Nothing of pacman's is written. What comes before pacman's own databases list it is shared with others when they do.
#[derive(Debug, clap::Args)]
pub(crate) struct PrefetchOptions {
    /// What `pacman -Syu` would download now; as any user, with databases of its own
    #[arg(long, short = 'u')]
    sysupgrade: bool,
    /// Pacman's configuration
    #[arg(long, value_name = "PACMAN_CONF", default_value = "/etc/pacman.conf")]
    config: PathBuf,
    /// Print the daemon's last record as JSON, for programs
    #[arg(long)]
    json: bool,
    /// Packages, with what they need; URLs; and `-` to read such from standard input, one a line
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
    // Pacman may need a minute, in vain where nobody fetches for us: an order of nothing tells.
    fetch(client, Vec::new(), &Progress::hidden(), &interruption)?;
    let progress = Progress::new();
    let order = order(options, targets, &interruption)?;
    for (url, error) in &order.refused {
        progress.complain(url, &error.to_string());
    }
    let mut tally =
        if order.files.is_empty() { Tally::default() } else { fetch(client, order.files, &progress, &interruption)? };
    (tally.cached, tally.refused) = (order.cached, order.refused.len() as u64);
    progress.finish();
    print(&tally, options.json).map_err(PrefetchError::Print)?;
    match tally.missing() {
        0 => Ok(()),
        missing => Err(PrefetchError::Incomplete { missing, all: tally.all() }),
    }
}

/// Finds out which files are wanted. Pacman's databases are looked at only where it has to do with them.
fn order(options: &PrefetchOptions, targets: Targets, interruption: &Interruption) -> Result<Order, PrefetchError> {
    let Targets { names, urls } = targets;
    if !options.sysupgrade && names.is_empty() {
        return Ok(Order::new(urls, |_| None));
    }
    let conf = PacmanConf::load(&options.config).map_err(PrefetchError::Config)?;
    let pacman = Pacman::find(&options.config, interruption).map_err(PrefetchError::from_pacman)?;
    let copies = if options.sysupgrade {
        let copies = Copies::new(&conf).map_err(PrefetchError::Copies)?;
        pacman.refresh(copies.db_path()).map_err(PrefetchError::from_pacman)?;
        Some(copies)
    } else {
        None
    };
    let db_path = copies.as_ref().map_or(conf.db_path.as_path(), Copies::db_path);
    let listed = pacman.list(db_path, options.sysupgrade, &names).map_err(PrefetchError::from_pacman)?;
    let claims = Claims::new(db_path, &conf.repositories);
    Ok(Order::new(listed.into_iter().chain(urls), |request| claims.of(request)))
}

/// Orders these files, and waits for the last record.
fn fetch(
    client: &Client,
    files: Vec<PrefetchFile>,
    progress: &Progress,
    interruption: &Interruption,
) -> Result<Tally, PrefetchError> {
    let mut failed = 0;
    for heard in client.prefetch(&PrefetchRequest { files }).map_err(PrefetchError::Client)? {
        interruption.check().map_err(PrefetchError::Interrupted)?;
        match heard.map_err(PrefetchError::Client)? {
            Heard::Nothing => {}
            Heard::Record(PrefetchRecord::Progress(record)) => progress.show(&record),
            Heard::Record(PrefetchRecord::Failed { url, message }) => {
                failed += 1;
                progress.complain(&url, &message);
            }
            Heard::Record(PrefetchRecord::Done(record)) => return Ok(Tally { record, failed, ..Tally::default() }),
        }
    }
    Err(PrefetchError::Client(ClientError::Broken("it did not say how it ended")))
}

fn print(tally: &Tally, as_json: bool) -> io::Result<()> {
    let line = if as_json { serde_json::to_string(&PrefetchRecord::Done(tally.record))? } else { tally.to_string() };
    terminal::print(&line)
}
