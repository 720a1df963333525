use std::process;

use fs_err as fs;
use tempfile::TempDir;

use super::*;
use crate::config::Seed;

/// A machine with a keyring, and somebody who signs.
struct Machine {
    directory: TempDir,
    keyring: Keyring,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-keyring-").tempdir().expect("a temporary directory");
        let config = directory.path().join("pacman.conf");
        let text = format!("[options]\nGPGDir = {0}/gnupg\nDBPath = {0}/db\n", directory.path().display());
        fs::write(&config, text).expect("a small file");
        let knowledge = Knowledge::load(&config, &Seed::default()).expect("a valid configuration");
        Self { directory, keyring: Keyring::new(Arc::new(knowledge)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn gpg(&self, arguments: &[&str]) {
        let home = self.path("home");
        fs::create_dir_all(&home).expect("a temporary directory");
        let mut command = process::Command::new("gpg");
        command.arg("--homedir").arg(home).args(["--batch", "--quiet", "--no-permission-warning"]).args(arguments);
        let output = command.output().expect("gpg runs");
        assert!(output.status.success(), "{output:?}");
    }

    /// Makes a key that pacman trusts.
    fn trust(&self) {
        self.gpg(&[
            "--passphrase",
            "",
            "--quick-generate-key",
            "Tester <tester@example.org>",
            "ed25519",
            "sign",
            "never",
        ]);
        fs::create_dir_all(self.path("gnupg")).expect("a temporary directory");
        self.gpg(&["--output", self.path("gnupg/pubring.gpg").to_str().expect("a text"), "--export"]);
    }

    fn sign(&self, file: &Path) -> Vec<u8> {
        let signature = self.path("signature");
        let paths = [signature.as_path(), file].map(|path| path.to_str().expect("a text"));
        self.gpg(&["--yes", "--detach-sign", "--no-armor", "--output", paths[0], paths[1]]);
        fs::read(signature).expect("gpg has written it")
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.path("-file of some name");
        fs::write(&path, text).expect("a small file");
        path
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // gpg leaves its agent running.
        let home = self.path("home");
        let stopped = process::Command::new("gpgconf").arg("--homedir").arg(home).args(["--kill", "all"]).output();
        drop(stopped);
    }
}

#[tokio::test]
async fn gpgv_tells_good_signatures_from_others() {
    let machine = Machine::new();
    machine.trust();
    let file = machine.file("some text");
    let signature = machine.sign(&file);
    let signed = machine.keyring.verify(&signature, &file).await.expect("a good signature");
    let said = p2p_pacman::DetachedSignature::read(&signature).expect("a signature");
    assert_eq!((signed.at, Some(signed.by.key_id())), (said.created, said.issuer));
    assert_eq!(signed.key, signed.by, "there is no subkey");
    let other = machine.file("another text");
    let bad = machine.keyring.verify(&signature, &other).await;
    assert!(matches!(bad, Err(VerifyFault::Bad(Flaw::OtherBytes))), "{bad:?}");
    let none = machine.keyring.verify(b"no signature", &other).await;
    assert!(matches!(none, Err(VerifyFault::Bad(Flaw::None))), "{none:?}");
    let large = machine.keyring.verify(&vec![0x89; MAX_SIGNATURE_BYTES + 1], &other).await;
    assert!(matches!(large, Err(VerifyFault::Bad(Flaw::None))), "{large:?}");
    let stranger = Machine::new();
    stranger.trust();
    let unknown = machine.keyring.verify(&stranger.sign(&other), &other).await;
    assert!(matches!(unknown, Err(VerifyFault::Bad(Flaw::UnknownKey))), "{unknown:?}");
    assert_eq!(machine.keyring.trouble(), None);
}

#[tokio::test]
async fn without_keys_nothing_is_verified_and_nobody_is_to_blame() {
    let machine = Machine::new();
    let file = machine.file("some text");
    let fault = machine.keyring.verify(&[0x89], &file).await;
    assert!(matches!(fault, Err(VerifyFault::Unable(Inability::Keys(_)))), "{fault:?}");
    let trouble = machine.keyring.trouble().expect("it is told");
    assert!(trouble.contains("pacman-key --init"), "{trouble}");
}

#[test]
fn a_package_of_gigabytes_is_given_the_time_to_be_read() {
    assert_eq!(patience(1_000_000), PATIENCE);
    assert!(patience(3_000_000_000) > Duration::from_mins(2), "at 25 MB/s, all of it");
}
