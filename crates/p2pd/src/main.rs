//! The daemon: wires packages, swarms, mirrors and clients together.

mod api;
mod cache_server;
mod clubs;
mod config;
mod daemon;
mod diagnosis;
mod editions;
mod explain;
mod fetch;
mod forgotten;
mod freshness;
mod handovers;
mod hex;
mod keyring;
mod knowledge;
mod lan;
mod logging;
mod offers;
mod open_files;
mod options;
mod port_mapping;
mod publications;
mod rates;
mod replicate;
mod seeding;
mod services;
mod sharing;
mod socket;
mod state_dir;
mod swarms;
mod tasks;
mod transactions;
mod upload;
mod verification;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use config::Settings;
use options::Options;
use p2p_api::Report;

/// A wrong configuration (`EX_CONFIG`, sysexits.h).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let options = Options::parse();
    let settings = match read_settings(&options.config) {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if options.check_config {
        // Where nobody reads, the exit status says it.
        let _ = writeln!(std::io::stdout(), "{}: no mistakes", options.config.display());
        return ExitCode::SUCCESS;
    }
    logging::start();
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(daemon::run(options.config, settings)),
        Err(error) => Err(daemon::StartError::Runtime(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Report(&error), "p2pd cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// The settings of the file, or what a person should read about it.
fn read_settings(path: &Path) -> Result<Settings, String> {
    match fs_err::read_to_string(path) {
        Ok(text) => Settings::read(&text, path).map_err(|problems| problems.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
