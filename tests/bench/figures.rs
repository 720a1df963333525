//! Printing what was measured, to the standard error: the runner shows it.

use std::time::Duration;

use p2p_tests::Usage;

/// One line: a ratio, and what it should be at least or at most.
pub(crate) fn ratio(what: &str, ratio: f64, wanted: Wanted) {
    eprintln!("{what}: {ratio:.2} {}", wanted.verdict(ratio));
}

/// One line: a number with its unit, and what it should be, if anything.
pub(crate) fn figure(what: &str, value: f64, unit: &str, wanted: Option<Wanted>) {
    let verdict = wanted.map_or_else(String::new, |wanted| wanted.verdict(value));
    eprintln!("{what}: {value:.2} {unit} {verdict}");
}

/// One line of a table: a time, how often it contains the time of the first line, and what that should be.
pub(crate) fn row(what: &str, elapsed: Duration, ratio: f64, wanted: Option<Wanted>) {
    let verdict = wanted.map_or_else(String::new, |wanted| wanted.verdict(ratio));
    eprintln!("  {what:<52} {:>8.2} s {ratio:>7.2}  {verdict}", elapsed.as_secs_f64());
}

/// What a ratio should be.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    fn verdict(self, ratio: f64) -> String {
        let (word, bound, holds) = match self {
            Self::AtLeast(bound) => ("at least", bound, ratio >= bound),
            Self::AtMost(bound) => ("at most", bound, ratio <= bound),
        };
        format!("(wanted: {word} {bound}){}", if holds { "" } else { "  <-- MISSED" })
    }
}

/// One line: a time.
pub(crate) fn time(what: &str, elapsed: Duration) {
    eprintln!("{what}: {:.2} s", elapsed.as_secs_f64());
}

/// One line: processor time and memory.
pub(crate) fn usage(what: &str, usage: Usage) {
    let mebibytes = usage.peak_memory / (1024 * 1024);
    eprintln!("{what}: {:.2} s of processor time, {mebibytes} MiB at its peak", usage.cpu.as_secs_f64());
}

/// How often `a` contains `b`.
pub(crate) fn quotient(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE)
}
