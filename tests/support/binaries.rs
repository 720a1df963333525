//! Where the built programs are.

use std::path::{Path, PathBuf};

/// The directory of the built programs, and so their profile.
#[derive(Debug, Clone)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// The directory that `CARGO_BIN` names, or else the one above the running test's: `target/<profile>`. Cargo builds
    /// them for tests only when told to: `cargo build --workspace --bins`.
    #[must_use]
    #[track_caller]
    pub fn built() -> Self {
        let named = std::env::var_os("CARGO_BIN").map(PathBuf::from);
        let beside = || {
            let test = std::env::current_exe().expect("a program knows its path");
            test.ancestors().nth(2).expect("tests lie in target/<profile>/deps").to_owned()
        };
        Self::in_directory(&named.unwrap_or_else(beside))
    }

    /// The programs in `directory`.
    ///
    /// # Panics
    ///
    /// Where they have not been built.
    #[must_use]
    #[track_caller]
    pub fn in_directory(directory: &Path) -> Self {
        let binaries = Self(directory.to_owned());
        for path in [binaries.p2pd(), binaries.p2pctl(), binaries.get()] {
            assert!(path.is_file(), "no {}: run `cargo build --workspace --bins` first", path.display());
        }
        binaries
    }

    /// The daemon.
    #[must_use]
    pub fn p2pd(&self) -> PathBuf {
        self.0.join("p2pd")
    }

    /// What a person runs.
    #[must_use]
    pub fn p2pctl(&self) -> PathBuf {
        self.0.join("p2pctl")
    }

    /// What pacman runs.
    #[must_use]
    pub fn get(&self) -> PathBuf {
        self.0.join("pacman2pacman-get")
    }
}
