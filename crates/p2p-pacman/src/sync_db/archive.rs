//! The tar archive of a sync database: one directory `name-version/` with a file `desc` for each package.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use tar::{Archive, Entry, PaxExtensions};

use super::compression::decompressed;
use super::{MAX_BYTES, SyncDatabaseError};

/// The most bytes of one `desc`; the longest list of dependencies that we know of has 30 KB.
const MAX_DESC_BYTES: u64 = 4 * 1024 * 1024;
/// The most bytes of a header that brings a long path.
const MAX_PATH_BYTES: u64 = 64 * 1024;
/// A tar archive ends in blocks of this many zero bytes.
const BLOCK_BYTES: u64 = 512;

/// Calls `take` with the text of every `desc`, in the order of the archive.
pub(super) fn for_each_desc(
    file: impl BufRead,
    mut take: impl FnMut(&str) -> Result<(), SyncDatabaseError>,
) -> Result<(), SyncDatabaseError> {
    let meter = Meter::default();
    let reader = Metered { inner: decompressed(file)?, meter: meter.clone() };
    let mut archive = Archive::new(reader);
    read_entries(&mut archive, &mut take).map_err(|error| meter.judge(error))?;
    // To the very end: there the compressed formats keep their checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| meter.judge(Fault::Read(error)))?;
    if meter.zeros.get() < BLOCK_BYTES { Err(SyncDatabaseError::Truncated) } else { Ok(()) }
}

enum Fault {
    Read(io::Error),
    Taken(SyncDatabaseError),
}

fn read_entries(
    archive: &mut Archive<impl Read>,
    take: &mut impl FnMut(&str) -> Result<(), SyncDatabaseError>,
) -> Result<(), Fault> {
    let mut long_path = None;
    // Raw: the crate would otherwise read long paths of any length into memory.
    for entry in archive.entries().map_err(Fault::Read)?.raw(true) {
        let mut entry = entry.map_err(Fault::Read)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_local_extensions() {
            long_path = pax_path(&bounded(&mut entry, MAX_PATH_BYTES)?);
        } else if kind.is_gnu_longname() {
            long_path = Some(bounded(&mut entry, MAX_PATH_BYTES)?);
        } else {
            let path = long_path.take();
            if kind.is_file() && is_desc(path.as_deref().unwrap_or(&entry.path_bytes())) {
                let text = bounded(&mut entry, MAX_DESC_BYTES)?;
                take(&String::from_utf8_lossy(&text)).map_err(Fault::Taken)?;
            }
        }
    }
    Ok(())
}

fn bounded(entry: &mut Entry<'_, impl Read>, limit: u64) -> Result<Vec<u8>, Fault> {
    if entry.size() > limit {
        return Err(Fault::Taken(SyncDatabaseError::TooLarge));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(Fault::Read)?;
    if (bytes.len() as u64) < entry.size() { Err(Fault::Taken(SyncDatabaseError::Truncated)) } else { Ok(bytes) }
}

fn pax_path(records: &[u8]) -> Option<Vec<u8>> {
    let mut records = PaxExtensions::new(records).filter_map(Result::ok);
    records.find(|record| record.key_bytes() == b"path").map(|record| record.value_bytes().to_owned())
}

/// `name-version/desc`, perhaps with `./` before it.
fn is_desc(path: &[u8]) -> bool {
    path.strip_suffix(b"\0").unwrap_or(path).ends_with(b"/desc")
}

/// What a [`Metered`] reader has seen.
#[derive(Default, Clone)]
struct Meter {
    bytes: Rc<Cell<u64>>,
    /// How many zero bytes came last.
    zeros: Rc<Cell<u64>>,
}

impl Meter {
    fn judge(&self, fault: Fault) -> SyncDatabaseError {
        match fault {
            Fault::Taken(error) => error,
            Fault::Read(_) if self.bytes.get() > MAX_BYTES => SyncDatabaseError::TooLarge,
            Fault::Read(error) if error.kind() == io::ErrorKind::UnexpectedEof => SyncDatabaseError::Truncated,
            Fault::Read(error) => SyncDatabaseError::Read(error),
        }
    }
}

/// Counts, and ends in an error beyond [`MAX_BYTES`].
struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = self.meter.bytes.get() + count as u64;
        self.meter.bytes.set(bytes);
        if bytes > MAX_BYTES {
            return Err(io::Error::other("more bytes than a database has"));
        }
        let trailing = buffer[..count].iter().rev().take_while(|byte| **byte == 0).count();
        let before = if trailing == count { self.meter.zeros.get() } else { 0 };
        self.meter.zeros.set(before + trailing as u64);
        Ok(count)
    }
}
