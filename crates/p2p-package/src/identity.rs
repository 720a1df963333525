//! What a sync database promises about one package.

use crate::{FileName, Sha256};

/// A package id: the SHA-256 that names the package, with its file name and size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    /// The file name, unique within one repository (`%FILENAME%`).
    pub file_name: FileName,
    /// The size of the file in bytes (`%CSIZE%`).
    pub size: u64,
    /// The SHA-256 of the whole file (`%SHA256SUM%`).
    pub sha256: Sha256,
}
