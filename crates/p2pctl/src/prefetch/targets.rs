//! What is wanted, as the command line and standard input name it.

use std::io::{self, Read};

use p2p_api::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_FILES};

/// As much as the daemon takes at once.
const MAX_INPUT_BYTES: usize = MAX_TRANSACTION_BYTES;

/// Stands for standard input.
const INPUT: &str = "-";

/// Packages by their names, and files by their URLs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
}

/// Why nobody knows what is wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetsError {
    /// Nor is it text, maybe.
    #[error("standard input can't be read")]
    Read(#[source] io::Error),
    #[error("standard input has more than {MAX_INPUT_BYTES} bytes")]
    TooLong,
    #[error("more than {MAX_TRANSACTION_FILES} packages and URLs")]
    TooMany,
    /// pacman would take it for an option, or nobody can know what it would.
    #[error("{0:?} is neither a package's name nor a URL")]
    NoTarget(String),
}

impl Targets {
    /// Sorts what the command line says, and what `input` says where the command line has a `-`.
    pub(crate) fn gather(words: &[String], input: impl Read) -> Result<Self, TargetsError> {
        let mut targets = Self::default();
        for word in words.iter().filter(|word| *word != INPUT) {
            targets.take(word)?;
        }
        if words.iter().any(|word| word == INPUT) {
            for line in read(input)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
                targets.take(line)?;
            }
        }
        Ok(targets)
    }

    fn take(&mut self, word: &str) -> Result<(), TargetsError> {
        if self.names.len() + self.urls.len() >= MAX_TRANSACTION_FILES {
            return Err(TargetsError::TooMany);
        }
        let is_foreign = |c: char| c.is_whitespace() || c.is_control();
        if word.is_empty() || word.starts_with('-') || word.contains(is_foreign) {
            return Err(TargetsError::NoTarget(word.to_owned()));
        }
        let list = if word.contains("://") { &mut self.urls } else { &mut self.names };
        list.push(word.to_owned());
        Ok(())
    }
}

fn read(input: impl Read) -> Result<String, TargetsError> {
    let mut text = String::new();
    let most = MAX_INPUT_BYTES as u64;
    let length = input.take(most + 1).read_to_string(&mut text).map_err(TargetsError::Read)?;
    if length > MAX_INPUT_BYTES { Err(TargetsError::TooLong) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(words: &[&str], input: &str) -> Result<Targets, TargetsError> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Targets::gather(&words, input.as_bytes())
    }

    #[test]
    fn names_and_urls_come_from_the_command_line_and_from_standard_input() {
        let input = "\n  linux \r\nhttp://m/b.pkg.tar.zst\n\ncore/glibc";
        let targets = gathered(&["bash", "-", "https://m/a"], input).unwrap();
        assert_eq!(targets.names, ["bash", "linux", "core/glibc"]);
        assert_eq!(targets.urls, ["https://m/a", "http://m/b.pkg.tar.zst"]);
    }

    #[test]
    fn standard_input_is_left_alone_where_nobody_named_it() {
        assert_eq!(gathered(&["bash"], "linux").unwrap().names, ["bash"]);
    }

    #[test]
    fn what_pacman_would_take_for_an_option_is_refused() {
        for word in ["--root=/", "a b", ""] {
            assert!(matches!(gathered(&[word], ""), Err(TargetsError::NoTarget(said)) if said == word));
        }
        assert!(matches!(gathered(&["-"], "bash\n-\n"), Err(TargetsError::NoTarget(_))));
    }

    #[test]
    fn an_endless_input_ends() {
        assert!(matches!(Targets::gather(&["-".into()], io::repeat(b'a')), Err(TargetsError::TooLong)));
        let many = "a\n".repeat(MAX_TRANSACTION_FILES + 1);
        assert!(matches!(gathered(&["-"], &many), Err(TargetsError::TooMany)));
        assert!(matches!(Targets::gather(&["-".into()], &b"\xff"[..]), Err(TargetsError::Read(_))));
    }
}
