//! Detached signatures: those that pacman 6.0 needs and never asks for, and those that no mirror has.

use std::io::{Read as _, Write as _};
use std::path::Path;

use p2p_api::Ready;

use crate::fetch::FetchFault;
use crate::job::{Job, Kind, Target};
use crate::outcome::Outcome;
use crate::source::{SourceFault, Trust};
use crate::stage::{Stage, TargetFault};
use crate::transfer::is_same;

/// pacman's own limit for a signature (`MAX_SIGFILE_SIZE` in libalpm's dload.c).
const MAX_BYTES: u64 = 16 * 1024;

/// What it means that no mirror has the file that pacman asked for. Most repositories don't sign their databases, and
/// every failure costs pacman 2 s: where it is safe, the answer is *nothing new*. None: it is a failure.
pub(crate) fn missing(job: &Job) -> Option<Outcome> {
    if job.kind != Kind::DatabaseSignature {
        return None;
    }
    match &job.target {
        Target::Bare(_) => Some(Outcome::Done),
        Target::Out(out) if job.target.is_in_download_directory() => {
            match Stage::new(out).and_then(|s| s.publish(None)) {
                Ok(()) => Some(Outcome::Done),
                Err(error) => Some(Outcome::failed(&p2p_api::Report(&error))),
            }
        }
        // An empty signature would invalidate the database here. A failure is what pacman expects: nothing to be said.
        Target::Out(_) => Some(Outcome::Failed),
    }
}

/// Places the daemon's signature beside the file.
pub(crate) fn take(job: &Job, trust: &Trust, ready: &Ready) -> Result<(), FetchFault> {
    let Some(signature) = &ready.signature else {
        if !is_same(job, ready) {
            remove_stale(job);
        }
        return Ok(());
    };
    let mut bytes = Vec::new();
    let source = trust.open(&signature.path)?;
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(SourceFault::Unread)?;
    if bytes.len() as u64 != signature.size || !is_plausible(&bytes) {
        return Err(SourceFault::Contradicts.into());
    }
    Ok(place(&bytes, &job.target.signature())?)
}

/// Places the signature that lies at `from` beside the file, if it is one.
pub(crate) fn place_from(from: &Path, job: &Job) -> Result<(), TargetFault> {
    let mut bytes = Vec::new();
    let read = fs_err::File::open(from).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if read.is_ok() && is_plausible(&bytes) { place(&bytes, &job.target.signature()) } else { Ok(()) }
}

/// An old signature beside a new database makes pacman call the database invalid; without one it goes by its `SigLevel`.
pub(crate) fn remove_stale(job: &Job) {
    if job.kind == Kind::Database {
        // There is none most of the time.
        let _ = fs_err::remove_file(job.target.signature());
    }
}

fn place(bytes: &[u8], target: &Path) -> Result<(), TargetFault> {
    let stage = Stage::new(target)?;
    stage.file().write_all(bytes).map_err(|error| stage.fault(error))?;
    stage.publish(None)
}

/// A mirror's *not found* page is no signature: a packet begins with a byte above 127 (RFC 9580, 4.2).
fn is_plausible(bytes: &[u8]) -> bool {
    let is_packet = bytes.first().is_some_and(|&first| first > 127);
    (is_packet || bytes.starts_with(b"-----BEGIN PGP SIGNATURE")) && bytes.len() as u64 <= MAX_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_no_signature() {
        assert!(is_plausible(&[0x89, 1, 2]));
        assert!(is_plausible(b"-----BEGIN PGP SIGNATURE-----\n"));
        assert!(!is_plausible(b"<!DOCTYPE html>"));
        assert!(!is_plausible(b""));
        assert!(!is_plausible(&vec![0x89; 20_000]));
    }
}
