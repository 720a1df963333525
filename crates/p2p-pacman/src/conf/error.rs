//! Why `pacman.conf` cannot be used, with file and line.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the configuration names it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, line {}", self.file.display(), self.line)
    }
}

/// Why `pacman.conf` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfError {
    /// The file itself cannot be read.
    #[error("pacman's configuration cannot be read")]
    Read(#[source] io::Error),
    /// A file that an `Include` names cannot be read, or does not exist.
    #[error("{place}: an included file cannot be read")]
    Include {
        /// The `Include`.
        place: Place,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An `Include` whose wildcards make no sense.
    #[error("{place}: Include has a pattern that cannot be understood")]
    Pattern {
        /// The `Include`.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
    /// An `Include` in the tenth included file; most likely the files include one another.
    #[error("{place}: Include is nested more than {limit} deep")]
    TooDeep {
        /// The `Include`.
        place: Place,
        /// How deep pacman goes.
        limit: usize,
    },
    /// More files than any configuration has.
    #[error("{place}: Include brings more than {limit} files")]
    TooManyFiles {
        /// The `Include`.
        place: Place,
        /// How many we read.
        limit: usize,
    },
    /// A directive before any section.
    #[error("{place}: {key} must belong to a section")]
    NoSection {
        /// The directive.
        place: Place,
        /// Its name.
        key: String,
    },
    /// A directive without the value that it needs.
    #[error("{place}: {key} needs a value")]
    NoValue {
        /// The directive.
        place: Place,
        /// Its name.
        key: String,
    },
    /// A value that we need is not UTF-8.
    #[error("{place}: the value of {key} is not UTF-8")]
    NotText {
        /// The directive.
        place: Place,
        /// Its name.
        key: String,
    },
    /// `$arch` where no `Architecture` is set.
    #[error("{place}: the server {server} contains $arch, but no Architecture is set")]
    NoArchitecture {
        /// The `Server` or `CacheServer`.
        place: Place,
        /// Its value.
        server: String,
    },
    /// A section that can be no repository.
    #[error("{place}: {name:?} is no name for a repository")]
    RepositoryName {
        /// The section.
        place: Place,
        /// Its name.
        name: String,
    },
    /// Two sections for one repository.
    #[error("{place}: the repository {name} has a section already")]
    DuplicateRepository {
        /// The second section.
        place: Place,
        /// Its name.
        name: String,
    },
}
