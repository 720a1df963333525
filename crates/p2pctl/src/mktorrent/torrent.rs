//! One package's torrent: whether it is there already, and otherwise one pass over the package.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err::File;
use p2p_package::{Hasher, Info, MAX_METAINFO_BYTES, Metainfo, PieceLength};

use super::address::{TrackerUrl, WebseedBase};
use super::package::{PackageFault, PackageFile, Reason, Stamp};
use super::progress::Progress;

/// Bytes in one read: large enough for any disk, small enough for one on each core.
const READ_BYTES: usize = 1024 * 1024;

/// What all torrents of one run have in common.
#[derive(Debug)]
pub(crate) struct Template {
    trackers: Vec<String>,
    webseeds: Vec<WebseedBase>,
}

/// What was done for a package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Made {
    Written,
    UpToDate,
}

impl Template {
    pub(crate) fn new(announce: &[TrackerUrl], webseeds: Vec<WebseedBase>) -> Self {
        Self { trackers: announce.iter().map(|url| url.as_str().to_owned()).collect(), webseeds }
    }

    fn fill(&self, info: Info) -> Vec<u8> {
        let webseeds = self.webseeds.iter().map(|base| base.url_of(info.file_name())).collect();
        Metainfo { info, trackers: self.trackers.clone(), webseeds }.encode()
    }
}

/// Sees to it that the package's torrent lies beside it.
pub(crate) fn make(package: &PackageFile, template: &Template, progress: &Progress) -> Result<Made, PackageFault> {
    let path = package.torrent_path();
    if is_up_to_date(&path, package, template).unwrap_or(false) {
        progress.advance(package.size());
        return Ok(Made::UpToDate);
    }
    let info = hashed(package, progress).map_err(|reason| package.fault(reason))?;
    write_whole(&path, &template.fill(info)).map_err(|error| package.fault(Reason::Write(error)))?;
    Ok(Made::Written)
}

/// Whether the file at `path` is newer than the package, and what we would write, its hashes taken on trust.
fn is_up_to_date(path: &Path, package: &PackageFile, template: &Template) -> io::Result<bool> {
    let file = File::open(path)?;
    let written = file.metadata()?;
    // A link that was set to another package is as new as the link.
    let link = Stamp::of(&fs_err::symlink_metadata(&package.path)?);
    if !package.stamp.is_older_than(&written) || !link.is_older_than(&written) {
        return Ok(false);
    }
    let mut text = Vec::new();
    file.take(MAX_METAINFO_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(Metainfo::read(&text).is_ok_and(|metainfo| {
        let info = metainfo.info;
        let is_ours = *info.file_name() == package.file_name
            && info.length() == package.size()
            && PieceLength::canonical(info.length()) == Some(info.piece_length());
        // Written again, it shows any other difference: a key too many, another tracker, another webseed.
        is_ours
            && template.fill(Info::canonical(package.file_name.clone(), info.length(), info.pieces().to_vec())) == text
    }))
}

fn hashed(package: &PackageFile, progress: &Progress) -> Result<Info, Reason> {
    let mut file = File::open(&package.path).map_err(Reason::Read)?;
    let before = Stamp::of(&file.metadata().map_err(Reason::Read)?);
    let mut hasher = Hasher::new(before.size).ok_or(Reason::Size)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(Reason::Read)?;
        if count == 0 || hasher.taken() > before.size {
            break;
        }
        hasher.update(&buffer[..count]);
        progress.advance(count as u64);
    }
    if Stamp::of(&file.metadata().map_err(Reason::Read)?) != before {
        return Err(Reason::Changed);
    }
    Ok(hasher.finish(package.file_name.clone()).ok_or(Reason::Changed)?.info)
}

/// Puts the file there at once, so that nobody ever reads half of it.
///
/// It is not synced: a torrent that a power failure has torn is found out, and written again, by the next run.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".torrent-").suffix(".part").tempfile_in(directory)?;
    file.write_all(bytes)?;
    // A mirror's web server must be able to read it.
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
