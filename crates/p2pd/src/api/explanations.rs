//! `GET /v1/explanations`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use p2p_api::{ErrorCode, MAX_EXPLAINED_NAME};
use percent_encoding::percent_decode_str;

use super::{Api, refuse};
use crate::explain::explain;

/// What is known of the packages that `package=` may mean.
pub(super) async fn show(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let named = query.split('&').find_map(|part| part.strip_prefix("package="));
    let name = named.filter(|name| name.len() <= MAX_EXPLAINED_NAME).map(|name| percent_decode_str(name).decode_utf8());
    let Some(Ok(name)) = name else {
        return refuse(ErrorCode::BadRequest, "the query package=NAME is needed", None);
    };
    match explain(&api.services, name.into_owned()).await {
        Ok(explanations) => Json(explanations).into_response(),
        Err(fault) => refuse(ErrorCode::BadRequest, &fault.to_string(), None),
    }
}
