//! A package that has just been verified, on its way into the catalog.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use p2p_package::{Info, Metainfo};
use p2p_pacman::Known;
use p2p_seeder::{FileStamp, Row};

use crate::fetch::digests::hash_pieces;
use crate::services::Services;
use p2p_api::Report;

/// A verified file, as it was at that moment.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) path: Arc<Path>,
    pub(super) stamp: FileStamp,
    pub(super) known: Known,
    /// Where it was found.
    pub(super) metainfo: Option<Metainfo>,
}

impl Newcomer {
    /// Serves the package from now on, and says so.
    pub(super) fn offer(self, services: &Services, info: Info) {
        let info_hash = info.info_hash();
        // The trackers of another torrent of the same file would not know this one.
        let same = self.metainfo.filter(|metainfo| metainfo.info.info_hash() == info_hash);
        let trackers = same.map(|metainfo| metainfo.trackers).unwrap_or_default();
        let Known { id, repository, .. } = self.known;
        let row = Row::new(id, info, self.path.to_path_buf(), self.stamp, Arc::clone(&repository));
        let row = services.catalog.insert(row);
        // The configuration may have been read again since the fetch began, and before the row was there to be dropped.
        if !services.knowledge.is_shared(&repository) {
            return services.catalog.withdraw(&row);
        }
        services.catalog.touch(&row.info_hash(), SystemTime::now());
        services.offers.make(&services.discovery, info_hash, &trackers);
        services.store.grown_by(row.id.size);
    }

    /// The same once the pieces of a large package are hashed, while its client goes on.
    pub(super) fn offer_later(self, services: Arc<Services>) {
        tokio::task::spawn_blocking(move || {
            let name = self.known.id.file_name.clone();
            match hash_pieces(&self.path, self.known.id.size, name) {
                Ok(Some(info)) => self.offer(&services, info),
                Ok(None) => {
                    tracing::debug!(package = %self.known.id.file_name, "a package changed before it was seeded");
                }
                Err(error) => {
                    let error = Report(&error).to_string();
                    tracing::warn!(package = %self.known.id.file_name, error, "a package cannot be seeded");
                }
            }
        });
    }
}
