//! What a person is told on standard error.

use std::error::Error;
use std::io::Write as _;

/// Says what went wrong, with all its causes, in one line.
pub(crate) fn complain(error: &dyn Error) {
    let mut line = format!("p2pctl: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    say(&line);
}

/// Says what can be done about it.
pub(crate) fn hint(text: &str) {
    say(&format!("hint: {text}"));
}

/// Nobody can be told that standard error is closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
