//! Logs: structured for the journal, readable on a terminal.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged unless `P2PD_LOG` says otherwise; the engine's own chatter is of no use to an administrator.
const DEFAULT_FILTER: &str = "warn,p2pd=info,p2p_discovery=info,p2p_engine=info,p2p_gate=info,p2p_seeder=info,\
                              p2p_webseed=info,librqbit=error,librqbit_utp=error,mainline=error";

/// Starts logging: to the journal where systemd connected stderr with it, else to stderr.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("P2PD_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let journal = stderr_is_the_journal().then(tracing_journald::layer).and_then(Result::ok);
    if let Some(journal) = journal {
        registry.with(journal).init();
        return;
    }
    let terminal = std::io::stderr().is_terminal();
    let color = terminal && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color).with_target(false);
    registry.with(layer).init();
}

/// `JOURNAL_STREAM` names the device and inode of the journal's stream (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(expected) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = fs_err::metadata("/proc/self/fd/2") else { return false };
    expected == format!("{}:{}", stderr.dev(), stderr.ino())
}
