//! The daemon's side of `docs/api.md`: handlers of a few lines over [`Services`].

mod access;
mod caller;
mod diagnosis;
mod explanations;
mod fetches;
mod neighbours;
mod packages;
mod publications;
mod status;
mod transactions;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use p2p_api::{
    API_VERSION, ApiError, DIAGNOSIS, EXPLANATIONS, ErrorCode, FETCHES, FORGET, HOST, MAX_REQUEST_BYTES,
    MAX_TRANSACTION_BYTES, NEIGHBOURS, PACKAGES, PREFETCHES, PUBLICATIONS, RESCAN, STATUS, TRANSACTIONS, UPLOAD,
    VERIFY, VERSION_HEADER,
};

use crate::services::Services;
pub(crate) use access::Access;
pub(crate) use caller::Caller;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) services: Arc<Services>,
    pub(crate) access: Arc<Access>,
}

impl Api {
    /// All routes, with the checks that every request passes.
    pub(crate) fn router(self) -> Router {
        let guarded = Router::new()
            .route(FETCHES, post(fetches::create))
            .route(TRANSACTIONS, post(transactions::list).layer(DefaultBodyLimit::max(MAX_TRANSACTION_BYTES)))
            .route(PREFETCHES, post(transactions::prefetch).layer(DefaultBodyLimit::max(MAX_TRANSACTION_BYTES)))
            .route(VERIFY, post(packages::verify).layer(DefaultBodyLimit::max(MAX_TRANSACTION_BYTES)))
            .route(FORGET, post(packages::forget).layer(DefaultBodyLimit::max(MAX_TRANSACTION_BYTES)))
            .route(RESCAN, post(packages::rescan))
            .route(UPLOAD, post(upload::change))
            .route(NEIGHBOURS, get(neighbours::list))
            .route(PUBLICATIONS, get(publications::list).post(publications::publish))
            .route(EXPLANATIONS, get(explanations::show))
            .route_layer(from_fn_with_state(self.clone(), only_fetchers));
        Router::new()
            .route(STATUS, get(status::show))
            .route(DIAGNOSIS, get(diagnosis::show))
            .route(UPLOAD, get(upload::show))
            .route(PACKAGES, get(packages::list))
            .merge(guarded)
            .fallback(|| async { refuse(ErrorCode::NotFound, "there is nothing at this path", None) })
            .layer(from_fn(only_our_clients))
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(self)
    }
}

/// Refuses web pages and other versions; states ours in every answer.
async fn only_our_clients(request: Request, next: Next) -> Response {
    let mut response = match check_headers(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
    };
    response.headers_mut().insert(VERSION_HEADER, HeaderValue::from(API_VERSION));
    response
}

fn check_headers(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(header::ORIGIN) || text("host").is_some_and(|host| host != HOST) {
        return Err(Box::new(refuse(ErrorCode::Forbidden, "web pages have no business here", None)));
    }
    let version = text(VERSION_HEADER).and_then(|version| version.parse().ok());
    if version == Some(API_VERSION) {
        return Ok(());
    }
    let message = format!("p2pd speaks version {API_VERSION} of its API");
    let hint = "restart p2pd after upgrading pacman2pacman";
    Err(Box::new(refuse(ErrorCode::VersionMismatch, &message, Some(hint))))
}

async fn only_fetchers(
    State(api): State<Api>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if api.services.stopping.is_cancelled() {
        return refuse(ErrorCode::Unavailable, "p2pd is stopping", None);
    }
    if api.access.may_fetch(&caller) {
        return next.run(request).await;
    }
    let hint = "daemon.fetch_users and daemon.fetch_group in p2pd's configuration say who may";
    refuse(ErrorCode::Forbidden, "this user may not fetch through p2pd", Some(hint))
}

fn refuse_body(rejection: &JsonRejection) -> Response {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return refuse(ErrorCode::TooLarge, "the request is too large", None);
    }
    refuse(ErrorCode::BadRequest, &rejection.body_text(), None)
}

fn refuse(code: ErrorCode, message: &str, hint: Option<&str>) -> Response {
    let error = ApiError { code, message: message.to_owned(), hint: hint.map(str::to_owned) };
    let status = StatusCode::from_u16(code.status()).expect("every code has a valid status");
    (status, axum::Json(error)).into_response()
}
