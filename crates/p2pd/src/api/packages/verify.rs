//! `POST /v1/packages/verify`.

use std::sync::Arc;
use std::vec::IntoIter;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use futures_util::Stream;
use futures_util::stream::unfold;
use p2p_api::{ErrorCode, NamesRequest, Report, UnknownName, VerifyRecord};

use super::{BETWEEN_RECORDS, choose, line, names, ndjson};
use crate::api::{Api, refuse};
use crate::verification::{Verification, VerificationFault};

/// Reads packages again as long as the client listens.
pub(in crate::api) async fn verify(
    State(api): State<Api>,
    request: Result<Json<NamesRequest>, JsonRejection>,
) -> Response {
    let names = match names(request) {
        Ok(names) => names,
        Err(refusal) => return *refusal,
    };
    let services = Arc::clone(&api.services);
    let chosen = tokio::task::spawn_blocking(move || choose(&services, names)).await.expect("choosing does not panic");
    match api.services.verifications.begin(&api.services, &chosen.rows) {
        Ok(verification) => ndjson(records(chosen.unknown, verification)),
        Err(fault @ VerificationFault::Busy) => {
            refuse(ErrorCode::TooBusy, &fault.to_string(), Some("wait for its end, or interrupt it"))
        }
        Err(fault @ VerificationFault::Thread(_)) => refuse(ErrorCode::Unavailable, &Report(&fault).to_string(), None),
    }
}

fn records(unknown: Vec<String>, verification: Verification) -> impl Stream<Item = Bytes> {
    unfold((unknown.into_iter(), verification), |(mut unknown, mut verification)| async move {
        let record = next_record(&mut unknown, &mut verification).await?;
        Some((line(&record), (unknown, verification)))
    })
}

async fn next_record(unknown: &mut IntoIter<String>, verification: &mut Verification) -> Option<VerifyRecord> {
    if let Some(name) = unknown.next() {
        return Some(VerifyRecord::Unknown(UnknownName { name }));
    }
    tokio::select! {
        biased;
        record = verification.records.recv() => record,
        () = tokio::time::sleep(BETWEEN_RECORDS) => {
            Some(VerifyRecord::Progress(verification.progress.borrow().clone()))
        }
    }
}
