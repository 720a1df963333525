//! Verifies detached signatures against pacman's keyring, by `gpgv` of `GnuPG`.

mod signature_file;
mod verdict;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use p2p_pacman::{Fingerprint, KeyringFault, keyrings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::knowledge::Knowledge;
pub(crate) use signature_file::read_signature;
pub(crate) use verdict::Flaw;
use verdict::judge;

/// The program; found by `PATH`, as pacman finds its own.
const PROGRAM: &str = "gpgv";
/// How long the verification of a small file may take, the wait for others included.
const PATIENCE: Duration = Duration::from_secs(10);
/// A larger file has as much longer as it takes to read it at so many bytes a second: an old disk, and a busy machine.
const SLOW_DISK: u64 = 20_000_000;
/// Verifications at one time.
const AT_ONCE: usize = 2;
/// The largest signature, in bytes: what pacman takes at most.
pub(crate) const MAX_SIGNATURE_BYTES: usize = 16 * 1024;
/// More of its words are not read, in bytes; about a good signature it says some 600.
const MAX_STATUS_BYTES: u64 = 16 * 1024;

/// pacman's keyring, and the program that knows what to do with it.
#[derive(Debug)]
pub(crate) struct Keyring {
    knowledge: Arc<Knowledge>,
    turns: Semaphore,
    /// What kept the last verification from being made.
    trouble: Mutex<Option<String>>,
}

/// A signature that is good, by a key of the keyring that is neither expired nor revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The key, by its primary key's fingerprint.
    pub(crate) key: Fingerprint,
    /// What of the key made the signature: itself, or a subkey.
    pub(crate) by: Fingerprint,
    /// When, in seconds since 1970.
    pub(crate) at: u64,
}

/// Why a signature is not known to be good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyFault {
    /// It is none of this file, or our keyring does not vouch for it.
    #[error("the signature is not good")]
    Bad(#[source] Flaw),
    /// Nobody's but this machine's.
    #[error("signatures cannot be verified")]
    Unable(#[source] Inability),
}

/// Why nothing can be verified here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Inability {
    #[error("there are no keys to verify with")]
    Keys(#[source] KeyringFault),
    #[error("gpgv cannot be run; it is part of GnuPG")]
    Run(#[source] io::Error),
    #[error("gpgv has not finished in {} s", .0.as_secs())]
    Slow(Duration),
}

impl VerifyFault {
    /// Whether somebody honest would not have sent it: a keyring that is older than theirs, or empty, is ours.
    pub(crate) fn is_the_senders(&self) -> bool {
        matches!(self, Self::Bad(flaw) if flaw.is_for_good())
    }
}

impl Keyring {
    pub(crate) fn new(knowledge: Arc<Knowledge>) -> Self {
        Self { knowledge, turns: Semaphore::new(AT_ONCE), trouble: Mutex::default() }
    }

    /// Verifies `signature` over the bytes of `file`, an absolute path of a file that stays as it is meanwhile.
    pub(crate) async fn verify(&self, signature: &[u8], file: &Path) -> Result<Signed, VerifyFault> {
        if signature.is_empty() || signature.len() > MAX_SIGNATURE_BYTES {
            return Err(VerifyFault::Bad(Flaw::None));
        }
        let patience = patience_of(file).await;
        let verified = match tokio::time::timeout(patience, self.ask(signature, file)).await {
            Ok(verified) => verified,
            Err(_) => Err(Inability::Slow(patience)),
        };
        self.note(verified.as_ref().err());
        let status = verified.map_err(VerifyFault::Unable)?;
        judge(&status).map_err(VerifyFault::Bad)
    }

    /// Why nothing could be verified when it was last tried.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, inability: Option<&Inability>) {
        let now = inability.map(|inability| p2p_api::Report(inability).to_string());
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = now.as_ref().filter(|_| *trouble != now) {
            tracing::warn!(error, "signatures from neighbours cannot be verified");
        }
        *trouble = now;
    }

    /// What gpgv says.
    async fn ask(&self, signature: &[u8], file: &Path) -> Result<String, Inability> {
        let _turn = self.turns.acquire().await.expect("nobody closes it");
        let knowledge = Arc::clone(&self.knowledge);
        let found = tokio::task::spawn_blocking(move || keyrings(&knowledge.view().conf.gpg_dir)).await;
        let keyrings = found.expect("looking at files does not panic").map_err(Inability::Keys)?;
        let mut child = command(&keyrings, file).spawn().map_err(Inability::Run)?;
        converse(&mut child, signature).await.map_err(Inability::Run)
    }
}

/// How long one may wait for the verification of this file.
async fn patience_of(file: &Path) -> Duration {
    let file = file.to_owned();
    let length = tokio::task::spawn_blocking(move || fs_err::metadata(file).map_or(0, |metadata| metadata.len()));
    patience(length.await.expect("looking at a file does not panic"))
}

/// The same by its length in bytes.
fn patience(length: u64) -> Duration {
    PATIENCE + Duration::from_secs(length / SLOW_DISK)
}

/// Reads the signature from its standard input, and no configuration of anybody's.
fn command(keyrings: &[PathBuf], file: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--homedir", "/nonexistent", "--status-fd", "1"]);
    for keyring in keyrings {
        command.arg("--keyring").arg(keyring);
    }
    command.arg("--").arg("-").arg(file);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

async fn converse(child: &mut Child, signature: &[u8]) -> io::Result<String> {
    let mut input = child.stdin.take().expect("it is piped");
    // One that does not want to read all of it has something to say.
    let _ = input.write_all(signature).await;
    drop(input);
    let output = child.stdout.take().expect("it is piped");
    let mut status = Vec::new();
    output.take(MAX_STATUS_BYTES).read_to_end(&mut status).await?;
    // Its exit status says less than its words. One that has more to say than is read is ended.
    child.kill().await?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

#[cfg(test)]
mod tests;
