//! Which package comes first.

use std::cmp::Reverse;

use p2p_api::Package;

/// What packages are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SortKey {
    /// The package's name, then its file's.
    Name,
    /// Bytes, the largest first.
    Size,
    /// When it came into the catalog, the newest first.
    Added,
    /// When this machine fetched it last, the newest first.
    Fetched,
    /// Bytes given to others, most first.
    Uploaded,
    /// When somebody asked for it last, the newest first.
    Asked,
}

impl SortKey {
    /// Sorts; among equals by name.
    pub(crate) fn sort(self, packages: &mut [Package]) {
        packages.sort_by(|a, b| (&a.name, &a.file_name).cmp(&(&b.name, &b.file_name)));
        match self {
            Self::Name => {}
            Self::Size => packages.sort_by_key(|package| Reverse(package.size)),
            Self::Added => packages.sort_by_key(|package| Reverse(package.added)),
            Self::Fetched => packages.sort_by_key(|package| Reverse(package.fetched)),
            Self::Uploaded => packages.sort_by_key(|package| Reverse(package.uploaded_bytes)),
            Self::Asked => packages.sort_by_key(|package| Reverse(package.last_asked)),
        }
    }
}
