//! The syntax of `pacman.conf`: lines, sections and included files.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use fs_err::File;
use glob::MatchOptions;

use super::{ConfError, Draft, Place};

/// How deep pacman follows `Include` (`config_max_recursion` in its `conf.c`).
const MAX_DEPTH: usize = 10;
/// Files that one configuration may read; the largest that we know of have a dozen.
const MAX_FILES: usize = 1_000;
/// Bytes of one file; a mirrorlist with every mirror of Arch has 60 KB.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A line `key = value`, or `key` alone.
#[derive(Debug)]
pub(super) struct Directive<'a> {
    pub(super) place: Place,
    pub(super) key: &'a str,
    value: Option<&'a str>,
}

impl<'a> Directive<'a> {
    /// The value, if the line has a `=`.
    pub(super) fn text(&self) -> Result<Option<&'a str>, ConfError> {
        if self.value.is_some_and(|value| value.contains(char::REPLACEMENT_CHARACTER)) {
            return Err(ConfError::NotText { place: self.place.clone(), key: self.key.to_owned() });
        }
        Ok(self.value)
    }

    /// The value, which may be empty but not missing.
    pub(super) fn needed_text(&self) -> Result<&'a str, ConfError> {
        let missing = || ConfError::NoValue { place: self.place.clone(), key: self.key.to_owned() };
        self.text()?.ok_or_else(missing)
    }
}

/// Reads a file and what it includes into a [`Draft`].
#[derive(Debug)]
pub(super) struct Reader<'a> {
    draft: &'a mut Draft,
    sources: Vec<PathBuf>,
    files: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(draft: &'a mut Draft) -> Self {
        Self { draft, sources: Vec::new(), files: 0, depth: 0 }
    }

    /// Reads the configuration file itself.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), ConfError> {
        let text = self.text_of(path).map_err(ConfError::Read)?;
        self.take_text(&text, path)
    }

    /// Every file and glob directory that was looked at, each once.
    pub(super) fn into_sources(self) -> Vec<PathBuf> {
        self.sources
    }

    fn text_of(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.remember(path);
        self.files += 1;
        let file = File::open(path)?;
        let mut text = Vec::new();
        // pacman takes a directory for an empty file.
        if file.metadata()?.is_dir() {
            return Ok(text);
        }
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("{} has more than {MAX_FILE_BYTES} bytes", path.display())));
        }
        Ok(text)
    }

    fn take_text(&mut self, text: &[u8], path: &Path) -> Result<(), ConfError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            self.take_line(trim(&line), Place { file: path.to_owned(), line: index + 1 })?;
        }
        Ok(())
    }

    fn take_line(&mut self, line: &str, place: Place) -> Result<(), ConfError> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            return self.draft.open_section(name, place);
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (trim(key), Some(trim(value))));
        let directive = Directive { place, key, value };
        if key == "Include" { self.include(&directive) } else { self.draft.take(directive) }
    }

    fn include(&mut self, directive: &Directive<'_>) -> Result<(), ConfError> {
        let pattern = directive.needed_text()?;
        let place = &directive.place;
        if self.depth == MAX_DEPTH {
            return Err(ConfError::TooDeep { place: place.clone(), limit: MAX_DEPTH });
        }
        self.depth += 1;
        for path in self.matches(pattern, place)? {
            if self.files == MAX_FILES {
                return Err(ConfError::TooManyFiles { place: place.clone(), limit: MAX_FILES });
            }
            let text = self.text_of(&path).map_err(|source| ConfError::Include { place: place.clone(), source })?;
            self.take_text(&text, &path)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// What `pattern` matches, in order; where that is nothing, the pattern itself, as glob(3) with `GLOB_NOCHECK`.
    fn matches(&mut self, pattern: &str, place: &Place) -> Result<Vec<PathBuf>, ConfError> {
        if !pattern.contains(['*', '?', '[', '\\']) {
            return Ok(vec![pattern.into()]);
        }
        let options =
            MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
        let found = glob::glob_with(&translated(pattern), options)
            .map_err(|source| ConfError::Pattern { place: place.clone(), source })?;
        let mut paths: Vec<PathBuf> = found.filter_map(Result::ok).take(MAX_FILES + 1).collect();
        paths.sort_unstable();
        self.remember(&fixed_directory(pattern));
        for directory in paths.iter().filter_map(|path| path.parent()) {
            self.remember(directory);
        }
        if paths.is_empty() {
            paths.push(pattern.into());
        }
        Ok(paths)
    }

    fn remember(&mut self, path: &Path) {
        if !self.sources.iter().any(|known| known == path) {
            self.sources.push(path.to_owned());
        }
    }
}

/// The blanks of the C locale, which pacman trims.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n', '\x0b', '\x0c'])
}

/// A pattern of glob(3) in the syntax of the crate `glob`: no `**` that crosses directories, no backslash.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' if out.ends_with('*') => {}
            '\\' => {
                let literal = characters.next().map(String::from).unwrap_or_default();
                out.push_str(&glob::Pattern::escape(&literal));
            }
            other => out.push(other),
        }
    }
    out
}

/// The longest part of a pattern that is a directory without wildcards.
fn fixed_directory(pattern: &str) -> PathBuf {
    let components = Path::new(pattern).components();
    let fixed: PathBuf = components.take_while(|component| !is_wild(*component)).collect();
    if fixed.as_os_str().is_empty() { ".".into() } else { fixed }
}

fn is_wild(component: Component<'_>) -> bool {
    component.as_os_str().to_string_lossy().contains(['*', '?', '[', '\\'])
}
