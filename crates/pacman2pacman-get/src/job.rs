//! What pacman wants: the URL, what kind of file it names, and where the file goes.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, statat};
use thiserror::Error;

use crate::options::Options;

/// pacman 6.0 hands packages and databases to `XferCommand` and never asks for their signatures.
const ASKS_FOR_NO_SIGNATURES: &str = "pacman/6.0";

/// pacman sets this for `XferCommand` unless the user has.
const USER_AGENT_VARIABLE: &str = "HTTP_USER_AGENT";

/// One file to get.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) scheme: Scheme,
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    /// Whether the signature is to be placed beside the file without being asked for.
    pub(crate) with_signature: bool,
}

/// Who can fetch a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// The daemon, and curl.
    Http,
    /// Ourselves: the daemon may not be able to read it.
    File,
    /// curl alone.
    Other,
}

/// What kind of file a URL names. It decides what may be resumed, and what an answer without bytes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Never changes under its name: may be resumed.
    Package,
    /// `core.db`, `core.files`: changes under its name, is never resumed.
    Database,
    /// `core.db.sig`: most repositories have none.
    DatabaseSignature,
    /// `a-1-1-any.pkg.tar.zst.sig`.
    PackageSignature,
    /// Anything else.
    Other,
}

/// Where the file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `%o`: pacman renames it once we have succeeded.
    Out(PathBuf),
    /// No `%o`: the final name, in the current directory.
    Bare(PathBuf),
}

/// What can't be fetched at all.
#[derive(Debug, Error)]
pub(crate) enum JobError {
    #[error("{0} is not a URL")]
    NotUrl(String),
    #[error("{0} does not name a file")]
    NoFileName(String),
    #[error("{} is not a regular file: it is left alone", .0.display())]
    NotRegular(PathBuf),
}

impl JobError {
    /// Whether the command line is wrong, and not what lies at the target.
    pub(crate) const fn is_misuse(&self) -> bool {
        matches!(self, Self::NotUrl(_) | Self::NoFileName(_))
    }
}

impl Job {
    /// Understands the command line, the environment and what lies at the target.
    pub(crate) fn new(options: &Options) -> Result<Self, JobError> {
        let url = options.url.clone();
        let scheme = Scheme::of(&url).ok_or_else(|| JobError::NotUrl(url.clone()))?;
        let kind = Kind::of(base_name(&url));
        let target = match &options.out {
            Some(out) => Target::Out(out.clone()),
            None => Target::bare(base_name(&url)).ok_or_else(|| JobError::NoFileName(url.clone()))?,
        };
        target.check()?;
        let agent = std::env::var_os(USER_AGENT_VARIABLE).unwrap_or_default();
        let with_signature = matches!(kind, Kind::Package | Kind::Database)
            && agent.as_encoded_bytes().starts_with(ASKS_FOR_NO_SIGNATURES.as_bytes());
        Ok(Self { url, scheme, kind, target, with_signature })
    }

    /// The last part of the URL, as pacman sees it: a query belongs to it.
    pub(crate) fn file_name(&self) -> &str {
        base_name(&self.url)
    }
}

impl Scheme {
    fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        match scheme.to_ascii_lowercase().as_str() {
            _ if rest.is_empty() => None,
            "http" | "https" => Some(Self::Http),
            "file" => Some(Self::File),
            _ => Some(Self::Other),
        }
    }
}

impl Kind {
    fn of(file_name: &str) -> Self {
        let path = file_name.split(['?', '#']).next().unwrap_or_default();
        let unsigned = path.strip_suffix(".sig");
        let is_signature = unsigned.is_some();
        let name = unsigned.unwrap_or(path);
        let is_database = matches!(name.rsplit_once('.'), Some((_, "db" | "files")));
        match (name.contains(".pkg.tar"), is_database, is_signature) {
            (true, _, false) => Self::Package,
            (true, _, true) => Self::PackageSignature,
            (false, true, false) => Self::Database,
            (false, true, true) => Self::DatabaseSignature,
            (false, false, _) => Self::Other,
        }
    }
}

impl Target {
    fn bare(name: &str) -> Option<Self> {
        (!matches!(name, "" | "." | "..")).then(|| Self::Bare(name.into()))
    }

