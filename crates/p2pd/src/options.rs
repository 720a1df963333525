//! The daemon's command line.

use std::path::PathBuf;

/// Downloads pacman's packages from peers and mirrors at once, and seeds what lies in its cache.
#[derive(Debug, clap::Parser)]
#[command(name = "p2pd", version, about)]
pub(crate) struct Options {
    /// Where the configuration is.
    #[arg(long, value_name = "FILE", default_value = "/etc/p2pd/p2pd.toml")]
    pub(crate) config: PathBuf,

    /// Read the configuration, report every problem with its place, and stop.
    #[arg(long)]
    pub(crate) check_config: bool,
}
