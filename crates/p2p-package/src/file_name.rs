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

    /// The package's name: `linux` of `linux-6.12.1-1-x86_64.pkg.tar.zst`. All before `.pkg.tar` where there are fewer than
    /// four parts.
    #[must_use]
    pub fn package_name(&self) -> &str {
        self.parts().0
    }

    /// Version and release, with the epoch: `1:6.12.1-1`. Empty where there are fewer than four parts.
    #[must_use]
    pub fn package_version(&self) -> &str {
        self.parts().1
    }

    /// makepkg allows no dash in version, release and architecture (`PKGBUILD(5)`); a name may have some.
    fn parts(&self) -> (&str, &str) {
        let stem = self.0.rsplit_once(".pkg.tar").map_or(&*self.0, |(stem, _)| stem);
        let mut dashes = stem.rmatch_indices('-').map(|(at, _)| at);
        let (architecture, version) = (dashes.next(), dashes.nth(1));
        match architecture.zip(version) {
            Some((architecture, version)) if version > 0 => (&stem[..version], &stem[version + 1..architecture]),
            _ => (stem, ""),
        }
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
    fn name_and_version_are_told_apart_from_the_end() {
        for (file_name, name, version) in [
            ("linux-6.12.1-1-x86_64.pkg.tar.zst", "linux", "6.12.1-1"),
            ("libz2-devel-1:2.0+r5.gabc-1.1-any.pkg.tar", "libz2-devel", "1:2.0+r5.gabc-1.1"),
            ("gtk-1-1.pkg.tar", "gtk-1-1", ""),
        ] {
            let file_name: FileName = file_name.parse().unwrap();
            assert_eq!((file_name.package_name(), file_name.package_version()), (name, version));
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
