//! The keys with which pacman verifies signatures.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fs_err as fs;

use crate::signature::KeyId;

/// Where public keys are: in the format that `pacman-key` makes, or in the later one.
const FILES: [&str; 2] = ["pubring.gpg", "pubring.kbx"];

/// The name of a public key: 40 hexadecimal digits (version 4), or 64 (versions 5 and 6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(Box<[u8]>);

/// A text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint of a key")]
pub struct FingerprintError(String);

/// Why there are no keys to verify with.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFault {
    /// `pacman-key --init` and `--populate` have not run.
    #[error("{0} has no keys; run pacman-key --init and pacman-key --populate")]
    Empty(PathBuf),
    /// Most likely a directory or a file that only root may read.
    #[error("pacman's keyring cannot be read")]
    Unreadable(#[source] io::Error),
}

/// The files of `gpg_dir` that hold public keys, each readable by us.
///
/// # Errors
///
/// There is none, or one may not be read.
pub fn keyrings(gpg_dir: &Path) -> Result<Vec<PathBuf>, KeyringFault> {
    let mut found = Vec::new();
    for path in FILES.map(|name| gpg_dir.join(name)) {
        match fs::File::open(&path).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => found.push(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(KeyringFault::Unreadable(error)),
        }
    }
    if found.is_empty() { Err(KeyringFault::Empty(gpg_dir.to_owned())) } else { Ok(found) }
}

impl Fingerprint {
    /// The short name that signatures may have instead (RFC 9580, 5.5.4).
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        let bytes = match self.0.len() {
            20 => self.0.last_chunk(),
            _ => self.0.first_chunk(),
        };
        KeyId(*bytes.expect("a fingerprint has 20 or 32 bytes"))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let fault = || FingerprintError(text.chars().take(80).collect());
        if !matches!(text.len(), 40 | 64) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(fault());
        }
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| fault());
        (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_keys_are_found_and_empty_ones_are_none() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        assert!(matches!(keyrings(directory.path()), Err(KeyringFault::Empty(_))));
        fs::write(directory.path().join("pubring.gpg"), b"").expect("a temporary directory");
        assert!(matches!(keyrings(directory.path()), Err(KeyringFault::Empty(_))));
        let newer = directory.path().join("pubring.kbx");
        fs::write(&newer, b"keys").expect("a temporary directory");
        assert_eq!(keyrings(directory.path()).expect("one has keys"), [newer]);
        fs::create_dir(directory.path().join("file")).expect("a temporary directory");
        fs::write(directory.path().join("file/pubring.gpg"), b"keys").expect("a temporary directory");
        assert!(keyrings(&directory.path().join("file/pubring.gpg")).is_err(), "no directory");
    }

    #[test]
    fn a_fingerprint_is_hexadecimal_and_names_its_key_id() {
        let text = "DC35D3696DE7430AB6F90D47E7C2C55199A9EB56";
        let fingerprint: Fingerprint = text.parse().expect("a fingerprint");
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(text.to_ascii_lowercase().parse(), Ok(fingerprint.clone()));
        assert_eq!(fingerprint.key_id(), KeyId([0xe7, 0xc2, 0xc5, 0x51, 0x99, 0xa9, 0xeb, 0x56]));
        for wrong in ["", "DC35", &text[1..], &format!("{}Z", &text[1..]), &"é".repeat(20)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
