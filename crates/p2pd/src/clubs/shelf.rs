//! What neighbours may have of the catalog.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use fs_err::os::unix::fs::OpenOptionsExt;
use p2p_neighbours::{Asker, Shelf};
use p2p_package::Sha256;
use p2p_seeder::{Catalog, FileStamp, Row, Seeder};
use p2p_wire::{Holding, Kind, MAX_HAS_BYTES, What, Wishes};

use crate::knowledge::Knowledge;
use crate::sharing::Reach;

/// The catalog, as far as the rules of sharing let somebody see.
#[derive(Debug)]
pub(crate) struct CatalogShelf {
    catalog: Catalog,
    knowledge: Arc<Knowledge>,
    seeder: Seeder,
}

impl CatalogShelf {
    pub(crate) fn new(catalog: Catalog, knowledge: Arc<Knowledge>, seeder: Seeder) -> Self {
        Self { catalog, knowledge, seeder }
    }

    fn find(&self, id: &Sha256, asker: Asker) -> Option<Arc<Row>> {
        let row = self.catalog.by_sha256(id)?;
        let needed = match asker {
            Asker::Local => Reach::Lan,
            Asker::Remote => Reach::Public,
        };
        (self.knowledge.last_sharing().reach(&row.id, &row.repository) >= needed).then_some(row)
    }

    fn signature(&self, row: &Row) -> Option<Bytes> {
        let view = self.knowledge.view();
        let known = view.databases.lookup_in(&row.repository, &row.id.file_name)?;
        if known.id == row.id { known.signature.map(Bytes::from) } else { None }
    }
}

impl Shelf for CatalogShelf {
    fn look(&self, ids: &[Sha256], wishes: Wishes, asker: Asker) -> Vec<Option<Holding>> {
        let mut room = MAX_HAS_BYTES;
        let mut holding = |row: Arc<Row>| {
            let info = row.info.encoded();
            let fits = wishes.info && info.len() <= room;
            room -= if fits { info.len() } else { 0 };
            // A signature is in a database, which may have to be read: who wants one asks for it by itself.
            Holding { info: fits.then(|| Bytes::copy_from_slice(info)), signature: None }
        };
        ids.iter().map(|id| self.find(id, asker).map(&mut holding)).collect()
    }

    fn gives(&self, asker: Asker) -> bool {
        asker == Asker::Local || !self.seeder.is_paused()
    }

    fn read(&self, what: What, range: Range<u64>, asker: Asker) -> io::Result<Option<Bytes>> {
        let Some(row) = self.find(&what.id, asker) else { return Ok(None) };
        match what.kind {
            Kind::Package if range.start >= row.id.size => Ok(None),
            Kind::Package => {
                let bytes = read(&row, range.start..range.end.min(row.id.size))?;
                if bytes.is_none() {
                    self.catalog.withdraw(&row);
                }
                Ok(bytes)
            }
            Kind::Info => Ok(slice(row.info.encoded(), &range)),
            Kind::Signature => Ok(self.signature(&row).and_then(|bytes| slice(&bytes, &range))),
        }
    }
}

/// Bytes of the package; none where the file is not the one any more that was hashed.
fn read(row: &Row, range: Range<u64>) -> io::Result<Option<Bytes>> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = match fs_err::OpenOptions::new().read(true).custom_flags(no_link).open(&row.path) {
        Ok(file) => file.into_file(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if FileStamp::of_metadata(&file.metadata()?) != Some(row.stamp) {
        return Ok(None);
    }
    let length = range.end.saturating_sub(range.start);
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, range.start)?;
    // It may have been written to while we read.
    let is_unchanged = FileStamp::of_metadata(&file.metadata()?) == Some(row.stamp);
    Ok(is_unchanged.then(|| bytes.into()))
}

/// As many of these bytes as there are.
fn slice(bytes: &[u8], range: &Range<u64>) -> Option<Bytes> {
    let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(usize::try_from(range.start).ok()?..end).filter(|bytes| !bytes.is_empty()).map(Bytes::copy_from_slice)
}
