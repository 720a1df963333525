//! What pacman runs for each file: asks the daemon, or downloads by itself.
//!
//! Its contract: an upgrade never fails because of us. pacman runs it once per file
//! (`XferCommand = /usr/bin/pacman2pacman-get %u %o`). It asks the daemon for the file and writes it where pacman wants it;
//! where the daemon is of no help, it downloads the file from the mirror by itself, and says so in one line. See
//! `pacman2pacman-get --help` for its exit status.

mod command_line;
mod copy;
mod fallback;
mod fetch;
mod interruption;
mod job;
mod learn;
mod local;
mod options;
mod outcome;
mod parent;
mod part;
mod progress;
mod screen;
mod signature;
mod source;
mod stage;
mod transfer;

use std::process::ExitCode;

use p2p_api::Report;

use crate::fallback::Patience;
use crate::fetch::FetchFault;
use crate::interruption::Interruption;
use crate::job::{Job, Scheme};
use crate::options::{Asked, Options};
use crate::outcome::{Outcome, say};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Fetch(options)) => options,
        Ok(Asked::Learn(learner)) => {
            // Nobody is told how it went: nothing depends on it.
            let _ = learner.run();
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Text(text)) => {
            outcome::print(&text);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(&format!("pacman2pacman-get: {error}\n{}", options::USAGE));
            return ExitCode::from(outcome::USAGE);
        }
    };
    let interruption = Interruption::watch();
    let outcome = run(&options, &interruption);
    if let Outcome::Stopped(stop) = &outcome {
        stop.explain();
    }
    outcome.into()
}

fn run(options: &Options, interruption: &Interruption) -> Outcome {
    let job = match Job::new(options) {
        Ok(job) => job,
        Err(error) if error.is_misuse() => return Outcome::misused(&error),
        Err(error) => return Outcome::failed(&Report(&error)),
    };
    match job.scheme {
        Scheme::File => local::copy(&job, interruption),
        Scheme::Http => ask_and_fall_back(options, &job, interruption),
        Scheme::Other => fallback::download(&job, Patience::Usual, interruption),
    }
}

fn ask_and_fall_back(options: &Options, job: &Job, interruption: &Interruption) -> Outcome {
    let (reason, patience) = match fetch::fetch(options.socket.clone(), job, interruption) {
        Ok(()) => return Outcome::Done,
        Err(FetchFault::Stopped(stop)) => return Outcome::Stopped(stop),
        Err(FetchFault::Target(error)) => return Outcome::failed(&Report(&error)),
        Err(FetchFault::NotFound(failed)) => {
            return signature::missing(job).unwrap_or_else(|| Outcome::failed(&failed.message));
        }
        Err(FetchFault::Unhelpful(reason)) => (reason, Patience::Usual),
        Err(FetchFault::Unreachable(reason)) => (reason, Patience::Short),
    };
    say(&format!("{reason}; trying the URL itself"));
    fallback::download(job, patience, interruption)
}