    /// The file that must be there in the end.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Out(path) | Self::Bare(path) => path,
        }
    }

    /// The directory that it lies in.
    pub(crate) fn directory(&self) -> &Path {
        match self.path().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// What pacman will make of it: the same without `.part`.
    fn final_name(&self) -> OsString {
        let name = self.path().file_name().unwrap_or_default();
        match self {
            Self::Out(_) => without_part(name).unwrap_or(name).to_owned(),
            Self::Bare(_) => name.to_owned(),
        }
    }

    /// Where the signature goes: beside the final file.
    pub(crate) fn signature(&self) -> PathBuf {
        let mut name = self.final_name();
        name.push(".sig");
        self.path().with_file_name(name)
    }

    /// Whether it lies in a directory that pacman 7 made for this download: `download-` and six letters. There an
    /// empty file means *nothing new* (libalpm's `finalize_download_file`); anywhere else it would replace a database.
    pub(crate) fn is_in_download_directory(&self) -> bool {
        let Self::Out(path) = self else { return false };
        let name = path.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or_default();
        name.strip_prefix("download-")
            .is_some_and(|random| random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }

    /// The directory in which pacman keeps the files of this kind.
    pub(crate) fn home(&self) -> PathBuf {
        let directory = self.directory();
        match directory.parent() {
            Some(parent) if self.is_in_download_directory() => parent.to_owned(),
            _ => directory.to_owned(),
        }
    }

    /// The copy that pacman has now, whether or not there is one.
    pub(crate) fn installed(&self) -> PathBuf {
        self.home().join(self.final_name())
    }

    /// Refuses what must not be replaced by a file: a directory, a device, somebody's link. A link with pacman's own
    /// `.part` may be: nobody means to keep that.
    fn check(&self) -> Result<(), JobError> {
        let found = match statat(CWD, self.path(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode),
            // It is not there; for anything else the attempt to write tells what is wrong.
            Err(_) => return Ok(()),
        };
        let is_part = self.path().file_name().and_then(without_part).is_some();
        match found {
            FileType::RegularFile => Ok(()),
            FileType::Symlink if is_part => Ok(()),
            FileType::Symlink
            | FileType::Directory
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(JobError::NotRegular(self.path().to_owned())),
        }
    }
}

fn base_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn without_part(name: &OsStr) -> Option<&OsStr> {
    let path = Path::new(name);
    if path.extension()? == "part" { path.file_stem() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(path: &str) -> Target {
        Target::Out(path.into())
    }

    #[test]
    fn the_name_tells_the_kind() {
        for (name, kind) in [
            ("a-1:2.0+r5-1-any.pkg.tar.zst", Kind::Package),
            ("a-1-1-any.pkg.tar", Kind::Package),
            ("a-1-1-any.pkg.tar.zst.sig", Kind::PackageSignature),
            ("a-1-1-any.pkg.tar.zst?token=1", Kind::Package),
            ("core.db", Kind::Database),
            ("core.files", Kind::Database),
            ("core.db.sig", Kind::DatabaseSignature),
            ("core.files.sig", Kind::DatabaseSignature),
            ("index.html", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn the_scheme_tells_who_can_fetch() {
        assert_eq!(Scheme::of("http://user:pw@m:81/a?b#c"), Some(Scheme::Http));
        assert_eq!(Scheme::of("HTTPS://m/a"), Some(Scheme::Http));
        assert_eq!(Scheme::of("file:///srv/a"), Some(Scheme::File));
        assert_eq!(Scheme::of("ftp://m/a"), Some(Scheme::Other));
        assert_eq!(Scheme::of("http://"), None);
        assert_eq!(Scheme::of("/srv/a"), None);
    }

    #[test]
    fn the_signature_goes_beside_the_final_file() {
        assert_eq!(out("/c/a.pkg.tar.zst.part").signature(), Path::new("/c/a.pkg.tar.zst.sig"));
        assert_eq!(out("/c/a.pkg.tar.zst").signature(), Path::new("/c/a.pkg.tar.zst.sig"));
        assert_eq!(Target::Bare("core.db".into()).signature(), Path::new("core.db.sig"));
    }

    #[test]
    fn what_is_installed_lies_in_the_same_directory_or_above_a_download_directory() {
        assert_eq!(out("/s/core.db.part").installed(), Path::new("/s/core.db"));
        assert_eq!(out("/s/download-aB3xYz/core.db.part").installed(), Path::new("/s/core.db"));
        assert_eq!(out("/s/download-aB3xY/core.db.part").installed(), Path::new("/s/download-aB3xY/core.db"));
        assert_eq!(Target::Bare("core.db".into()).installed(), Path::new("./core.db"));
    }

    #[test]
    fn a_name_that_is_no_file_is_refused() {
        assert_eq!(Target::bare(""), None);
        assert_eq!(Target::bare(".."), None);
        assert_eq!(base_name("http://m/core/a.pkg.tar.zst?x=1"), "a.pkg.tar.zst?x=1");
    }

    #[test]
    fn devices_directories_and_links_are_left_alone_but_a_part_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let link = |name: &str| {
            let path = directory.path().join(name);
            std::os::unix::fs::symlink("/nonexistent", &path).unwrap();
            Target::Out(path)
        };
        assert!(out("/dev/null").check().is_err());
        assert!(out("/").check().is_err());
        assert!(link("a.pkg.tar.zst").check().is_err());
        assert!(link("a.pkg.tar.zst.part").check().is_ok());
        assert!(Target::Out(directory.path().join("fresh")).check().is_ok());
    }
}
