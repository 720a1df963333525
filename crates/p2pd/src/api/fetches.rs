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
use futures_util::stream::unfold;
use futures_util::{FutureExt, Stream};
use p2p_api::{
    ErrorCode, Failed, FailureCode, FetchRecord, FetchRequest, Progress, RECORD_INTERVAL, Ready, SignatureFile,
};
use p2p_pacman::Request;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Api, refuse, refuse_body};
use crate::fetch::{Outcome, Snapshot, TooBusy, Wanted};
use crate::services::Services;
use crate::transactions::Visit;

/// Progress is told no more often than this: a person sees no more, and the client has a file to copy.
const BETWEEN_RECORDS: Duration = Duration::from_millis(50);

type Joining = Pin<Box<dyn Future<Output = Result<Waiting, Failed>> + Send>>;

/// A client's view of its fetch.
#[derive(Debug)]
struct Waiting {
    snapshots: watch::Receiver<Snapshot>,
    signature: Option<watch::Receiver<Snapshot>>,
    /// The pacman run that it belongs to.
    visit: Option<Visit>,
    file_name: String,
    /// What the last record said.
    told: Progress,
    /// The rewinds that it took into account.
    rewinds: u32,
}

/// What the answer's stream does next.
enum Step {
    /// Says at once that somebody is there, while databases may have to be read.
    Greet(Joining, Learn),
    /// Asks the client for the rest of its transaction.
    Ask(Joining),
    Join(Joining),
    Wait(Waiting, Instant),
    /// The file is there, its signature is on its way.
    Sign(Ready, watch::Receiver<Snapshot>, Waiting),
    End,
}

/// Whether the client is to tell what else its pacman will ask for.
type Learn = bool;

/// Begins or joins a fetch.
pub(super) async fn create(State(api): State<Api>, request: Result<Json<FetchRequest>, JsonRejection>) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(rejection) => return refuse_body(&rejection),
    };
    match Request::from_url(&request.url) {
        Ok(target) => {
            let entered = request.transaction.and_then(|id| api.services.transactions.enter(&api.services, id));
            let (visit, learn) = entered.map_or((None, false), |(visit, learn)| (Some(visit), learn));
            let joining = Box::pin(join(api.services, target, request, visit));
            let body = Body::from_stream(records(Step::Greet(joining, learn)));
            ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(error) => refuse(ErrorCode::BadRequest, &p2p_api::Report(&error).to_string(), None),
    }
}

async fn join(
    services: Arc<Services>,
    target: Request,
    request: FetchRequest,
    visit: Option<Visit>,
) -> Result<Waiting, Failed> {
    let signature = if request.with_signature { wanted_signature(&services, &target) } else { None };
    let busy = |error: TooBusy| Failed { code: FailureCode::Internal, message: error.to_string(), hint: None };
    let wanted = Wanted { force: request.force, ..target.into() };
    let file_name = wanted.request.file_name.clone();
    let snapshots = of_transaction(&services, visit.as_ref(), wanted).await.map_err(busy)?;
    let signature = match signature {
        Some(signature) => of_transaction(&services, visit.as_ref(), signature.into()).await.ok(),
        None => None,
    };
    Ok(Waiting { snapshots, signature, visit, file_name, told: Progress::default(), rewinds: 0 })
}

/// The signature, where pacman would look at it.
fn wanted_signature(services: &Services, target: &Request) -> Option<Request> {
    target.signature().filter(|signature| services.knowledge.checks_signature(signature))
}

async fn of_transaction(
    services: &Arc<Services>,
    visit: Option<&Visit>,
    wanted: Wanted,
) -> Result<watch::Receiver<Snapshot>, TooBusy> {
    match visit {
        Some(visit) => visit.join(services, wanted).await,
        None => services.fetches.join(services, wanted).await,
    }
}

fn records(first: Step) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(first, |step| async move {
        let (record, next) = match step {
            // Asked first, and not polled before: a future that has ended must not be polled again.
            Step::Greet(joining, true) => (FetchRecord::Progress(Progress::default()), Step::Ask(joining)),
            Step::Greet(mut joining, false) => match (&mut joining).now_or_never() {
                // What was fetched ahead needs no greeting.
                Some(Ok(waiting)) if waiting.has_ended() => wait(waiting, Instant::now()).await,
                Some(Ok(waiting)) => (FetchRecord::Progress(Progress::default()), Step::Wait(waiting, Instant::now())),
                Some(Err(failed)) => (FetchRecord::Failed(failed), Step::End),
                None => (FetchRecord::Progress(Progress::default()), Step::Join(joining)),
            },
            Step::Ask(joining) => (FetchRecord::Learn, Step::Join(joining)),
            Step::Join(joining) => first_of(joining).await,
            Step::Wait(waiting, not_before) => wait(waiting, not_before).await,
            Step::Sign(ready, signature, waiting) => sign(ready, signature, waiting).await,
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
        Some(Outcome::Ready(ready)) => match waiting.signature.take() {
            Some(signature) => sign(ready, signature, waiting).await,
            None => (FetchRecord::Ready(waiting.hand_over(ready)), Step::End),
        },
        Some(Outcome::Failed(failed)) => (FetchRecord::Failed(failed), Step::End),
        Some(Outcome::Abandoned) => (FetchRecord::Failed(gone()), Step::End),
        None if lost => (FetchRecord::Failed(gone()), Step::End),
        None => {
            waiting.told = progress(&snapshot);
            let transaction = waiting.visit.as_ref().and_then(Visit::progress);
            let record = FetchRecord::Progress(Progress { transaction, ..waiting.told.clone() });
            (record, Step::Wait(waiting, Instant::now() + BETWEEN_RECORDS))
        }
    }
}

impl Waiting {
    /// Whether there is nothing to wait for, a signature included.
    fn has_ended(&self) -> bool {
        let has_ended = |file: &watch::Receiver<Snapshot>| file.borrow().outcome.is_some();
        has_ended(&self.snapshots) && self.signature.as_ref().is_none_or(has_ended)
    }

    /// Says beside it how far the whole transaction is.
    fn hand_over(&self, ready: Ready) -> Ready {
        Ready { transaction: self.visit.as_ref().and_then(|visit| visit.hand_over(&self.file_name)), ..ready }
    }

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

/// The last record, once the signature's fetch has ended; a missing one is no failure.
async fn sign(mut ready: Ready, mut signature: watch::Receiver<Snapshot>, waiting: Waiting) -> (FetchRecord, Step) {
    let ended = signature.wait_for(|snapshot| snapshot.outcome.is_some());
    if tokio::time::timeout(RECORD_INTERVAL, ended).await.is_err() {
        let (done, total) = (ready.size, Some(ready.size));
        let (source, from_peers) = (Some(ready.path.clone()), ready.from_peers);
        let transaction = waiting.visit.as_ref().and_then(Visit::progress);
        let progress = Progress { done, total, from_peers, source, contiguous: done, transaction };
        return (FetchRecord::Progress(progress), Step::Sign(ready, signature, waiting));
    }
    let outcome = signature.borrow().outcome.clone();
    if let Some(Outcome::Ready(file)) = outcome {
        ready.signature = Some(SignatureFile { path: file.path, size: file.size });
    }
    (FetchRecord::Ready(waiting.hand_over(ready)), Step::End)
}

fn gone() -> Failed {
    let message = "the fetch has ended without a result".to_owned();
    Failed { code: FailureCode::Internal, message, hint: None }
}
