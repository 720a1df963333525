//! Who is still there when a test believes that all is over.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// SIGINT's bit in the masks of `proc_pid_status(5)`.
const INTERRUPT: u64 = 1 << 1;

/// The command lines of all processes, zombies apart, in which `path` is named.
#[must_use]
pub fn processes_naming(path: &Path) -> Vec<String> {
    naming(path).into_iter().map(|(_, line)| line).collect()
}

/// Whether one of the processes in whose command lines `path` is named ignores `^C` now, as pacman does while it waits for
/// its `XferCommand`.
#[must_use]
pub fn is_interrupt_ignored(path: &Path) -> bool {
    let ignored = |process: &Path| {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        Some(u64::from_str_radix(mask.trim(), 16).ok()? & INTERRUPT != 0)
    };
    naming(path).iter().any(|(process, _)| ignored(process) == Some(true))
}

/// Directories in `/proc`, and command lines.
fn naming(path: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let path = path.to_str().expect("test paths are text");
    let with_line = |process: PathBuf| {
        // A zombie's is empty.
        let line = fs::read(process.join("cmdline")).ok()?;
        Some((process, String::from_utf8_lossy(&line).replace('\0', " ")))
    };
    let all = entries.flatten().filter_map(|entry| with_line(entry.path()));
    all.filter(|(_, line)| line.contains(path)).collect()
}
