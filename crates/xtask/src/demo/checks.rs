//! What must be true for the demonstration to have shown anything.

use super::narrator;
use crate::command::Failure;

/// All checks so far, with their outcome.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<(String, Outcome)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Holds,
    Fails,
}

impl Checks {
    /// Takes down whether something holds.
    pub(super) fn check(&mut self, what: impl Into<String>, holds: bool) {
        self.0.push((what.into(), if holds { Outcome::Holds } else { Outcome::Fails }));
    }

    /// Prints them all; fails where one of them does.
    pub(super) fn report(&self) -> Result<(), Failure> {
        narrator::title("Checked");
        for (what, outcome) in &self.0 {
            let mark = match outcome {
                Outcome::Holds => "ok  ",
                Outcome::Fails => "FAIL",
            };
            narrator::say(&format!("{mark}  {what}"));
        }
        let failed = self.0.iter().filter(|(_, outcome)| *outcome == Outcome::Fails).count();
        if failed == 0 { Ok(()) } else { Err(Failure::new(format!("{failed} checks of the demonstration failed"))) }
    }
}
