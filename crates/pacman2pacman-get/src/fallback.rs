//! The download that works without any daemon: curl, else wget, from the URL that pacman named.

mod tool;

use std::io::Read as _;
use std::path::{Path, PathBuf};

pub(crate) use self::tool::Patience;
use self::tool::{Answer, Get, Noise, ToolFault};
use p2p_api::Report;

use crate::interruption::Interruption;
use crate::job::{Job, Kind, Target};
use crate::local;
use crate::outcome::Outcome;
use crate::parent::Parent;
use crate::part::{self, Begin};
use crate::signature;
use crate::stage::{TargetFault, scratch_path};

/// Downloads the file, and for pacman 6.0 its signature.
pub(crate) fn download(job: &Job, patience: Patience, interruption: &Interruption) -> Outcome {
    let outcome = download_file(job, patience, interruption);
    if matches!(outcome, Outcome::Done) && job.with_signature { download_signature(job, interruption) } else { outcome }
}

fn download_file(job: &Job, patience: Patience, interruption: &Interruption) -> Outcome {
    let to = match &job.target {
        Target::Out(out) => out.clone(),
        Target::Bare(path) => scratch_path(path),
    };
    let installed = known_database(job);
    let get = |begin: Begin| {
        let noise = if job.kind == Kind::DatabaseSignature { Noise::None } else { Noise::AsUsual };
        let newer_than = installed.as_deref();
        tool::get(&Get { url: &job.url, to: &to, begin, newer_than, noise, patience }, interruption)
    };
    let begin = part::prepare(job);
    let mut answer = get(begin);
    if begin == Begin::AtTheEnd && answer.as_ref().is_ok_and(Answer::can_not_resume) {
        part::discard(&job.target);
        answer = get(Begin::Afresh);
    }
    let outcome = judge(job, &to, answer, interruption);
    if !matches!((&outcome, &job.target), (Outcome::Done, Target::Out(_))) {
        part::leave(job, &to);
    }
    outcome
}

/// Makes of the answer what pacman is told.
fn judge(job: &Job, to: &Path, answer: Result<Answer, ToolFault>, interruption: &Interruption) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(ToolFault::Stopped(stop)) => return Outcome::Stopped(stop),
        Err(fault) => return Outcome::failed(&Report(&fault)),
    };
    if let Err(stop) = interruption.check() {
        return Outcome::Stopped(stop);
    }
    if answer.is_not_found()
        && let Some(outcome) = signature::missing(job)
    {
        return outcome;
    }
    if answer.is_unchanged() {
        return match &job.target {
            Target::Bare(_) => Outcome::Done,
            Target::Out(_) => local::place(&job.target.installed(), job, interruption),
        };
    }
    // The tool has told why.
    if !answer.is_success() {
        return Outcome::Failed;
    }
    if !fs_err::metadata(to).is_ok_and(|metadata| metadata.len() > 0) {
        return Outcome::failed(&format!("{} is empty", job.url));
    }
    // Neither packages nor databases nor signatures begin like that: a network that wants somebody to log in does.
    if job.kind != Kind::Other && begins_with(to, b'<') {
        part::discard(&job.target);
        let page = format!("{} is answered with a web page: does this network want a login?", job.url);
        return signature::missing(job).unwrap_or_else(|| Outcome::failed(&page));
    }
    match &job.target {
        Target::Out(_) => Outcome::Done,
        Target::Bare(path) => match fs_err::rename(to, path) {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::failed(&Report(&TargetFault::new(path, error))),
        },
    }
}

fn begins_with(path: &Path, byte: u8) -> bool {
    let mut first = [0];
    let read = fs_err::File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == [byte]
}

/// pacman 6.0 can't ask for it. Missing it is no failure: pacman judges by its `SigLevel`.
fn download_signature(job: &Job, interruption: &Interruption) -> Outcome {
    let url = format!("{}.sig", job.url);
    let to = scratch_path(&job.target.signature());
    let patience = Patience::Usual;
    let get = Get { url: &url, to: &to, begin: Begin::Afresh, newer_than: None, noise: Noise::None, patience };
    let answer = tool::get(&get, interruption);
    let outcome = match answer {
        Ok(answer) if answer.is_success() => match signature::place_from(&to, job) {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::failed(&Report(&error)),
        },
        Ok(answer) => {
            if answer.is_not_found() {
                signature::remove_stale(job);
            }
            Outcome::Done
        }
        Err(ToolFault::Stopped(stop)) => {
            part::leave(job, job.target.path());
            Outcome::Stopped(stop)
        }
        Err(_) => Outcome::Done,
    };
    let _ = fs_err::remove_file(&to);
    outcome
}

/// pacman's copy of the database, when a *304 Not Modified* would do: it is there, and the user has not said `-yy`.
fn known_database(job: &Job) -> Option<PathBuf> {
    let installed = job.target.installed();
    let is_there = || fs_err::metadata(&installed).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
    let is_forced = || Parent::look().is_some_and(|parent| parent.refreshes_twice());
    (job.kind == Kind::Database && is_there() && !is_forced()).then_some(installed)
}
