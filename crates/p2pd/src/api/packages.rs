//! `/v1/packages` and what can be done with them: list, verify, forget; and `/v1/rescan`.

mod forget;
mod list;
mod rescan;
mod verify;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use p2p_api::{ErrorCode, Names, NamesRequest};
use p2p_seeder::Row;
use serde::Serialize;

pub(super) use self::forget::forget;
pub(super) use self::list::list;
pub(super) use self::rescan::rescan;
pub(super) use self::verify::verify;
use super::{refuse, refuse_body};
use crate::services::Services;

/// How often a person is told how far it is.
const BETWEEN_RECORDS: Duration = Duration::from_millis(200);

/// The packages that somebody named.
struct Chosen {
    rows: Vec<Arc<Row>>,
    unknown: Vec<String>,
}

/// Reads a request that names packages.
fn names(request: Result<Json<NamesRequest>, JsonRejection>) -> Result<Names, Box<Response>> {
    let Json(request) = request.map_err(|rejection| Box::new(refuse_body(&rejection)))?;
    Names::read(&request.names).map_err(|error| Box::new(refuse(ErrorCode::BadRequest, &error.to_string(), None)))
}

/// Looks at the whole catalog: call it where blocking is allowed.
fn choose(services: &Services, mut names: Names) -> Chosen {
    let mut rows = services.catalog.rows();
    rows.retain(|row| {
        let file_name = &row.id.file_name;
        names.take(&row.repository, file_name.package_name(), file_name.as_str())
    });
    Chosen { rows, unknown: names.unknown().into_iter().map(str::to_owned).collect() }
}

/// An answer of records, one a line.
fn ndjson(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let body = Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>));
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// One record.
fn line(record: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(record).expect("a record is JSON");
    line.push(b'\n');
    line.into()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
