//! What pacman was told, and what it is to be told to print what it will download. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use p2p_api::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_FILES};

/// What the daemon's list needs besides its URLs, and what JSON puts around each of them.
const AROUND_LIST: usize = 1024;
const AROUND_URL: usize = 3;

/// A command line as pacman's `getopt_long(3)` reads it: options in their order, each in a word of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    program: OsString,
    options: Vec<Given>,
    targets: Vec<OsString>,
}

/// How to find out what a pacman run will download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listing {
    /// By running the program with these arguments: it prints a URL a line.
    Run(Vec<OsString>),
    /// It is known.
    Known(Vec<String>),
    /// There is no way, or nothing to be found out.
    None,
}

/// An option on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    meaning: Meaning,
    /// The option with its value, in one word.
    word: OsString,
}

/// What an option means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Sync,
    Upgrade,
    Refresh,
    SystemUpgrade,
    /// A sync operation with it downloads no package.
    Query,
    /// pacman refuses it together with `--print`.
    NeverPrints,
    /// pacman has changed its root, for us too.
    SystemRoot,
    /// Passed on as it is.
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    short: Option<u8>,
    long: &'static str,
    takes_value: bool,
    meaning: Meaning,
}

/// The options that mean something here, and all that have a value (pacman.c of 6.0 to 7.1, `parseargs`).
const KNOWN: &[Known] = &[
    flag(Some(b'S'), "sync", Meaning::Sync),
    flag(Some(b'U'), "upgrade", Meaning::Upgrade),
    flag(Some(b'y'), "refresh", Meaning::Refresh),
    flag(Some(b'u'), "sysupgrade", Meaning::SystemUpgrade),
    flag(Some(b'c'), "clean", Meaning::Query),
    flag(Some(b'g'), "groups", Meaning::Query),
    flag(Some(b'i'), "info", Meaning::Query),
    flag(Some(b'l'), "list", Meaning::Query),
    flag(Some(b'p'), "print", Meaning::Query),
    flag(Some(b's'), "search", Meaning::Query),
    value(None, "print-format", Meaning::Query),
    flag(None, "dbonly", Meaning::NeverPrints),
    flag(None, "noscriptlet", Meaning::NeverPrints),
    value(None, "sysroot", Meaning::SystemRoot),
    value(Some(b'b'), "dbpath", Meaning::Other),
    value(Some(b'r'), "root", Meaning::Other),
    value(None, "arch", Meaning::Other),
    value(None, "ask", Meaning::Other),
    value(None, "assume-installed", Meaning::Other),
    value(None, "cachedir", Meaning::Other),
    value(None, "color", Meaning::Other),
    value(None, "config", Meaning::Other),
    value(None, "gpgdir", Meaning::Other),
    value(None, "hookdir", Meaning::Other),
    value(None, "ignore", Meaning::Other),
    value(None, "ignoregroup", Meaning::Other),
    value(None, "logfile", Meaning::Other),
    value(None, "overwrite", Meaning::Other),
];

const fn flag(short: Option<u8>, long: &'static str, meaning: Meaning) -> Known {
    Known { short, long, takes_value: false, meaning }
}

const fn value(short: Option<u8>, long: &'static str, meaning: Meaning) -> Known {
    Known { short, long, takes_value: true, meaning }
}

impl CommandLine {
    /// Reads a command line in which each word ends in NUL, as in `/proc/PID/cmdline`; None: there is no word in it.
    pub(crate) fn parse(command_line: &[u8]) -> Option<Self> {
        let words = command_line.strip_suffix(b"\0").unwrap_or(command_line);
        let mut words = words.split(|&byte| byte == 0);
        let program = words.next().filter(|program| !program.is_empty())?;
        let mut read = Self { program: os(program), options: Vec::new(), targets: Vec::new() };
        while let Some(word) = words.next() {
            match word {
                b"--" => read.targets.extend(words.by_ref().map(os)),
                [b'-', b'-', name @ ..] => read.take_long(name, &mut words),
                [b'-', letters @ ..] if !letters.is_empty() => read.take_short(letters, &mut words),
                _ => read.targets.push(os(word)),
            }
        }
        Some(read)
    }

