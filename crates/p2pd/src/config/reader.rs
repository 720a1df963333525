//! Walks a TOML text by section and key, collecting every problem with its place instead of stopping at the first.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest list that a key may hold.
const MAX_ENTRIES: usize = 256;
/// What is written `[[publishers]]`: a section whose only key is itself, for [`Reader::take_tables`].
const PUBLISHERS: &str = "publishers";

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    message: String,
}

/// Everything that is wrong with the file, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems {
    path: String,
    list: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let end = if index + 1 == self.list.len() { "" } else { "\n" };
            write!(formatter, "{}:{}:{}: {}{end}", self.path, problem.line, problem.column, problem.message)?;
        }
        Ok(())
    }
}

/// Reads one file and remembers what was wrong.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    problems: Vec<(usize, String)>,
}

/// One section; what was not taken from it at the end is an unknown key.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    name: &'static str,
    /// Where it begins, in bytes of the text.
    start: usize,
    entries: Vec<(Spanned<String>, Spanned<DeValue<'a>>)>,
}

impl<'a> Section<'a> {
    fn remove(&mut self, key: &str) -> Option<Spanned<DeValue<'a>>> {
        let at = self.entries.iter().position(|(name, _)| name.get_ref() == key)?;
        Some(self.entries.remove(at).1)
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// The file's sections in the order of `names`; unknown sections and syntax errors become problems.
    pub(crate) fn sections<const N: usize>(&mut self, names: [&'static str; N]) -> [Section<'a>; N] {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let start = error.span().map_or(0, |span| span.start);
            self.problems.push((start, error.message().to_owned()));
        }
        let mut sections = names.map(|name| Section { name, start: 0, entries: Vec::new() });
        for (key, value) in table.into_inner() {
            let span = key.span();
            let section = sections.iter_mut().find(|section| section.name == key.get_ref().as_ref());
            match (section, value.into_inner()) {
                (Some(section), value) if section.name == PUBLISHERS => {
                    let name = Spanned::new(span.clone(), section.name.to_owned());
                    section.entries = vec![(name, Spanned::new(span, value))];
                }
                (Some(section), DeValue::Table(entries)) => section.entries = owned_keys(entries),
                (Some(section), _) => self.problem(&span, format!("[{}] must be a table", section.name)),
                (None, _) => {
                    let known = names.map(|name| format!("[{name}]")).join(" ");
                    self.problem(&span, format!("unknown section {:?}; the sections are {known}", key.get_ref()));
                }
            }
        }
        sections
    }

    /// Sets `target` from the key where it is there and `parse` accepts it.
    pub(crate) fn take<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &str,
        target: &mut T,
        parse: impl FnOnce(&DeValue<'a>) -> Result<T, String>,
    ) {
        let Some(value) = section.remove(key) else { return };
        match parse(value.get_ref()) {
            Ok(value) => *target = value,
            Err(message) => self.problem(&value.span(), format!("{}.{key}: {message}", section.name)),
        }
    }

    /// What the key means together with its place; a missing key is a problem, too.
    pub(crate) fn require<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &str,
        parse: impl FnOnce(&DeValue<'a>) -> Result<T, String>,
    ) -> Option<Spanned<T>> {
        let Some(value) = section.remove(key) else {
            self.problem(&(section.start..section.start), format!("{}.{key}: is missing", section.name));
            return None;
        };
        match parse(value.get_ref()) {
            Ok(parsed) => Some(Spanned::new(value.span(), parsed)),
            Err(message) => {
                self.problem(&value.span(), format!("{}.{key}: {message}", section.name));
                None
            }
        }
    }

    /// Sets `target` from the list where it is there; each bad entry is a problem of its own.
    pub(crate) fn take_list<T>(
        &mut self,
        section: &mut Section<'a>,
        key: &str,
        target: &mut Vec<T>,
        entry: impl Fn(&DeValue<'a>) -> Result<T, String>,
    ) {
        let Some(value) = section.remove(key) else { return };
        let span = value.span();
        let kind = value.get_ref().type_str();
        let DeValue::Array(values) = value.into_inner() else {
            return self.problem(&span, format!("{}.{key}: a list is needed, not a {kind}", section.name));
        };
        if values.len() > MAX_ENTRIES {
            return self.problem(&span, format!("{}.{key}: a list has at most {MAX_ENTRIES} entries", section.name));
        }
        target.clear();
        for value in values {
            match entry(value.get_ref()) {
                Ok(entry) => target.push(entry),
                Err(message) => self.problem(&value.span(), format!("{}.{key}: {message}", section.name)),
            }
        }
    }

    /// The tables of `[[name]]`, the `key` of `section`; at most `most`.
    pub(crate) fn take_tables(
        &mut self,
        section: &mut Section<'a>,
        key: &str,
        name: &'static str,
        most: usize,
    ) -> Vec<Section<'a>> {
        let Some(value) = section.remove(key) else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(values) = value.into_inner() else {
            self.problem(&span, format!("{name}: is written [[{name}]], once for each rule"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in values {
            let span = value.span();
            let DeValue::Table(entries) = value.into_inner() else {
                self.problem(&span, format!("{name}: is written [[{name}]], once for each rule"));
                continue;
            };
            if tables.len() == most {
                self.problem(&span, format!("{name}: at most {most} of [[{name}]] are allowed"));
                break;
            }
            tables.push(Section { name, start: span.start, entries: owned_keys(entries) });
        }
        tables
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish_section(&mut self, section: Section<'a>) {
        for (key, _) in section.entries {
            self.problem(&key.span(), format!("unknown key {:?} in [{}]", key.get_ref(), section.name));
        }
    }

    /// Nothing, or all problems in the order of the file.
    pub(crate) fn finish(mut self, path: &Path) -> Result<(), Problems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort();
        let list = self.problems.iter().map(|(offset, message)| place(self.text, *offset, message)).collect();
        Err(Problems { path: path.display().to_string(), list })
    }

    /// Remembers what is wrong at this place.
    pub(crate) fn problem(&mut self, span: &Range<usize>, message: String) {
        self.problems.push((span.start, message));
    }
}

fn owned_keys<'a>(entries: DeTable<'a>) -> Vec<(Spanned<String>, Spanned<DeValue<'a>>)> {
    let owned = |key: Spanned<std::borrow::Cow<'a, str>>| {
        let span = key.span();
        Spanned::new(span, key.into_inner().into_owned())
    };
    entries.into_iter().map(|(key, value)| (owned(key), value)).collect()
}

fn place(text: &str, offset: usize, message: &str) -> Problem {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    Problem { line, column: before[line_start..].chars().count() + 1, message: message.to_owned() }
}
