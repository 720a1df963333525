//! What a person is told, and in which words.

use std::error::Error;
use std::io::Write as _;

use p2p_api::Report;

/// Says what went wrong, with all its causes, in one line.
pub(crate) fn complain(error: &dyn Error) {
    say(&format!("p2pctl: {}", Report(error)));
}

/// Says what can be done about it.
pub(crate) fn hint(text: &str) {
    say(&format!("hint: {text}"));
}

/// A line on standard error. Nobody can be told that it is closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// So many things, in words.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A share, in whole percent.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    format!("{} %", percent.min(100))
}

/// A tracker's words, and a file's name, can't steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// How long ago, in the largest unit that fits.
pub(crate) fn age(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] = [(31_557_600, "y"), (604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = UNITS.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}
