//! One thing that was looked at.

use serde::Serialize;

use crate::report::{count, plain};
use crate::terminal::Colour;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Health {
    Ok,
    Warning,
    Problem,
}

/// What was found, in one line, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    #[serde(rename = "result")]
    pub(super) health: Health,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, health: Health::Ok, text: text.into(), hint: None }
    }

    /// It works, but not as it might; or it can't be told.
    pub(super) fn warning(check: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, health: Health::Warning, text: text.into(), hint: Some(hint.into()) }
    }

    /// Somebody has to do something.
    pub(super) fn problem(check: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, health: Health::Problem, text: text.into(), hint: Some(hint.into()) }
    }
}

/// All of it for people, one line each and one for what to do.
pub(super) fn text(findings: &[Finding], colour: Colour) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let check = finding.check;
        lines.push(format!("{}  {check:<width$}  {}", health(finding.health, colour), plain(&finding.text)));
        if let Some(hint) = &finding.hint {
            lines.push(format!("{:9}{:width$}  hint: {}", "", "", plain(hint)));
        }
    }
    let number = |health| findings.iter().filter(|finding| finding.health == health).count() as u64;
    let (problems, warnings) = (count(number(Health::Problem), "problem"), count(number(Health::Warning), "warning"));
    lines.push(String::new());
    lines.push(format!("{problems}, {warnings}"));
    lines.join("\n")
}

fn health(health: Health, colour: Colour) -> String {
    let (word, code) = match health {
        Health::Ok => ("ok", 32),
        Health::Warning => ("warning", 33),
        Health::Problem => ("problem", 31),
    };
    match colour {
        Colour::On => format!("\u{1b}[{code}m{word:<7}\u{1b}[0m"),
        Colour::Off => format!("{word:<7}"),
    }
}
