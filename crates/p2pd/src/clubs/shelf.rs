//! What neighbours may have of the catalog.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use fs_err::os::unix::fs::OpenOptionsExt;
use p2p_neighbours::{Asker, DatabaseClaim, Pointer, Shelf, Traffic};
use p2p_package::{InfoHash, Sha256};
use p2p_seeder::{Catalog, FileStamp, Row, Seeder};
use p2p_wire::{Holding, Kind, MAX_HAS_BYTES, MAX_NEWEST, What, Wishes};

use crate::editions::Editions;
use crate::fetch::Whereabouts;
use crate::keyring::read_signature;
use crate::knowledge::Knowledge;
use crate::publications::Publications;
use crate::sharing::Reach;

/// The catalog, as far as the rules of sharing let somebody see.
#[derive(Debug)]
pub(crate) struct CatalogShelf {
    catalog: Catalog,
    knowledge: Arc<Knowledge>,
    seeder: Seeder,
    editions: Arc<Editions>,
    publications: Arc<Publications>,
    whereabouts: Arc<Whereabouts>,
}

impl CatalogShelf {
    pub(crate) fn new(
        catalog: Catalog,
        knowledge: Arc<Knowledge>,
        seeder: Seeder,
        (editions, publications, whereabouts): (Arc<Editions>, Arc<Publications>, Arc<Whereabouts>),
    ) -> Self {
        Self { catalog, knowledge, seeder, editions, publications, whereabouts }
    }

    fn find(&self, id: &Sha256, asker: Asker) -> Option<Arc<Row>> {
        let row = self.catalog.by_sha256(id)?;
        let needed = match asker {
            Asker::Local => Reach::Lan,
            Asker::Remote => Reach::Public,
        };
        (self.knowledge.last_sharing().reach(&row.id, &row.repository) >= needed).then_some(row)
    }

    /// The one of the sync database, or else the one that pacman keeps beside the package in its cache.
    fn signature(&self, row: &Row) -> Option<Bytes> {
        let view = self.knowledge.view();
        let known = view.databases.lookup_in(&row.repository, &row.id.file_name).filter(|known| known.id == row.id);
        let beside = || read_signature(Path::new(&format!("{}.sig", row.path.display())));
        known.and_then(|known| known.signature).or_else(beside).map(Bytes::from)
    }
}

impl Shelf for CatalogShelf {
    /// Superseded packages tell who is unpatched: a database that was replaced a moment ago counts for strangers.
    fn refresh(&self, asker: Asker) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let knowledge = Arc::clone(&self.knowledge);
        Box::pin(async move {
            if asker == Asker::Remote {
                knowledge.recent_sharing().await;
            }
        })
    }

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

    fn is_coming(&self, id: &Sha256, _asker: Asker) -> bool {
        // It is noted only where everybody may hear of it.
        self.whereabouts.is_coming(id)
    }

    fn recent(&self, club: InfoHash, _asker: Asker) -> (Vec<DatabaseClaim>, Vec<Pointer>) {
        let databases = told(self.editions.claims(club), self.publications.databases(&club));
        (databases, self.publications.pointers(&club))
    }

    fn gives(&self, traffic: Traffic) -> bool {
        traffic == Traffic::Unlimited || !self.seeder.is_paused()
    }

    fn read(&self, what: What, range: Range<u64>, asker: Asker) -> io::Result<Option<Bytes>> {
        if what.kind == Kind::Index {
            return self.publications.read(&what.id, range);
        }
        if what.kind == Kind::Database {
            return match self.editions.read(&what.id, &range)? {
                Some(bytes) => Ok(Some(bytes)),
                None => self.publications.read(&what.id, range),
            };
        }
        let Some(row) = self.find(&what.id, asker) else { return Ok(None) };
        match what.kind {
            Kind::Database | Kind::Index => Ok(None),
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

/// Editions first, so that no publication takes their place; one that was published, too, with the edition's signature.
fn told(editions: Vec<DatabaseClaim>, published: Vec<DatabaseClaim>) -> Vec<DatabaseClaim> {
    let mut databases = editions;
    for claim in published {
        if databases.iter().all(|other| other.id != claim.id) {
            databases.push(claim);
        }
    }
    databases.truncate(MAX_NEWEST);
    databases
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_here_never_takes_the_place_of_the_signed_database() {
        let claim = |name: u8, signature: &'static [u8]| DatabaseClaim {
            id: Sha256::of(&[name]),
            length: 1,
            signature: Bytes::from_static(signature),
        };
        let published: Vec<DatabaseClaim> = (0..6).map(|name| claim(name, b"")).collect();
        let ids = |told: &[DatabaseClaim]| told.iter().map(|claim| claim.id).collect::<Vec<_>>();
        let expected = [9, 0, 1, 2].map(|name| Sha256::of(&[name]));
        assert_eq!(ids(&told(vec![claim(9, b"signed")], published.clone())), expected);
        let both = told(vec![claim(1, b"signed")], published);
        assert_eq!(both[0], claim(1, b"signed"));
        assert_eq!(ids(&both), [1, 0, 2, 3].map(|name| Sha256::of(&[name])));
    }
}
