//! Which packages somebody means.

use std::collections::BTreeMap;

use glob::Pattern;

/// Names in one request; Arch has some 15,000 packages.
pub const MAX_NAMES: usize = 20_000;
/// Patterns among them: each is compared with every package.
pub const MAX_PATTERNS: usize = 100;
/// The longest name, in bytes: a repository's, and a file's name.
const MAX_NAME_BYTES: usize = 512;

/// A choice among packages. Each name is a package's name, a file's name, one of these after `repository/`, or such with the
/// wildcards `*`, `?` and `[…]`. No name at all means every package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// What stands for itself, and whether it stands for anything.
    exact: BTreeMap<String, bool>,
    patterns: Vec<(Pattern, bool)>,
}

/// Why nobody can tell what is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// More than [`MAX_NAMES`].
    #[error("more than {MAX_NAMES} names")]
    TooMany,
    /// More than [`MAX_PATTERNS`].
    #[error("more than {MAX_PATTERNS} names with wildcards")]
    TooManyPatterns,
    /// Empty, longer than any file's name, or a pattern that can't be read.
    #[error("{0:?} is neither a name nor a pattern")]
    NoName(String),
}

impl Names {
    /// Reads the names of a request.
    ///
    /// # Errors
    ///
    /// There are too many, or one of them can't be read.
    pub fn read(names: &[String]) -> Result<Self, NamesError> {
        if names.len() > MAX_NAMES {
            return Err(NamesError::TooMany);
        }
        let mut read = Self { exact: BTreeMap::new(), patterns: Vec::new() };
        for name in names {
            let is_odd = name.is_empty() || name.len() > MAX_NAME_BYTES;
            if !is_odd && !name.contains(['*', '?', '[']) {
                read.exact.insert(name.clone(), false);
            } else if read.patterns.len() >= MAX_PATTERNS {
                return Err(NamesError::TooManyPatterns);
            } else {
                let pattern = Some(name).filter(|_| !is_odd).and_then(|name| Pattern::new(name).ok());
                let short = || NamesError::NoName(name.chars().take(MAX_NAME_BYTES).collect());
                read.patterns.push((pattern.ok_or_else(short)?, false));
            }
        }
        Ok(read)
    }

    /// Whether every package is meant.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Whether this package is meant; notes which names stand for it.
    pub fn take(&mut self, repository: &str, name: &str, file_name: &str) -> bool {
        let mut is_meant = self.is_all();
        let qualified = [name, file_name].map(|name| format!("{repository}/{name}"));
        let called = [name, file_name, &qualified[0], &qualified[1]];
        for name in called {
            if let Some(taken) = self.exact.get_mut(name) {
                (*taken, is_meant) = (true, true);
            }
        }
        for (pattern, taken) in &mut self.patterns {
            // A wildcard stands for no slash: `*` means no repository.
            let called = if pattern.as_str().contains('/') { &called[2..] } else { &called[..2] };
            if called.iter().any(|name| pattern.matches(name)) {
                (*taken, is_meant) = (true, true);
            }
        }
        is_meant
    }

    /// The names that have stood for no package so far.
    #[must_use]
    pub fn unknown(&self) -> Vec<&str> {
        let exact = self.exact.iter().filter(|(_, taken)| !**taken).map(|(name, _)| name.as_str());
        let patterns = self.patterns.iter().filter(|(_, taken)| !taken).map(|(pattern, _)| pattern.as_str());
        exact.chain(patterns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str, &str); 3] = [
        ("core", "linux", "linux-6.12-1-x86_64.pkg.tar.zst"),
        ("core", "linux-api-headers", "linux-api-headers-6.10-1-x86_64.pkg.tar.zst"),
        ("extra", "gimp", "gimp-1:3.0-1-x86_64.pkg.tar.zst"),
    ];

    /// Who is meant, and what stands for nobody.
    fn meant(names: &[&str]) -> (Vec<&'static str>, Vec<String>) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut names = Names::read(&names).unwrap();
        let taken = FILES.into_iter().filter(|(repository, name, file)| names.take(repository, name, file));
        let taken = taken.map(|(_, name, _)| name).collect();
        (taken, names.unknown().into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn no_name_means_all_and_a_name_its_package_alone() {
        assert_eq!(meant(&[]).0.len(), 3);
        assert_eq!(meant(&["linux"]), (vec!["linux"], vec![]));
        assert_eq!(meant(&["gimp-1:3.0-1-x86_64.pkg.tar.zst"]), (vec!["gimp"], vec![]));
        assert_eq!(meant(&["extra/gimp", "core/gimp"]), (vec!["gimp"], vec!["core/gimp".to_owned()]));
    }

    #[test]
    fn wildcards_stand_for_parts_of_names_and_of_file_names() {
        assert_eq!(meant(&["linux*"]).0, ["linux", "linux-api-headers"]);
        assert_eq!(meant(&["*-6.1[02]-*"]).0, ["linux", "linux-api-headers"]);
        assert_eq!(meant(&["core/*", "gim?"]).0.len(), 3);
        assert_eq!(meant(&["*/gimp", "x*"]), (vec!["gimp"], vec!["x*".to_owned()]));
    }

    #[test]
    fn names_that_mean_nothing_and_too_many_of_them_are_refused() {
        let read = |names: &[String]| Names::read(names);
        for name in ["", "[a", "a***", &"x".repeat(600)] {
            assert!(matches!(read(&[name.to_owned()]), Err(NamesError::NoName(_))), "{name}");
        }
        assert_eq!(read(&vec!["a".to_owned(); MAX_NAMES + 1]), Err(NamesError::TooMany));
        assert_eq!(read(&vec!["a*".to_owned(); MAX_PATTERNS + 1]), Err(NamesError::TooManyPatterns));
    }
}
