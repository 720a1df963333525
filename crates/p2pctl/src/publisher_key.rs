//! `p2pctl publisher-key`: the key that signs what somebody publishes.

use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use p2p_package::Sha256;
use p2p_wire::PublisherSecret;

use crate::terminal::print;

/// More than a key file has.
const MAX_KEY_FILE: u64 = 4096;

/// Shows the public key of a publisher, as p2pd's configuration wants it
///
/// The file holds the secret key. Whoever has a copy can publish in your name: keep it to yourself, and a copy of it elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct PublisherKeyOptions {
    /// The file with the secret key
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Make a new key and write it to FILE, which must not exist yet
    #[arg(long)]
    new: bool,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the key can't be read")]
    Read(#[source] io::Error),
    #[error("{} is no secret key of a publisher", .0.display())]
    Content(PathBuf),
    #[error("others may read {}: chmod 600, and think about whether somebody did", .0.display())]
    Mode(PathBuf),
    #[error("the new key can't be written")]
    Write(#[source] io::Error),
    #[error("the system gives no random numbers")]
    Random(#[source] io::Error),
    #[error("the key can't be printed")]
    Print(#[source] io::Error),
}

/// Makes a key where that is wanted, and prints the public one.
pub(crate) fn run(options: &PublisherKeyOptions) -> Result<(), KeyError> {
    let secret = if options.new { create(&options.file)? } else { read(&options.file)? };
    print(&format!("key = \"{}\"", secret.public())).map_err(KeyError::Print)
}

/// The secret key in this file, which is its owner's alone.
pub(crate) fn read(path: &Path) -> Result<PublisherSecret, KeyError> {
    let file = fs::File::open(path).map_err(KeyError::Read)?;
    let metadata = file.metadata().map_err(KeyError::Read)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(KeyError::Mode(path.to_owned()));
    }
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(KeyError::Read)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    // The same digits as a SHA-256's.
    let seed: Option<Sha256> = line.and_then(|line| line.parse().ok());
    let seed = seed.ok_or_else(|| KeyError::Content(path.to_owned()))?;
    Ok(PublisherSecret::from_seed(seed.as_bytes()))
}

/// A key that nobody has had before. A file that exists is never written to.
fn create(path: &Path) -> Result<PublisherSecret, KeyError> {
    let seed = random()?;
    let secret = PublisherSecret::from_seed(&seed);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(KeyError::Write)?;
    let text = format!(
        "# Pacman2Pacman: a publisher's secret key (ed25519). Whoever has it publishes in your name.\n# Its public key is \
         {}\n{}\n",
        secret.public(),
        Sha256::from_bytes(seed),
    );
    let written = file.set_permissions(PermissionsExt::from_mode(0o600)).and_then(|()| file.write_all(text.as_bytes()));
    written.and_then(|()| file.sync_all()).map_err(KeyError::Write)?;
    Ok(secret)
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let count = rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut seed[filled..], flags));
        filled += count.map_err(|error| KeyError::Random(error.into()))?;
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_again_is_its_owners_alone_and_is_never_overwritten() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("core.key");
        let secret = create(&path).expect("a new file");
        assert_eq!(read(&path).expect("our file").public(), secret.public());
        let metadata = fs::metadata(&path).expect("our file");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        let text = fs::read_to_string(&path).expect("our file");
        assert!(text.contains(&secret.public().to_string()), "{text}");
        assert!(matches!(create(&path), Err(KeyError::Write(error)) if error.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read_to_string(&path).expect("our file"), text);
        assert_ne!(random().expect("random numbers"), random().expect("random numbers"));
    }

    #[test]
    fn a_key_that_others_may_read_and_a_file_that_is_no_key_are_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("core.key");
        create(&path).expect("a new file");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("our file");
        assert!(matches!(read(&path), Err(KeyError::Mode(_))));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our file");
        fs::write(&path, "# nothing\n0123\n").expect("our file");
        assert!(matches!(read(&path), Err(KeyError::Content(_))));
        assert!(matches!(read(&directory.path().join("none")), Err(KeyError::Read(_))));
    }
}
