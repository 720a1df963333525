//! `POST /v1/fetches`: one file, streamed progress.

use std::convert::Infallible;
use std::pin::Pin;
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
    ErrorCode, Failed, FailureCode, FetchRecord, FetchRequest, Progress, RECORD_INTERVAL, Ready, SignatureFile,
};
use p2p_pacman::Request;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Api, refuse};
use crate::fetch::{Outcome, Snapshot};
use crate::services::Services;

/// Progress is told no more often than this: a person sees no more, and the client has a file to copy.
const BETWEEN_RECORDS: Duration = Duration::from_millis(50);

type Joining = Pin<Box<dyn Future<Output = Result<Waiting, Failed>> + Send>>;

/// A client's view of its fetch.
#[derive(Debug)]
struct Waiting {
    snapshots: watch::Receiver<Snapshot>,
    signature: Option<watch::Receiver<Snapshot>>,
    /// What the last record said.
    told: Progress,
    /// The rewinds that it took into account.
    rewinds: u32,
}

/// What the answer's stream does next.
enum Step {
    /// Says at once that somebody is there, while databases may have to be read.
    Greet(Joining),
    Join(Joining),
    Wait(Waiting, Instant),
    End,
}

/// Begins or joins a fetch.
pub(super) async fn create(State(api): State<Api>, request: Result<Json<FetchRequest>, JsonRejection>) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(rejection) if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => {
            return refuse(ErrorCode::TooLarge, "the request is too large", None);
        }
        Err(rejection) => return refuse(ErrorCode::BadRequest, &rejection.body_text(), None),
    };
    match Request::from_url(&request.url) {
        Ok(target) => {
            let joining = Box::pin(join(api.services, target, request));
            let body = Body::from_stream(records(Step::Greet(joining)));
            ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(error) => refuse(ErrorCode::BadRequest, &crate::report::Report(&error).to_string(), None),
    }
}

async fn join(services: Arc<Services>, target: Request, request: FetchRequest) -> Result<Waiting, Failed> {
    let signature = if request.with_signature { signature_of(&target) } else { None };
    let busy =
        |error: crate::fetch::TooBusy| Failed { code: FailureCode::Internal, message: error.to_string(), hint: None };
    let snapshots = services.fetches.join(&services, target).await.map_err(busy)?;
    let signature = match signature {
        Some(signature) => services.fetches.join(&services, signature).await.ok(),
        None => None,
    };
    Ok(Waiting { snapshots, signature, told: Progress::default(), rewinds: 0 })
}

fn signature_of(target: &Request) -> Option<Request> {
    let mut url = target.url.clone();
    url.set_path(&format!("{}.sig", url.path()));
    Request::from_url(url.as_str()).ok()
}

fn records(first: Step) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(first, |step| async move {
        let (record, next) = match step {
            Step::Greet(joining) => (FetchRecord::Progress(Progress::default()), Step::Join(joining)),
            Step::Join(joining) => first_of(joining).await,
            Step::Wait(waiting, not_before) => wait(waiting, not_before).await,
            Step::End => return None,
        };
        let mut line = serde_json::to_vec(&record).expect("a record is JSON");
        line.push(b'\n');
        Some((Ok(Bytes::from(line)), next))
    })
}

async fn first_of(mut joining: Joining) -> (FetchRecord, Step) {
    match tokio::time::timeout(RECORD_INTERVAL, &mut joining).await {
        Ok(Ok(waiting)) => wait(waiting, Instant::now()).await,
        Ok(Err(failed)) => (FetchRecord::Failed(failed), Step::End),
        Err(_) => (FetchRecord::Progress(Progress::default()), Step::Join(joining)),
    }
}

/// The next record: when something has changed, but not too often; when nothing has, still often enough.
async fn wait(mut waiting: Waiting, not_before: Instant) -> (FetchRecord, Step) {
    let ended = waiting.snapshots.wait_for(|snapshot| snapshot.outcome.is_some());
    let _ = tokio::time::timeout_at(not_before, ended).await.is_ok();
    let told = std::mem::take(&mut waiting.told);
    let news = waiting.snapshots.wait_for(|snapshot| snapshot.outcome.is_some() || progress(snapshot) != told);
    let lost = matches!(tokio::time::timeout(RECORD_INTERVAL, news).await, Ok(Err(_)));
    let mut snapshot = waiting.snapshots.borrow().clone();
    if waiting.has_to_rewind(&snapshot, &told) {
        // Even where more is good by now: what was copied beyond this may not be what is there now.
        snapshot.contiguous = snapshot.contiguous.min(snapshot.rewound_to);
        snapshot.outcome = None;
    }
    waiting.rewinds = snapshot.rewinds;
    match snapshot.outcome {
        Some(Outcome::Ready(ready)) => (FetchRecord::Ready(with_signature(ready, waiting.signature).await), Step::End),
        Some(Outcome::Failed(failed)) => (FetchRecord::Failed(failed), Step::End),
        Some(Outcome::Abandoned) => (FetchRecord::Failed(gone()), Step::End),
        None if lost => (FetchRecord::Failed(gone()), Step::End),
        None => {
            waiting.told = progress(&snapshot);
            let record = FetchRecord::Progress(waiting.told.clone());
            (record, Step::Wait(waiting, Instant::now() + BETWEEN_RECORDS))
        }
    }
}

impl Waiting {
    /// Whether bytes that the client was told to copy have been written anew since.
    fn has_to_rewind(&self, snapshot: &Snapshot, told: &Progress) -> bool {
        let same_file = snapshot.source.as_deref() == told.source.as_deref();
        same_file && snapshot.rewinds != self.rewinds && snapshot.rewound_to < told.contiguous
    }
}

fn progress(snapshot: &Snapshot) -> Progress {
    Progress {
        done: snapshot.done,
        total: snapshot.total,
        from_peers: snapshot.from_peers,
        source: snapshot.source.as_ref().map(|path| path.to_path_buf()),
        contiguous: snapshot.contiguous,
        transaction: None,
    }
}

/// Waits for the signature, which is on its way as long as the file was; a missing one is no failure.
async fn with_signature(mut ready: Ready, signature: Option<watch::Receiver<Snapshot>>) -> Ready {
    if let Some(mut signature) = signature {
        let ended = signature.wait_for(|snapshot| snapshot.outcome.is_some());
        if let Ok(Ok(snapshot)) = tokio::time::timeout(RECORD_INTERVAL, ended).await
            && let Some(Outcome::Ready(file)) = &snapshot.outcome
        {
            ready.signature = Some(SignatureFile { path: file.path.clone(), size: file.size });
        }
    }
    ready
}

fn gone() -> Failed {
    let message = "the fetch has ended without a result".to_owned();
    Failed { code: FailureCode::Internal, message, hint: None }
}
