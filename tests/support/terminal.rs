//! Somebody at a terminal: what pacman's `^C` is made of.

use std::io::{PipeWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::{Host, Process};

/// What the key `^C` sends.
const INTERRUPT: &[u8] = &[3];

/// A program in the foreground of a pseudo-terminal of 80 columns (`script`), and its keyboard.
#[derive(Debug)]
pub struct Terminal {
    process: Process,
    keyboard: PipeWriter,
}

impl Terminal {
    /// Starts `command` in it; what is shown goes to the file `log`.
    #[must_use]
    #[track_caller]
    pub fn start(name: &str, command: &Command, log: &Path) -> Self {
        let (input, keyboard) = std::io::pipe().expect("a pipe can be made");
        let mut script = Host::loopback().command("script");
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => script.env(key, value),
                None => script.env_remove(key),
            };
        }
        let line = format!("stty cols 80 rows 24; exec {}", quoted(command));
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        Self { process: Process::start_reading(name, script, log, input.into()), keyboard }
    }

    /// Presses `^C`.
    #[track_caller]
    pub fn interrupt(&mut self) {
        self.keyboard.write_all(INTERRUPT).expect("the terminal is open");
    }

    /// Waits until something is as wished, while the program runs. It sees what has been shown.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, bound: Duration, mut is_so: impl FnMut(&str) -> bool) {
        self.process.wait_for(what, bound, |process| is_so(&process.log()).then_some(()));
    }

    /// Waits for the program's end. Its code is the terminal's; 128 and the signal where one killed it.
    #[track_caller]
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        self.process.wait(bound)
    }

    /// What has been shown.
    #[must_use]
    pub fn shown(&self) -> String {
        self.process.log()
    }
}

/// A command line for a shell.
fn quoted(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", String::from_utf8_lossy(word.as_bytes()).replace('\'', "'\\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_program_sees_a_terminal_and_its_interrupt_key() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("sh");
        let text =
            "trap 'echo it is cut; exit 7' INT; test -t 0 && stty size; echo ready; while :; do read -r line; done";
        command.args(["-c", text]);
        let mut terminal = Terminal::start("sh", &command, &directory.path().join("log"));
        terminal.wait_for("a program that reads", SOON, |shown| shown.contains("24 80") && shown.contains("ready"));
        terminal.interrupt();
        assert_eq!(terminal.wait(SOON).code(), Some(7), "{}", terminal.shown());
        assert!(terminal.shown().contains("it is cut"), "{}", terminal.shown());
    }
}
