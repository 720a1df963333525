//! `POST /v1/rescan`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use futures_util::stream::{self, unfold};
use futures_util::{FutureExt as _, Stream};
use p2p_api::{ErrorCode, Report, RescanDone, RescanProgress, RescanRecord, RescanRequest};
use p2p_seeder::ScanProgress;

use super::{BETWEEN_RECORDS, line, ndjson};
use crate::api::{Api, refuse, refuse_body};
use crate::services::Services;

/// Has the cache directories and the store looked at now.
pub(in crate::api) async fn rescan(
    State(api): State<Api>,
    request: Result<Json<RescanRequest>, JsonRejection>,
) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return refuse_body(&rejection),
    };
    if request.all {
        let services = Arc::clone(&api.services);
        let cleared = tokio::task::spawn_blocking(move || services.forgotten.clear()).await;
        if let Err(error) = cleared.expect("clearing does not panic") {
            let message = format!("what was forgotten stays so: {}", Report(&error));
            return refuse(ErrorCode::Unavailable, &message, None);
        }
    }
    if request.wait {
        return ndjson(records(api.services));
    }
    api.services.scan.nudge();
    ndjson(stream::iter([line(&RescanRecord::Asked)]))
}

fn records(services: Arc<Services>) -> impl Stream<Item = Bytes> {
    let before = *services.scan.progress().borrow();
    let scanning = Arc::clone(&services);
    let scan = async move { scanning.scan.rescan().await }.boxed();
    unfold(Some(scan), move |scan| {
        let services = Arc::clone(&services);
        async move {
            let mut scan = scan?;
            tokio::select! {
                () = &mut scan => Some((line(&RescanRecord::Done(done(&services, &before))), None)),
                () = services.stopping.cancelled() => None,
                () = tokio::time::sleep(BETWEEN_RECORDS) => {
                    let progress = progress(&services, &before);
                    Some((line(&RescanRecord::Progress(progress)), Some(scan)))
                }
            }
        }
    })
}

fn progress(services: &Services, before: &ScanProgress) -> RescanProgress {
    let now = *services.scan.progress().borrow();
    RescanProgress {
        waiting: now.waiting,
        hashed: now.hashed.saturating_sub(before.hashed),
        hashed_bytes: now.hashed_bytes.saturating_sub(before.hashed_bytes),
    }
}

fn done(services: &Services, before: &ScanProgress) -> RescanDone {
    let RescanProgress { hashed, hashed_bytes, .. } = progress(services, before);
    let (totals, now) = (services.catalog.totals(), *services.scan.progress().borrow());
    RescanDone {
        hashed,
        hashed_bytes,
        packages: totals.packages,
        bytes: totals.bytes,
        wrong: now.mismatched,
        unreadable: now.unreadable,
        unreadable_directories: now.unreadable_dirs,
    }
}
