//! A program run for what it prints, bounded in time and size, and ended with all that it started.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use p2p_api::MAX_TRANSACTION_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::interruption::{Interrupted, Interruption};
use crate::report::plain;

/// What is more than the daemon takes is of no use.
const MAX_OUTPUT: usize = MAX_TRANSACTION_BYTES;

/// As much of its complaints as one reads.
const MAX_COMPLAINT_BYTES: u64 = 2000;
const MAX_COMPLAINTS: usize = 4;

/// How long it may take to tidy up.
const END_WITHIN: Duration = Duration::from_secs(3);
const INTERRUPT_EVERY: Duration = Duration::from_millis(100);

/// Why a program did not print what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunFault {
    #[error("it can't be started")]
    Start(#[source] io::Error),
    #[error("its output can't be read")]
    Read(#[source] io::Error),
    #[error("it takes longer than {0:?}")]
    TooSlow(Duration),
    #[error("it prints more than {MAX_OUTPUT} bytes")]
    TooMuch,
    /// With its last words.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Interrupted(Interrupted),
}

impl RunFault {
    /// The signal, where that was the reason.
    pub(super) const fn interrupted(&self) -> Option<Interrupted> {
        match self {
            Self::Interrupted(interrupted) => Some(*interrupted),
            Self::Start(_) | Self::Read(_) | Self::TooSlow(_) | Self::TooMuch | Self::Failed(_) => None,
        }
    }
}

/// What `command` prints, if it succeeds. It sees no terminal: what it says on standard error is told where it fails.
pub(super) fn output(
    command: &mut Command,
    within: Duration,
    interruption: &Interruption,
) -> Result<Vec<u8>, RunFault> {
    interruption.check().map_err(RunFault::Interrupted)?;
    let complaints = tempfile::tempfile().map_err(RunFault::Start)?;
    let standard_error = complaints.try_clone().map_err(RunFault::Start)?;
    // A group of its own, so that it can be ended as a whole.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(standard_error).process_group(0);
    let mut child = command.spawn().map_err(RunFault::Start)?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let printed = gather(&child, &mut stdout, within, interruption);
    if printed.is_err() {
        end(&child, &mut stdout);
    }
    let status = child.wait().map_err(RunFault::Read)?;
    let printed = printed?;
    if status.success() {
        return Ok(printed);
    }
    Err(RunFault::Failed(last_words(complaints).unwrap_or_else(|| status.to_string())))
}

/// What the child and all that it started have printed by their end.
fn gather(
    child: &Child,
    stdout: &mut ChildStdout,
    within: Duration,
    interruption: &Interruption,
) -> Result<Vec<u8>, RunFault> {
    let ends = Instant::now() + within;
    let wait = |awaited: BorrowedFd<'_>| {
        let is_ready = wait_for(&[awaited, interruption.as_fd()], ends).map_err(RunFault::Read)?;
        interruption.check().map_err(RunFault::Interrupted)?;
        if is_ready { Ok(()) } else { Err(RunFault::TooSlow(within)) }
    };
    let mut printed = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        wait(stdout.as_fd())?;
        match stdout.read(&mut chunk).map_err(RunFault::Read)? {
            0 => break,
            count if printed.len() + count > MAX_OUTPUT => return Err(RunFault::TooMuch),
            count => printed.extend_from_slice(&chunk[..count]),
        }
    }
    let descriptor = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    wait(descriptor.map_err(|error| RunFault::Read(error.into()))?.as_fd())?;
    Ok(printed)
}

/// Has the child's group tidy up, and kills what does not. Its number is not given to another before the child was waited
/// for.
///
/// It is done as a person would, by `^C` until it ends: fakeroot forgets its daemon at any other signal, and pacman goes on
/// with the next mirror where the first one only ended its `XferCommand`.
fn end(child: &Child, stdout: &mut ChildStdout) {
    let group = Pid::from_child(child);
    let descriptor = pidfd_open(group, PidfdFlags::empty());
    let ends = Instant::now() + END_WITHIN;
    let mut chunk = vec![0; 64 * 1024];
    // All of them hold it: where it ends, only the child itself may be left.
    let mut is_held = true;
    while let Ok(descriptor) = &descriptor
        && Instant::now() < ends
    {
        let _ = kill_process_group(group, Signal::INT);
        let awaited = if is_held { stdout.as_fd() } else { descriptor.as_fd() };
        match wait_for(&[awaited], Instant::now() + INTERRUPT_EVERY) {
            Ok(true) if is_held => is_held = stdout.read(&mut chunk).unwrap_or(0) > 0,
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => break,
        }
    }
    let _ = kill_process_group(group, Signal::KILL);
}

/// Waits until one of these has something to say; false: not in time.
fn wait_for(awaited: &[BorrowedFd<'_>], ends: Instant) -> io::Result<bool> {
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut polled: Vec<_> = awaited.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut polled, Some(&left.try_into().map_err(io::Error::other)?)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The last lines of what it complained about, in one.
fn last_words(mut complaints: File) -> Option<String> {
    let length = complaints.seek(SeekFrom::End(0)).ok()?;
    complaints.seek(SeekFrom::Start(length.saturating_sub(MAX_COMPLAINT_BYTES))).ok()?;
    let mut bytes = Vec::new();
    complaints.take(MAX_COMPLAINT_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(MAX_COMPLAINTS)..];
    (!last.is_empty()).then(|| plain(&last.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_shell(script: &str, within: Duration) -> Result<String, RunFault> {
        let interruption = Interruption::watch().unwrap();
        let printed = output(Command::new("sh").args(["-c", script]), within, &interruption)?;
        Ok(String::from_utf8(printed).unwrap())
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn what_it_prints_is_what_there_is_and_its_complaints_are_told_where_it_fails() {
        assert_eq!(of_shell("echo a; echo careful >&2; read b || echo none", LONG).unwrap(), "a\nnone\n");
        let script = "for n in 1 2 3 4 5; do echo error: $n >&2; echo >&2; done; printf '\\033[1m' >&2; exit 1";
        let said = of_shell(script, LONG).unwrap_err().to_string();
        assert_eq!(said, "error: 3; error: 4; error: 5; ?[1m");
        assert_eq!(of_shell("exit 7", LONG).unwrap_err().to_string(), "exit status: 7");
        let missing = output(&mut Command::new("/nonexistent"), LONG, &Interruption::watch().unwrap());
        assert!(matches!(missing, Err(RunFault::Start(error)) if error.kind() == io::ErrorKind::NotFound));
    }

    #[test]
    fn what_hangs_or_prints_without_end_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("child");
        let script = format!("(trap 'echo tidy > {0}; exit' INT; while :; do sleep 0.01; done)", file.display());
        assert!(matches!(of_shell(&script, Duration::from_millis(500)), Err(RunFault::TooSlow(_))));
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "tidy\n");
        assert!(matches!(of_shell("exec yes", LONG), Err(RunFault::TooMuch)));
        let began = Instant::now();
        for deaf in ["trap '' INT", "trap '' INT; exec >&-"] {
            let script = format!("{deaf}; while :; do sleep 0.01; done");
            assert!(matches!(of_shell(&script, Duration::from_millis(100)), Err(RunFault::TooSlow(_))));
        }
        assert!(began.elapsed() < LONG);
    }
}
