//! The file name of a package: safe to use as the last part of a path, anywhere.

use std::fmt;
use std::str::FromStr;

/// The longest file name that Linux file systems take, in bytes.
const MAX_BYTES: usize = 255;

/// A package's file name, `name-version-release-arch.pkg.tar.*`.
///
/// It has no slash, no control character, does not start with a dot or a dash, and leaves room for the suffixes `.sig`
/// and `.torrent`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

/// Why a text is no package's file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Empty, or too long for `<name>.torrent` to be a file name.
    #[error("a package's file name has 1 to {} bytes", MAX_BYTES - ".torrent".len())]
    Length,
    /// A slash or a control character, or a leading dot or dash.
    #[error("a package's file name has no slash, no control character and no leading dot or dash")]
    Character,
    /// Not `….pkg.tar` or `….pkg.tar.<compression>`.
    #[error("a package's file name ends in .pkg.tar or .pkg.tar.<compression>")]
    Suffix,
}

impl FileName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        if text.is_empty() || text.len() > MAX_BYTES - ".torrent".len() {
            return Err(FileNameError::Length);
        }
        if text.starts_with(['.', '-']) || text.contains(|c: char| c == '/' || c.is_control()) {
            return Err(FileNameError::Character);
        }
        let (_, suffix) = text.rsplit_once(".pkg.tar").ok_or(FileNameError::Suffix)?;
        let compression = suffix.strip_prefix('.').unwrap_or(suffix);
        let is_word = compression.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // A package's detached signature carries the package's name and a suffix of its own.
        if !is_word || compression == "sig" || suffix == "." || suffix.len() == compression.len() && !suffix.is_empty()
        {
            return Err(FileNameError::Suffix);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_every_kind_are_accepted() {
        for name in [
            "libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst",
            "a-1-1-any.pkg.tar",
            "x~y-1-1-any.pkg.tar.xz",
            "q-1-1-any.pkg.tar.gz",
        ] {
            assert_eq!(name.parse::<FileName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_are_no_package_or_no_safe_path_are_refused() {
        use FileNameError::{Character, Length, Suffix};
        for (name, error) in [
            ("", Length),
            ("../a-1-1-any.pkg.tar.zst", Character),
            ("a/b.pkg.tar.zst", Character),
            (".pkg.tar.zst", Character),
            ("-rf.pkg.tar", Character),
            ("a\n.pkg.tar.zst", Character),
            ("core.db", Suffix),
            ("a-1-1-any.pkg.tar.zst.sig", Suffix),
            ("a-1-1-any.pkg.tar.sig", Suffix),
            ("a-1-1-any.pkg.tar.", Suffix),
            ("a-1-1-any.pkg.tarzst", Suffix),
            ("a-1-1-any.pkg.tar.zst.part", Suffix),
        ] {
            assert_eq!(name.parse::<FileName>(), Err(error), "{name:?}");
        }
        assert_eq!(format!("{}.pkg.tar", "a".repeat(250)).parse::<FileName>(), Err(Length));
    }
}
