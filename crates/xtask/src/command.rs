//! Running other programs, and saying why a chore failed.

use std::process::Command;

/// Why a chore failed, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The Cargo that runs us, with these arguments (separated by blanks).
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace());
    command
}

/// Runs a program at the terminal; it fails when the program cannot be started or does not end well.
pub(crate) fn run(mut command: Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{} ended with {status}", shown(&command)))) }
}

/// What a program prints, its errors aside; it fails as [`run`] does.
pub(crate) fn output(mut command: Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| cannot_start(&command, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{} ended with {}: {said}", shown(&command), output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::new(format!("{} printed no UTF-8", shown(&command))))
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} did not start: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
