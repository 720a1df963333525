//! `GET /v1/packages`.

use std::sync::Arc;
use std::vec::IntoIter;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures_util::Stream;
use futures_util::stream::unfold;
use p2p_api::{Package, PackageRecord, PackagesListed};
use p2p_seeder::Row;

use super::{line, ndjson, seconds};
use crate::api::Api;
use crate::services::Services;
use crate::sharing::{self, Sharing};

/// Packages in one piece of the answer, some 30 KiB: no more is ever made ahead of the reader.
const AT_ONCE: usize = 64;

/// Every package of the catalog. Everyone may read it: it names no package of a repository that is not shared, and nothing that
/// `pacman -Q` and `ls` would not tell everyone on this machine.
pub(in crate::api) async fn list(State(api): State<Api>) -> Response {
    ndjson(records(api.services))
}

/// What is still to be said.
struct Rest {
    services: Arc<Services>,
    sharing: Arc<Sharing>,
    rows: IntoIter<Arc<Row>>,
    listed: PackagesListed,
}

fn records(services: Arc<Services>) -> impl Stream<Item = Bytes> {
    let (sharing, rows) = (services.knowledge.last_sharing(), services.catalog.rows().into_iter());
    let rest = Rest { services, sharing, rows, listed: PackagesListed::default() };
    unfold(Some(rest), |rest| async move {
        let mut rest = rest?;
        let mut lines = Vec::new();
        for row in rest.rows.by_ref().take(AT_ONCE).filter(|row| !row.is_withdrawn()) {
            // Not shared any more, and about to leave the catalog.
            if rest.sharing.reach(&row.id, &row.repository) == sharing::Reach::Nobody {
                continue;
            }
            rest.listed.packages += 1;
            rest.listed.bytes += row.id.size;
            lines.extend_from_slice(&line(&PackageRecord::Package(Box::new(describe(
                &rest.services,
                &rest.sharing,
                &row,
            )))));
        }
        if rest.rows.len() > 0 {
            return Some((lines.into(), Some(rest)));
        }
        lines.extend_from_slice(&line(&PackageRecord::Done(rest.listed)));
        Some((lines.into(), None))
    })
}

fn describe(services: &Services, sharing: &Sharing, row: &Row) -> Package {
    let (file_name, info_hash) = (&row.id.file_name, row.info_hash());
    let activity = services.swarms.seeder().and_then(|seeder| seeder.activity(&info_hash));
    Package {
        file_name: file_name.to_string(),
        name: file_name.package_name().to_owned(),
        version: file_name.package_version().to_owned(),
        repository: row.repository.to_string(),
        size: row.id.size,
        sha256: row.id.sha256.to_string(),
        info_hash: info_hash.to_string(),
        path: row.path.to_string_lossy().into_owned(),
        place: services.place(&row.path),
        added: seconds(row.added),
        fetched: row.fetched().map(seconds),
        uploaded_bytes: activity.map_or(0, |activity| activity.uploaded_bytes),
        last_asked: activity.map(|activity| seconds(activity.last_asked)),
        reach: match sharing.reach(&row.id, &row.repository) {
            sharing::Reach::Public => p2p_api::Reach::Public,
            sharing::Reach::Lan => p2p_api::Reach::Lan,
            sharing::Reach::Nobody => p2p_api::Reach::Nobody,
        },
    }
}
