//! `cargo xtask test`: everything that must hold, cheapest first; the first failure ends it.

use std::time::Instant;

use crate::command::{Failure, cargo, output, run as run_command};
use crate::{demo, scripts, tidy};

/// A check, and the name by which `cargo xtask test NAME` runs it alone.
pub(crate) struct Step {
    name: &'static str,
    check: fn() -> Result<(), Failure>,
}

/// What `cargo xtask test` does, in this order.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "parts", check: scripts::parts },
    Step { name: "format", check: || run_command(cargo("fmt --all --check")) },
    Step { name: "tidy", check: tidy::check },
    Step { name: "scripts", check: scripts::lint },
    Step { name: "clippy", check: || run_command(cargo("clippy --workspace --all-targets -- -D warnings")) },
    Step { name: "doc", check: documentation },
    Step { name: "build", check: || run_command(cargo("build --workspace")) },
    Step { name: "demo", check: demo::rehearse },
    Step { name: "config", check: scripts::shipped_config },
    Step { name: "services", check: scripts::services },
    Step { name: "packaging", check: scripts::packaging },
    Step { name: "doctests", check: || run_command(cargo("test --workspace --doc --quiet")) },
    Step { name: "tests", check: tests },
];

/// Runs all steps, or the named ones.
pub(crate) fn run(names: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        return Err(Failure::new(format!("there is no step {unknown:?}; there are {}", known.join(", "))));
    }
    let begin = Instant::now();
    for step in STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| step.name == *name)) {
        let begin = Instant::now();
        eprintln!("\n=== {}", step.name);
        (step.check)().map_err(|failure| Failure::new(format!("step {:?} failed: {failure}", step.name)))?;
        eprintln!("=== {}: {:.1} s", step.name, begin.elapsed().as_secs_f64());
    }
    eprintln!("\nxtask: all is well after {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn documentation() -> Result<(), Failure> {
    let mut command = cargo("doc --workspace --no-deps --document-private-items --quiet");
    command.env("RUSTDOCFLAGS", "-D warnings");
    run_command(command)
}

/// By nextest where it is installed: it runs each test in a process of its own, and ends those that hang.
fn tests() -> Result<(), Failure> {
    if output(cargo("nextest --version")).is_ok() {
        return run_command(cargo("nextest run --workspace --no-fail-fast"));
    }
    eprintln!("cargo-nextest is not installed: `cargo test` runs the tests, one by one");
    run_command(cargo("test --workspace --lib --bins --tests --no-fail-fast -- --test-threads=1"))
}
