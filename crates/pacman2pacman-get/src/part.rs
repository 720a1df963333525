//! The `.part` that an earlier run from a mirror has left, and that curl may continue.
//!
//! It is only ever a true prefix: the daemon's bytes never get into it (see `stage`). A *complete* one breaks pacman's
//! own downloader for good (6.0: "wrong or NULL argument passed"), so a failure always leaves it a byte short.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, access, statat};

use crate::job::{Job, Kind, Target};

/// Whether a download begins at the first byte or behind what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Afresh,
    AtTheEnd,
}

/// Gets the target ready to be written by curl. What can't be continued goes: a database changes under its name; a link
/// would be followed; a file of somebody else can't be written, but in our directory it can be replaced.
pub(crate) fn prepare(job: &Job) -> Begin {
    let (Target::Out(path), Kind::Package) = (&job.target, job.kind) else {
        discard(&job.target);
        return Begin::Afresh;
    };
    let is_ours = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1 && stat.st_size > 1
    });
    if is_ours && access(path, Access::WRITE_OK).is_ok() && shorten(path).is_ok() {
        return Begin::AtTheEnd;
    }
    discard(&job.target);
    Begin::Afresh
}

/// Leaves behind what the next run can continue, and nothing that looks complete.
pub(crate) fn leave(job: &Job, path: &Path) {
    if job.kind == Kind::Package && matches!(job.target, Target::Out(_)) && shorten(path).is_ok() {
        return;
    }
    // Where there is nothing, nothing is left.
    let _ = fs_err::remove_file(path);
}

/// Takes the last byte off. A prefix of a prefix is a prefix; if it was the whole file, one byte more makes it whole.
fn shorten(path: &Path) -> std::io::Result<()> {
    let file = fs_err::OpenOptions::new().write(true).open(path)?;
    match file.metadata()?.len() {
        0 | 1 => Err(std::io::Error::other("nothing would be left")),
        length => file.set_len(length - 1),
    }
}

/// Removes an old `%o`; pacman's own copy, in its final place, stays until there is a new one.
pub(crate) fn discard(target: &Target) {
    if let Target::Out(path) = target {
        // curl tells what is wrong if it can't be removed.
        let _ = fs_err::remove_file(path);
    }
}
