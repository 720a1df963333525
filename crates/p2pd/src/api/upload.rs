//! `GET` and `POST /v1/upload`: what others may be given, and pauses and limits.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use p2p_api::{ErrorCode, Upload, UploadRequest};

use super::{Api, refuse, refuse_body};

/// What holds now.
pub(super) async fn show(State(api): State<Api>) -> Json<Upload> {
    Json(api.services.upload.describe(&api.services))
}

/// Changes it, and says what holds then.
pub(super) async fn change(State(api): State<Api>, request: Result<Json<UploadRequest>, JsonRejection>) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return refuse_body(&rejection),
    };
    let change = move || api.services.upload.handle_request(&api.services, request);
    match tokio::task::spawn_blocking(change).await.expect("changing limits does not panic") {
        Ok(upload) => Json(upload).into_response(),
        Err(fault) => refuse(ErrorCode::BadRequest, &fault.to_string(), None),
    }
}
