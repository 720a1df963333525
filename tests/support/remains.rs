//! Who is still there when a test believes that all is over.

use std::path::Path;

use fs_err as fs;

/// The command lines of all processes, zombies apart, in which `path` is named.
#[must_use]
pub fn processes_naming(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let path = path.to_str().expect("test paths are text");
    // A zombie's is empty.
    let command_lines = entries.flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let texts = command_lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    texts.filter(|line| line.contains(path)).collect()
}
