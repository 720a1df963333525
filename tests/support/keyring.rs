//! A packager's signing key, and the keyring with which pacman trusts it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::run;

const GPG_WITHIN: Duration = Duration::from_mins(1);

/// A signing key in a directory of its own.
#[derive(Debug)]
pub struct Keyring {
    home: TempDir,
    fingerprint: String,
}

impl Keyring {
    /// A new key. Ed25519, so it takes a moment only.
    #[must_use]
    #[track_caller]
    pub fn generate() -> Self {
        let home = tempfile::Builder::new().prefix("p2pt-gpg-").tempdir().expect("a temporary directory");
        let mut keyring = Self { home, fingerprint: String::new() };
        let user = "Tester <tester@example.org>";
        keyring.gpg(&["--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", "never"]);
        let listed = keyring.gpg(&["--with-colons", "--list-keys"]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).expect("a key has a fingerprint");
        line.split(':').nth(9).expect("the tenth field is the fingerprint").clone_into(&mut keyring.fingerprint);
        keyring
    }

    /// The key's fingerprint, 40 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Writes the detached signature `<file>.sig`, and gives its path.
    #[track_caller]
    pub fn sign(&self, file: &Path) -> PathBuf {
        let signature = PathBuf::from(format!("{}.sig", file.display()));
        let paths = [&signature, file].map(|path: &Path| path.to_str().expect("test paths are text"));
        self.gpg(&["--yes", "--detach-sign", "--no-armor", "--output", paths[0], paths[1]]);
        signature
    }

    /// Fills pacman's `GPGDir`, as `pacman-key --init`, `--add` and a trusted signature would.
    #[track_caller]
    pub fn write_pacman_keyring(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("the directory can be made");
        fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        // pacman wants this file to exist; gpg then keeps its keys there, in the old format.
        fs::write(directory.join("pubring.gpg"), b"").expect("the keyring can be written");
        self.add_to_pacman_keyring(directory);
    }

    /// Has pacman trust this key beside those that it trusts.
    #[track_caller]
    pub fn add_to_pacman_keyring(&self, directory: &Path) {
        let key = directory.join("key.asc");
        let key = key.to_str().expect("test paths are text");
        self.gpg(&["--yes", "--armor", "--output", key, "--export", &self.fingerprint]);
        gpg(directory, &["--import", key]);
        let trust = directory.join("ownertrust");
        fs::write(&trust, format!("{}:6:\n", self.fingerprint)).expect("the keyring can be written");
        gpg(directory, &["--import-ownertrust", trust.to_str().expect("test paths are text")]);
        gpg(directory, &["--check-trustdb"]);
        stop_agent(directory);
    }

    #[track_caller]
    fn gpg(&self, arguments: &[&str]) -> String {
        gpg(self.home.path(), arguments)
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        stop_agent(self.home.path());
    }
}

#[track_caller]
fn gpg(home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home).args(["--batch", "--quiet", "--no-permission-warning"]).args(arguments);
    run(command, GPG_WITHIN).succeeded().stdout.clone()
}

/// gpg leaves its agent running.
fn stop_agent(home: &Path) {
    let mut command = Command::new("gpgconf");
    command.arg("--homedir").arg(home).args(["--kill", "all"]);
    if !std::thread::panicking() {
        drop(run(command, GPG_WITHIN));
    } else if let Ok(mut child) = command.spawn() {
        drop(child.wait());
    }
}
