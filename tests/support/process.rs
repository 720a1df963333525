//! A long-running process of a test: its log, its signals, its end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use fs_err as fs;
use rustix::process::{Pid, Signal};

use crate::{Usage, wait_for, wait_until};

/// How long a process may take to end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How long the kernel may take to remove a killed process.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Lines of its log that a failed test shows.
const LAST_LINES: usize = 150;

/// A process, leader of a process group of its own, killed with all of that group when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with both outputs in the file `log` (appended).
    ///
    /// The kernel kills it when the calling *thread* ends (see [`crate::Host::command`]).
    #[track_caller]
    pub fn start(name: &str, command: Command, log: &Path) -> Self {
        Self::start_reading(name, command, log, Stdio::null())
    }

    /// The same, with this standard input.
    #[track_caller]
    pub(crate) fn start_reading(name: &str, mut command: Command, log: &Path, input: Stdio) -> Self {
        use std::os::unix::process::CommandExt;
        let out = fs::OpenOptions::new().create(true).append(true).open(log).expect("the log can be written");
        let err = out.try_clone().expect("a file handle can be cloned");
        command.stdin(input).stdout(out.into_parts().0).stderr(err.into_parts().0).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        Self { name: name.to_owned(), child, log: log.to_owned(), ended: None }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be waited for");
        }
        self.ended.is_none()
    }

    /// Everything that it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Looks until `look` finds something, while the process runs.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, bound: Duration, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = std::time::Instant::now() + bound;
        wait_for(what, bound + GONE_WITHIN, || {
            let found = look(self);
            let running = self.is_running();
            if found.is_none() {
                let in_time = std::time::Instant::now() < deadline;
                assert!(running, "{} ended ({:?}) before {what}", self.name, self.ended);
                assert!(in_time, "{}: waited {bound:?} in vain for {what}", self.name);
            }
            found
        })
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(STOP_WITHIN)
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, bound, || {
            self.is_running();
            self.ended
        })
    }

    /// SIGKILL for the whole group, as a power cut would.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal_group(Signal::KILL);
        self.wait(GONE_WITHIN);
    }

    /// SIGSTOP: the process hangs, its sockets stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        if let (None, Some(pid)) = (self.ended, self.pid()) {
            let _gone = rustix::process::kill_process(pid, signal);
        }
    }

    /// What it has cost so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id()).unwrap_or_default()
    }

    /// For who reads about a failed test.
    fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        eprintln!("--- the end of the log of {}\n{}", self.name, last.join("\n"));
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _gone = rustix::process::kill_process_group(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_group(Signal::KILL);
        drop(self.child.wait());
        if std::thread::panicking() {
            self.show_log();
        } else {
            let group = self.child.id();
            wait_until(&format!("an empty process group of {}", self.name), GONE_WITHIN, || members(group) == 0);
        }
    }
}

/// How many processes, zombies apart, are in a process group.
fn members(group: u32) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let group = group.to_string();
    let is_member = |stat: &str| {
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect();
        fields.first().is_some_and(|state| *state != "Z") && fields.get(2).is_some_and(|pgrp| **pgrp == group)
    };
    let stats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| is_member(stat)).count()
}
