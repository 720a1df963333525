//! `POST /v1/packages/forget`.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use futures_util::stream;
use p2p_api::{ErrorCode, ForgetDone, ForgetRecord, ForgottenPackage, Names, NamesRequest, Place, Report, UnknownName};
use p2p_seeder::Row;

use super::{choose, line, names, ndjson};
use crate::api::{Api, refuse};
use crate::fetch::Store;
use crate::services::Services;
use crate::tasks;

/// Takes packages out of the catalog, and has the scan leave them alone.
pub(in crate::api) async fn forget(
    State(api): State<Api>,
    request: Result<Json<NamesRequest>, JsonRejection>,
) -> Response {
    let names = match names(request) {
        Ok(names) if names.is_all() => {
            return refuse(ErrorCode::BadRequest, "no package is named", Some("the pattern * means all of them"));
        }
        Ok(names) => names,
        Err(refusal) => return *refusal,
    };
    let services = Arc::clone(&api.services);
    let forgotten = tokio::task::spawn_blocking(move || forget_all(&services, names)).await;
    match forgotten.expect("forgetting does not panic") {
        Ok(records) => ndjson(stream::iter(records.into_iter().map(|record| line(&record)))),
        Err(error) => {
            let message = format!("what is to be forgotten can't be remembered: {}", Report(&error));
            refuse(ErrorCode::Unavailable, &message, None)
        }
    }
}

fn forget_all(services: &Services, names: Names) -> io::Result<Vec<ForgetRecord>> {
    let chosen = choose(services, names);
    // First, so that a scan that goes on meanwhile does not take them in again.
    services.forgotten.add(chosen.rows.iter().map(|row| row.id.sha256))?;
    let mut done = ForgetDone::default();
    let unknown = chosen.unknown.into_iter().map(|name| ForgetRecord::Unknown(UnknownName { name }));
    let mut records: Vec<_> = unknown.collect();
    for row in &chosen.rows {
        let package = forget_one(services, row);
        done.packages += 1;
        done.freed_bytes += if package.removed { row.id.size } else { 0 };
        records.push(ForgetRecord::Forgotten(package));
    }
    services.catalog.flush();
    tasks::review_sharing(services);
    records.push(ForgetRecord::Done(done));
    Ok(records)
}

fn forget_one(services: &Services, row: &Arc<Row>) -> ForgottenPackage {
    tracing::info!(package = %row.id.file_name, "package forgotten");
    services.catalog.withdraw(row);
    let place = services.place(&row.path);
    let removed = place == Place::Store && remove(services, row);
    ForgottenPackage {
        file_name: row.id.file_name.to_string(),
        path: row.path.to_string_lossy().into_owned(),
        place,
        removed,
    }
}

/// Removes the store's copy; later, where a client has been told of it and may be about to open it.
fn remove(services: &Services, row: &Row) -> bool {
    if services.is_in_use(&row.path) {
        services.forgotten.leave(&row.path, row.id.sha256);
        return false;
    }
    Store::discard(&row.path);
    !row.path.exists()
}
