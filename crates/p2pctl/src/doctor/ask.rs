//! Another program's answer, for which nobody waits long.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take.
const WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// More than this is not read of what it says.
const MOST_BYTES: u64 = 4_000;

/// What a program said, and whether it succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) succeeded: bool,
}

/// Runs it; none where it is missing, or takes too long. It may say 64 KiB before it is ended.
pub(super) fn ask(program: &str, arguments: &[&str]) -> Option<Said> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let deadline = Instant::now() + WITHIN;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut bytes = Vec::new();
    child.stdout.take()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    child.stderr.take()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(Said { text: String::from_utf8_lossy(&bytes).trim().to_owned(), succeeded: status.success() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_heard_and_one_that_is_missing_or_hangs_is_not() {
        let said = ask("sh", &["-c", "echo a; echo b >&2; exit 3"]);
        assert_eq!(said, Some(Said { text: "a\nb".to_owned(), succeeded: false }));
        assert_eq!(ask("p2pt-there-is-no-such-program", &[]), None);
        let begun = Instant::now();
        assert_eq!(ask("sleep", &["60"]), None);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
