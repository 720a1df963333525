//! `GET /v1/diagnosis`.

use axum::Json;
use axum::extract::{ConnectInfo, State};
use p2p_api::Diagnosis;

use super::{Api, Caller};
use crate::diagnosis::{CallBack, diagnose};

/// The facts. Neighbours are asked to call for those only who may fetch.
pub(super) async fn show(State(api): State<Api>, ConnectInfo(caller): ConnectInfo<Caller>) -> Json<Diagnosis> {
    let call_back = if api.access.may_fetch(&caller) { CallBack::Ask } else { CallBack::Never };
    Json(diagnose(&api.services, &api.access, call_back).await)
}
