//! Who runs us, as `/proc` shows it: pacman, most of the time.

use std::io::Read as _;

use p2p_api::TransactionId;
use rustix::process::getppid;

use crate::command_line::CommandLine;
use crate::learn;

/// A longer command line is not looked at: the kernel itself takes no more than 6 MiB (`execve(2)`).
const MAX_COMMAND_LINE: u64 = 6 << 20;

/// More than `/proc/PID/stat` ever has.
const MAX_STAT: u64 = 4096;

/// The process that waits for us.
#[derive(Debug)]
pub(crate) struct Parent {
    pid: u32,
    command_line: CommandLine,
}

impl Parent {
    /// Looks at it now; None: it can't be seen (`hidepid`), or lives in another PID namespace.
    pub(crate) fn look() -> Option<Self> {
        let pid = u32::try_from(getppid()?.as_raw_nonzero().get()).ok()?;
        Some(Self { pid, command_line: command_line(pid)? })
    }

    /// The pacman run that we are part of; None: it is no pacman, or one that only prints for us.
    pub(crate) fn transaction(&self) -> Option<TransactionId> {
        if !self.command_line.is_pacman() || learn::is_under_way() {
            return None;
        }
        Some(TransactionId { pid: self.pid, started: started(self.pid)? })
    }

    /// Whether pacman was told to refresh twice: then its user wants the databases even where they are unchanged.
    /// pacman removes its own copy then, but not where it downloads elsewhere.
    pub(crate) fn refreshes_twice(&self) -> bool {
        self.command_line.refreshes() >= 2
    }
}

/// The command line of a process.
pub(crate) fn command_line(pid: u32) -> Option<CommandLine> {
    CommandLine::parse(&read(pid, "cmdline", MAX_COMMAND_LINE)?)
}

/// When a process started, in clock ticks since boot.
pub(crate) fn started(pid: u32) -> Option<u64> {
    start_time(&read(pid, "stat", MAX_STAT)?)
}

fn read(pid: u32, file: &str, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(format!("/proc/{pid}/{file}")).ok()?;
    file.take(limit).read_to_end(&mut bytes).ok()?;
    ((bytes.len() as u64) < limit).then_some(bytes)
}

/// Field 22 of `proc_pid_stat(5)`. The second is the process's name in parentheses, and may hold blanks and parentheses.
fn start_time(stat: &[u8]) -> Option<u64> {
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_hide_the_start_time() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 93784 20 21";
        for name in ["pacman", "p) S 1 (", "a b c", ")"] {
            assert_eq!(start_time(format!("4711 ({name}) {fields}\n").as_bytes()), Some(93_784), "{name}");
        }
        for broken in ["", "4711 (pacman)", "4711 (pacman) S 1", "4711 pacman S 1 2 3"] {
            assert_eq!(start_time(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn our_own_start_time_and_command_line_can_be_read_and_those_of_nobody_not() {
        let own = std::process::id();
        assert!(started(own).unwrap() > 0);
        assert!(!command_line(own).unwrap().program().is_empty());
        assert_eq!(started(u32::MAX), None);
        assert_eq!(command_line(u32::MAX), None);
    }
}
