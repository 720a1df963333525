//! Chores: the main-job demonstration, the checks, golden files.
//!
//! `cargo xtask demo` shows the main job. `cargo xtask test` checks everything, in the order of [`test::STEPS`];
//! `cargo xtask test STEP…` only the named steps.

mod command;
mod demo;
mod scripts;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use command::Failure;

const USAGE: &str = "usage: cargo xtask demo\n       cargo xtask test [STEP…]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((chore, rest)) if chore == "demo" => demo::run(rest),
        Some((chore, rest)) if chore == "test" => test::run(rest),
        _ => Err(Failure::new(USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