    /// `--refresh`, `--refr`, `--config=/x`, `--config /x`.
    fn take_long<'a>(&mut self, name: &[u8], rest: &mut impl Iterator<Item = &'a [u8]>) {
        let name_length = name.iter().position(|&byte| byte == b'=').unwrap_or(name.len());
        let known = Known::of_long(&name[..name_length]);
        let mut word = [b"--", name].concat();
        if known.is_some_and(|known| known.takes_value)
            && name_length == name.len()
            && let Some(value) = rest.next()
        {
            word.push(b'=');
            word.extend_from_slice(value);
        }
        self.options.push(Given { meaning: meaning(known), word: OsString::from_vec(word) });
    }

    /// `-Syu`, `-b/x`, `-b /x`; what follows a letter with a value is the value.
    fn take_short<'a>(&mut self, letters: &[u8], rest: &mut impl Iterator<Item = &'a [u8]>) {
        for (at, &letter) in letters.iter().enumerate() {
            let known = KNOWN.iter().find(|known| known.short == Some(letter));
            let mut word = vec![b'-', letter];
            let has_value = known.is_some_and(|known| known.takes_value);
            if has_value {
                let attached = &letters[at + 1..];
                word.extend_from_slice(if attached.is_empty() { rest.next().unwrap_or_default() } else { attached });
            }
            self.options.push(Given { meaning: meaning(known), word: OsString::from_vec(word) });
            if has_value {
                return;
            }
        }
    }

    /// The program as it was called.
    pub(crate) fn program(&self) -> &OsStr {
        &self.program
    }

    /// Whether the program calls itself pacman: `pacman`, `/usr/bin/pacman`, `pacman-static`.
    pub(crate) fn is_pacman(&self) -> bool {
        let name = Path::new(&self.program).file_name().unwrap_or_default();
        name.as_bytes().starts_with(b"pacman")
    }

    /// How often it says `-y`. Twice: the user wants databases even where they are unchanged.
    pub(crate) fn refreshes(&self) -> usize {
        self.options.iter().filter(|option| option.meaning == Meaning::Refresh).count()
    }

    /// How to find out what this run will download.
    pub(crate) fn listing(&self) -> Listing {
        // Then it has read more targets from its standard input.
        if self.targets.iter().any(|target| target == "-") {
            return Listing::None;
        }
        match self.operation() {
            Some(Meaning::Sync) if self.downloads() => Listing::Run(self.print_arguments()),
            // `-Up URL` would download it.
            Some(Meaning::Upgrade) => Listing::Known(urls(self.targets.iter().filter_map(|target| target.to_str()))),
            Some(_) | None => Listing::None,
        }
    }

    fn operation(&self) -> Option<Meaning> {
        let meanings = self.options.iter().map(|option| option.meaning);
        meanings.into_iter().find(|meaning| matches!(meaning, Meaning::Sync | Meaning::Upgrade))
    }

    /// Whether a sync operation is one that installs or downloads packages.
    fn downloads(&self) -> bool {
        let has = |meaning| self.options.iter().any(|option| option.meaning == meaning);
        !has(Meaning::Query) && (has(Meaning::SystemUpgrade) || !self.targets.is_empty())
    }

    /// The databases are fresh by the time the first package is asked for, and only root may refresh them.
    fn print_arguments(&self) -> Vec<OsString> {
        let is_kept = |option: &&Given| match option.meaning {
            Meaning::Refresh | Meaning::NeverPrints | Meaning::SystemRoot => false,
            Meaning::Sync | Meaning::Upgrade | Meaning::SystemUpgrade | Meaning::Query | Meaning::Other => true,
        };
        let kept = self.options.iter().filter(is_kept).map(|option| option.word.clone());
        let print = ["--print", "--print-format", "%l", "--"].map(OsString::from);
        kept.chain(print).chain(self.targets.iter().cloned()).collect()
    }
}

impl Known {
    /// `getopt_long(3)` takes any beginning that means one option only; pacman has ended before if it means several.
    fn of_long(name: &[u8]) -> Option<&'static Self> {
        let exact = KNOWN.iter().find(|known| known.long.as_bytes() == name);
        exact.or_else(|| KNOWN.iter().find(|known| known.long.as_bytes().starts_with(name)))
    }
}

/// Those of the lines or words that the daemon can fetch, as many as one request may name. What lies in the cache or in
/// a local repository is a `file://` URL.
pub(crate) fn urls<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut room = MAX_TRANSACTION_BYTES - AROUND_LIST;
    let is_fetchable = |word: &&str| {
        let is_http = word.starts_with("http://") || word.starts_with("https://");
        // What JSON would have to escape is in no URL of a package.
        is_http && !word.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'))
    };
    let fits = |word: &&str| {
        let needed = word.len() + AROUND_URL;
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    };
    let taken = words.filter(is_fetchable).take(MAX_TRANSACTION_FILES).take_while(fits);
    taken.map(str::to_owned).collect()
}

fn meaning(known: Option<&Known>) -> Meaning {
    known.map_or(Meaning::Other, |known| known.meaning)
}

fn os(word: &[u8]) -> OsString {
    OsStr::from_bytes(word).to_owned()
}

#[cfg(test)]
mod tests;
