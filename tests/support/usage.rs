//! What a process has cost: processor time and memory.

use std::time::Duration;

/// Ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that we test on.
const TICKS_PER_SECOND: u64 = 100;

/// The cost of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time, user and system, without children that still run.
    pub cpu: Duration,
    /// The most memory that it held at once, in bytes (`VmHWM`).
    pub peak_memory: u64,
}

impl Usage {
    /// The processor time of all children of this process that have ended, and of their children.
    #[must_use]
    pub fn of_ended_children() -> Duration {
        let stat = fs_err::read_to_string("/proc/self/stat").expect("this process exists");
        time(&stat, [13, 14]).expect("the kernel writes these fields")
    }

    /// Reads `/proc`; none where the process is gone.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs_err::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
        Some(Self { cpu: time(&stat, [11, 12])?, peak_memory: kibibytes * 1024 })
    }
}

/// The sum of two fields of `/proc/PID/stat`, counted from the state on.
fn time(stat: &str, fields: [usize; 2]) -> Option<Duration> {
    // The command's name stands before the state, in parentheses, and may hold anything.
    let after_name: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.map(|index| after_name.get(index).and_then(|field| field.parse::<u64>().ok()));
    Some(Duration::from_millis((ticks[0]? + ticks[1]?) * 1000 / TICKS_PER_SECOND))
}
