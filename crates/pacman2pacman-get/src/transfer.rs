//! The daemon's growing file, copied behind the fetch, so that a large package costs no second pass.

use std::fs::File;
use std::path::{Path, PathBuf};

use p2p_api::{Progress, Ready};

use crate::copy::{copy, share};
use crate::fetch::FetchFault;
use crate::interruption::Interruption;
use crate::job::{Job, Kind, Target};
use crate::signature;
use crate::source::{SourceFault, Trust};
use crate::stage::{Stage, from_unix_seconds};

/// One file on its way from the daemon to pacman.
#[derive(Debug)]
pub(crate) struct Transfer<'a> {
    job: &'a Job,
    trust: Trust,
    interruption: &'a Interruption,
    followed: Option<Followed>,
}

/// The file that the daemon named last, and what we have of it.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    source: File,
    stage: Stage,
    copied: u64,
}

impl<'a> Transfer<'a> {
    /// Nothing is opened before the daemon names something.
    pub(crate) const fn new(job: &'a Job, trust: Trust, interruption: &'a Interruption) -> Self {
        Self { job, trust, interruption, followed: None }
    }

    /// Copies what may be copied already.
    pub(crate) fn advance(&mut self, progress: &Progress) -> Result<(), FetchFault> {
        let Some(path) = &progress.source else { return Ok(()) };
        let interruption = self.interruption;
        let followed = self.follow(path)?;
        followed.keep_at_most(progress.contiguous)?;
        copy(&followed.source, &followed.stage, followed.copied..progress.contiguous, interruption)?;
        followed.copied = progress.contiguous;
        Ok(())
    }

    /// Copies the rest of the complete file, and its signature, and puts both in place.
    pub(crate) fn finish(mut self, ready: &Ready) -> Result<(), FetchFault> {
        let modified = ready.modified.and_then(from_unix_seconds);
        if self.is_unchanged(ready) {
            return Ok(());
        }
        if ready.size == 0 && self.job.kind != Kind::Other {
            return Err(SourceFault::Contradicts.into());
        }
        let interruption = self.interruption;
        let followed = self.follow(&ready.path)?;
        let size = followed.source.metadata().map_err(SourceFault::Unread)?.len();
        if size != ready.size {
            return Err(SourceFault::Contradicts.into());
        }
        followed.keep_at_most(size)?;
        if followed.copied > 0 || !share(&followed.source, &followed.stage) {
            copy(&followed.source, &followed.stage, followed.copied..size, interruption)?;
        }
        if self.job.with_signature {
            signature::take(self.job, &self.trust, ready)?;
        }
        let followed = self.followed.expect("the ready file is followed");
        Ok(followed.stage.publish(modified)?)
    }

    /// Where pacman's own copy is overwritten, a database that has not changed keeps even its inode.
    fn is_unchanged(&self, ready: &Ready) -> bool {
        self.job.kind == Kind::Database && matches!(self.job.target, Target::Bare(_)) && is_same(self.job, ready)
    }

    /// Another file than before begins at its first byte.
    fn follow(&mut self, path: &Path) -> Result<&mut Followed, FetchFault> {
        let followed = match self.followed.take().filter(|followed| followed.path == path) {
            Some(followed) => followed,
            None => Followed {
                path: path.to_owned(),
                source: self.trust.open(path)?,
                stage: Stage::new(self.job.target.path())?,
                copied: 0,
            },
        };
        Ok(self.followed.insert(followed))
    }
}

impl Followed {
    /// Takes back what the daemon no longer vouches for.
    fn keep_at_most(&mut self, length: u64) -> Result<(), FetchFault> {
        if self.copied > length {
            self.stage.shorten_to(length)?;
            self.copied = length;
        }
        Ok(())
    }
}

/// Whether pacman has this very file already: same size, same Last-Modified.
pub(crate) fn is_same(job: &Job, ready: &Ready) -> bool {
    let modified = ready.modified.and_then(from_unix_seconds);
    fs_err::metadata(job.target.installed()).is_ok_and(|installed| {
        modified.is_some() && installed.modified().ok() == modified && installed.len() == ready.size
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::options::Options;

    fn job(out: PathBuf) -> Job {
        Job::new(&Options { socket: None, url: "http://m/a-1-1-any.pkg.tar.zst".to_owned(), out: Some(out) }).unwrap()
    }

    fn growing(source: &Path, contiguous: u64) -> Progress {
        Progress { source: Some(source.to_owned()), contiguous, ..Progress::default() }
    }

    fn ready(path: &Path, size: u64) -> Ready {
        let path = path.to_owned();
        let (modified, signature, transaction) = (None, None, None);
        Ready { path, size, modified, verified: true, from_peers: 0, from_mirrors: size, signature, transaction }
    }

    /// Copies `before` of a growing file, changes the file, and finishes it: shows which bytes were copied when.
    fn transferred(before: &[u64], rename: bool) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let (source, out) = (directory.path().join("source"), directory.path().join("a.part"));
        let (job, interruption) = (job(out.clone()), Interruption::watch());
        let trust = Trust::new(rustix::process::getuid().as_raw(), &job);
        let mut transfer = Transfer::new(&job, trust, &interruption);
        let mut file = fs_err::File::create(&source).unwrap();
        file.write_all(b"earlier").unwrap();
        for &contiguous in before {
            transfer.advance(&growing(&source, contiguous)).unwrap();
        }
        assert!(!out.exists(), "an unverified file is in sight");
        std::os::unix::fs::FileExt::write_all_at(file.file(), b"LATER..", 0).unwrap();
        let last = if rename { directory.path().join("renamed") } else { source.clone() };
        fs_err::rename(&source, &last).unwrap();
        transfer.finish(&ready(&last, 7)).unwrap();
        fs_err::read(&out).unwrap()
    }

    #[test]
    fn what_was_copied_behind_the_fetch_is_not_copied_again() {
        assert_eq!(transferred(&[], false), b"LATER..");
        assert_eq!(transferred(&[2, 4], false), b"earlR..");
        assert_eq!(transferred(&[7], false), b"earlier");
    }

    #[test]
    fn what_the_daemon_takes_back_and_what_came_from_another_path_is() {
        assert_eq!(transferred(&[7, 3], false), b"earER..");
        assert_eq!(transferred(&[7], true), b"LATER..");
    }
}
