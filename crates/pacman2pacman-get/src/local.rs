//! `file://` repositories, and the copies that pacman has already: no daemon, no network.

use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use p2p_api::Report;

use crate::copy::{CopyFault, copy as copy_range, share};
use crate::interruption::Interruption;
use crate::job::{Job, Kind};
use crate::outcome::Outcome;
use crate::signature;
use crate::source::SourceFault;
use crate::stage::Stage;

/// Copies the file that a `file://` URL names.
pub(crate) fn copy(job: &Job, interruption: &Interruption) -> Outcome {
    let Some(from) = path_of(&job.url) else { return Outcome::failed(&"a file URL needs an absolute path") };
    if !from.exists()
        && let Some(outcome) = signature::missing(job)
    {
        return outcome;
    }
    let outcome = place(&from, job, interruption);
    if matches!(outcome, Outcome::Done) && job.with_signature {
        let mut signature = from.into_os_string();
        signature.push(".sig");
        if let Err(error) = signature::place_from(Path::new(&signature), job) {
            return Outcome::failed(&Report(&error));
        }
    }
    outcome
}

/// Puts a copy of `from`, with its time, in the job's place.
pub(crate) fn place(from: &Path, job: &Job, interruption: &Interruption) -> Outcome {
    let failed = |error: io::Error| Outcome::failed(&format!("can't read {}: {error}", from.display()));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = match open(from, flags, Mode::empty()) {
        Ok(source) => std::fs::File::from(source),
        Err(error) => return failed(error.into()),
    };
    let metadata = match source.metadata() {
        Ok(metadata) if metadata.is_file() && (metadata.len() > 0 || job.kind == Kind::Other) => metadata,
        Ok(_) => return failed(io::Error::other("it is empty, or no regular file")),
        Err(error) => return failed(error),
    };
    let stage = match Stage::new(job.target.path()) {
        Ok(stage) => stage,
        Err(error) => return Outcome::failed(&Report(&error)),
    };
    let copied =
        if share(&source, &stage) { Ok(()) } else { copy_range(&source, &stage, 0..metadata.len(), interruption) };
    match copied {
        Ok(()) => match stage.publish(metadata.modified().ok()) {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::failed(&Report(&error)),
        },
        Err(CopyFault::Source(SourceFault::Unread(error))) => failed(error),
        Err(CopyFault::Source(_)) => failed(io::Error::other("it became shorter meanwhile")),
        Err(CopyFault::Target(error)) => Outcome::failed(&Report(&error)),
        Err(CopyFault::Stopped(stop)) => Outcome::Stopped(stop),
    }
}

/// The path in a `file://` URL. pacman encodes nothing, a careful user may: the path as written wins if it is there.
fn path_of(url: &str) -> Option<PathBuf> {
    let (_, rest) = url.split_once("://")?;
    let path = &rest[rest.find('/')?..];
    let written = PathBuf::from(path);
    Some(if written.exists() { written } else { decoded(path) })
}

fn decoded(path: &str) -> PathBuf {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(decoded).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_url_names_a_path() {
        assert_eq!(path_of("file:///etc/passwd"), Some("/etc/passwd".into()));
        assert_eq!(path_of("file://localhost/etc/passwd"), Some("/etc/passwd".into()));
        assert_eq!(path_of("file:///srv/a%3a1%2B2"), Some("/srv/a:1+2".into()));
        assert_eq!(path_of("file:///srv/100%"), Some("/srv/100%".into()));
        assert_eq!(path_of("file://srv"), None);
    }
}
