//! `POST /v1/transactions` and `POST /v1/prefetches`: files that are fetched before they are asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::unfold;
use p2p_api::{
    ErrorCode, MAX_TRANSACTION_FILES, PrefetchFile, PrefetchRecord, PrefetchRequest, TransactionAccepted,
    TransactionRequest,
};
use p2p_package::PackageId;
use p2p_pacman::{Kind, Request};

use super::{Api, refuse, refuse_body};
use crate::fetch::Wanted;
use crate::services::Services;
use crate::transactions::{Ahead, Ordered};

/// How often a prefetch tells how far it is.
const BETWEEN_RECORDS: Duration = Duration::from_millis(200);

/// Takes the files of a pacman run.
pub(super) async fn list(State(api): State<Api>, request: Result<Json<TransactionRequest>, JsonRejection>) -> Response {
    let list = match request {
        Ok(Json(list)) => list,
        Err(rejection) => return refuse_body(&rejection),
    };
    match api.services.transactions.list(&api.services, list).await {
        Ok(files) => Json(TransactionAccepted { files }).into_response(),
        Err(fault) => refuse(ErrorCode::BadRequest, &fault.to_string(), None),
    }
}

/// Fetches files ahead as long as the client listens.
pub(super) async fn prefetch(
    State(api): State<Api>,
    request: Result<Json<PrefetchRequest>, JsonRejection>,
) -> Response {
    let files = match request {
        Ok(Json(request)) if request.files.len() <= MAX_TRANSACTION_FILES => request.files,
        Ok(_) => {
            let message = format!("a prefetch has {MAX_TRANSACTION_FILES} files at most");
            return refuse(ErrorCode::TooLarge, &message, None);
        }
        Err(rejection) => return refuse_body(&rejection),
    };
    let mut ordered = Vec::new();
    for file in files {
        match order(&file) {
            Ok(file) => ordered.push(file),
            Err(reason) => return refuse(ErrorCode::BadRequest, &format!("{}: {reason}", file.url), None),
        }
    }
    let body = Body::from_stream(records(api.services, ordered));
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn order(file: &PrefetchFile) -> Result<Ordered, String> {
    let request = Request::from_url(&file.url).map_err(|error| p2p_api::Report(&error).to_string())?;
    let claim = match (&file.package, &request.kind) {
        (None, _) => None,
        (Some(claim), Kind::Package(file_name)) => {
            let sha256 = claim.sha256.parse().map_err(|_| "the SHA-256 is not 64 hexadecimal digits".to_owned())?;
            Some(PackageId { sha256, file_name: file_name.clone(), size: claim.size })
        }
        (Some(_), _) => return Err("this is no package's name".to_owned()),
    };
    Ok(Ordered { wanted: Wanted { request, force: false, claim }, with_signature: false })
}

/// Where the stream of a prefetch is.
enum Step {
    Order(Vec<Ordered>),
    Wait,
    Complain(std::vec::IntoIter<(String, String)>),
    End,
}

fn records(services: Arc<Services>, files: Vec<Ordered>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let ahead = Ahead::new(&services);
    unfold((services, ahead, Step::Order(files)), |(services, ahead, step)| async move {
        let (record, next) = next_record(&services, &ahead, step).await?;
        let mut line = serde_json::to_vec(&record).expect("a record is JSON");
        line.push(b'\n');
        Some((Ok(Bytes::from(line)), (services, ahead, next)))
    })
}

async fn next_record(services: &Arc<Services>, ahead: &Ahead, step: Step) -> Option<(PrefetchRecord, Step)> {
    let mut failures = match step {
        Step::Order(files) => {
            ahead.order(services, files).await;
            return Some((PrefetchRecord::Progress(ahead.progress()), Step::Wait));
        }
        Step::Wait => {
            tokio::select! {
                () = ahead.finished() => ahead.failures().into_iter(),
                () = services.stopping.cancelled() => return None,
                () = tokio::time::sleep(BETWEEN_RECORDS) => {
                    return Some((PrefetchRecord::Progress(ahead.progress()), Step::Wait));
                }
            }
        }
        Step::Complain(failures) => failures,
        Step::End => return None,
    };
    match failures.next() {
        Some((url, message)) => Some((PrefetchRecord::Failed { url, message }, Step::Complain(failures))),
        None => Some((PrefetchRecord::Done(ahead.progress()), Step::End)),
    }
}
