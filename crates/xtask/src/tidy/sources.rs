//! What may not stand in a source file, nor be its name or its length.

use std::path::Path;

use crate::command::Failure;
use crate::workspace;

/// Unfinished work, tests that do not run, and lints put out for a whole crate. Broken up, so as not to find themselves.
const MARKS: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("#[", "ignore"),
    concat!("#![", "allow"),
];

/// Names that say nothing.
const NAMES: &[&str] = &["common", "handler", "helper", "helpers", "manager", "misc", "processor", "util", "utils"];

/// The most lines of a file, its tests aside.
const MOST_LINES: usize = 500;

pub(super) fn faults() -> Result<Vec<String>, Failure> {
    let mut files = workspace::files_below("crates", "rs")?;
    files.extend(workspace::files_below("tests", "rs")?);
    files.extend(workspace::files_below("tests", "sh")?);
    let mut faults = Vec::new();
    for file in files {
        let text = workspace::read(&file)?;
        faults.extend(file_faults(&file, &text));
    }
    Ok(faults)
}

fn file_faults(file: &Path, text: &str) -> Vec<String> {
    let shown = file.display();
    let mut faults: Vec<String> = text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| Some(format!("{shown}:{}: {}", index + 1, mark_in(line)?)))
        .collect();
    if file.file_stem().is_some_and(|stem| NAMES.iter().any(|name| stem == *name)) {
        faults.push(format!("{shown}: its name says nothing"));
    }
    let lines = text.lines().take_while(|line| *line != "mod tests {").count();
    let is_test = file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
    if lines > MOST_LINES && !is_test {
        faults.push(format!("{shown}: {lines} lines, {MOST_LINES} at most"));
    }
    faults
}

/// The first mark in a line that is no part of a longer word.
fn mark_in(line: &str) -> Option<&'static str> {
    MARKS.iter().copied().find(|mark| {
        line.match_indices(mark).any(|(begin, _)| {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            let begins_word = mark.starts_with(is_word) && line[..begin].ends_with(is_word);
            let ends_word = mark.ends_with(is_word) && line[begin + mark.len()..].starts_with(is_word);
            !begins_word && !ends_word
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_where_they_are_words() {
        let three = "X".repeat(3);
        assert_eq!(mark_in(&format!("    {}!(value);", "dbg")), Some(MARKS[2]));
        assert_eq!(mark_in(&format!("// {three}: later")), Some(MARKS[4]));
        assert_eq!(mark_in(&format!("#[{} = \"slow\"]", "ignore")), Some(MARKS[5]));
        assert_eq!(mark_in(&format!("download-{three}{three}")), None);
        assert_eq!(mark_in("let my_todo = 1;"), None);
    }

    #[test]
    fn long_files_and_empty_names_are_named() {
        let long = "\n".repeat(MOST_LINES + 1);
        assert_eq!(
            file_faults("crates/a/src/peer.rs".as_ref(), &long),
            ["crates/a/src/peer.rs: 501 lines, 500 at most"]
        );
        assert_eq!(file_faults("crates/a/src/peer/tests.rs".as_ref(), &long), [""; 0]);
        assert_eq!(file_faults("crates/a/src/utils.rs".as_ref(), ""), ["crates/a/src/utils.rs: its name says nothing"]);
    }
}
