//! A command that ran to its end.

use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

/// What a finished command left behind.
#[derive(Debug)]
pub struct Ran {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// From start to end.
    pub elapsed: Duration,
}

impl Ran {
    /// This, where it ended well.
    ///
    /// # Panics
    ///
    /// With both outputs, where it did not.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// This, where it ended badly.
    ///
    /// # Panics
    ///
    /// With both outputs, where it ended well.
    #[track_caller]
    pub fn failed(&self) -> &Self {
        assert!(!self.status.success(), "should have failed: {self}");
        self
    }

    /// Both outputs, one after the other.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr, elapsed } = self;
        write!(formatter, "{command}\n{status} after {elapsed:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a command to its end, without a terminal.
///
/// # Panics
///
/// Where it cannot be started or has not ended within `bound`; it is killed then, its children included.
#[track_caller]
pub fn run(mut command: Command, bound: Duration) -> Ran {
    use std::os::unix::process::CommandExt;
    let (out, err) = (temporary(), temporary());
    let name = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(clone(&out)).stderr(clone(&err)).process_group(0);
    let started = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    let has_ended = ends_within(&child, bound);
    let elapsed = started.elapsed();
    if !has_ended {
        let _gone = rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let status = child.wait().expect("a child can be waited for");
    let status = has_ended.then_some(status);
    let (stdout, stderr) = (text(out), text(err));
    let Some(status) = status else {
        panic!("{name} has not ended within {bound:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    };
    Ran { command: name, status, stdout, stderr, elapsed }
}

/// Whether it ends in time; the kernel tells at that moment (`pidfd_open(2)`), since benchmarks time commands of a few
/// milliseconds.
fn ends_within(child: &Child, bound: Duration) -> bool {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a child that is not waited for yet");
    let deadline = Instant::now() + bound;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a test's bound is short");
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            Err(error) => panic!("a child cannot be waited for: {error}"),
            Ok(ended) => return ended > 0,
        }
    }
}

fn temporary() -> std::fs::File {
    tempfile::tempfile().expect("the temporary directory can be written")
}

fn clone(file: &std::fs::File) -> Stdio {
    file.try_clone().expect("a file handle can be cloned").into()
}

fn text(mut file: std::fs::File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("an open temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
