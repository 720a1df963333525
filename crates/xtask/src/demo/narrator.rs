//! What the demonstration says, in order and readable, on a terminal and in a log.

use std::io::{self, IsTerminal, Write};

/// Whether a person watches: programs may draw their own progress then.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Begins a part.
pub(super) fn title(text: &str) {
    let has_colour = is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (bold, plain) = if has_colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    print(&format!("\n{bold}== {text}{plain}"));
}

/// Says one thing.
pub(super) fn say(text: &str) {
    print(&format!("   {text}"));
}

/// Shows what a program printed.
pub(super) fn quote(text: &str) {
    text.lines().for_each(|line| print(&format!("   | {line}")));
}

/// A reader who has gone away is no reason to fail.
fn print(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// Bytes as a person reads them.
pub(super) fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
