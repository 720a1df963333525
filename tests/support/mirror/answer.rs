//! One answer of the mirror: status, range, body, and what is wrong with them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use bytes::Bytes;
use fs_err as fs;
use futures_util::stream;

use super::{MirrorRequest, State, time_for};
use crate::fault::{Faults, Refusal};

const CHUNK: u64 = 64 * 1024;

const PAGE: &str = "<!DOCTYPE html>\n<html><body>Please log in.</body></html>\n";

pub(super) async fn answer(Shared(state): Shared<Arc<State>>, request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let faults = state.faults(&path);
    if let Some(delay) = faults.delay {
        tokio::time::sleep(delay).await;
    }
    let plan = Plan::new(&state, request.uri().path(), request.headers(), &faults);
    let value = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let served = state.record(MirrorRequest {
        path: path.clone(),
        range: value(header::RANGE),
        if_none_match: value(header::IF_NONE_MATCH),
        if_modified_since: value(header::IF_MODIFIED_SINCE),
        user_agent: value(header::USER_AGENT),
        status: plan.status.as_u16(),
        served: 0,
    });
    let mut response = Response::builder().status(plan.status);
    for (name, value) in plan.headers {
        response = response.header(name, value);
    }
    let body = match plan.file {
        Some((file, range)) if request.method() != Method::HEAD => {
            Transfer { state, path, file, faults, offset: range.start, end: range.end, served }.body()
        }
        Some(_) => Body::empty(),
        None => Body::from(plan.text),
    };
    response.body(body).expect("headers made here are valid")
}

/// What the answer will be.
struct Plan {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    file: Option<(fs::File, Range<u64>)>,
    /// The body where no file is sent.
    text: String,
}

impl Plan {
    fn new(state: &State, path: &str, headers: &HeaderMap, faults: &Faults) -> Self {
        if let Some(refusal) = &faults.refusal {
            return Self::refusal(refusal);
        }
        let Some((file, length, modified)) = open(state, path) else {
            return Self::without_file(StatusCode::NOT_FOUND, Vec::new());
        };
        let validators = validators(modified, faults);
        if is_unmodified(headers, modified, faults) {
            return Self { text: String::new(), ..Self::without_file(StatusCode::NOT_MODIFIED, validators) };
        }
        let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| !faults.ignore_range);
        let mut plan = match asked.map(|asked| range(asked, length)) {
            None => Self::with_file(StatusCode::OK, Vec::new(), file, 0..length),
            Some(Some(range)) => {
                let content = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let headers = vec![(header::CONTENT_RANGE, content)];
                Self::with_file(StatusCode::PARTIAL_CONTENT, headers, file, range)
            }
            Some(None) => {
                let headers = vec![(header::CONTENT_RANGE, format!("bytes */{length}"))];
                return Self::without_file(StatusCode::RANGE_NOT_SATISFIABLE, headers);
            }
        };
        let length = plan.file.as_ref().map_or(0, |(_, range)| range.end - range.start);
        plan.headers.push((header::CONTENT_LENGTH, length.to_string()));
        plan.headers.push((header::ACCEPT_RANGES, "bytes".into()));
        plan.headers.extend(validators);
        plan
    }

    fn refusal(refusal: &Refusal) -> Self {
        let (status, headers) = match refusal {
            Refusal::Status(status) => (StatusCode::from_u16(*status).expect("the test names a status"), Vec::new()),
            Refusal::RetryAfter(delay) => {
                (StatusCode::SERVICE_UNAVAILABLE, vec![(header::RETRY_AFTER, delay.as_secs().to_string())])
            }
            Refusal::RedirectTo(url) => (StatusCode::FOUND, vec![(header::LOCATION, url.clone())]),
            Refusal::Page(content_type) => (StatusCode::OK, vec![(header::CONTENT_TYPE, content_type.clone())]),
            Refusal::Empty => (StatusCode::OK, Vec::new()),
        };
        let plan = Self::without_file(status, headers);
        match refusal {
            Refusal::Page(_) => Self { text: PAGE.to_owned(), ..plan },
            Refusal::Empty => Self { text: String::new(), ..plan },
            Refusal::Status(_) | Refusal::RetryAfter(_) | Refusal::RedirectTo(_) => plan,
        }
    }

    fn with_file(status: StatusCode, headers: Vec<(HeaderName, String)>, file: fs::File, range: Range<u64>) -> Self {
        Self { status, headers, file: Some((file, range)), text: String::new() }
    }

    fn without_file(status: StatusCode, headers: Vec<(HeaderName, String)>) -> Self {
        Self { status, headers, file: None, text: status.to_string() }
    }
}

fn validators(modified: SystemTime, faults: &Faults) -> Vec<(HeaderName, String)> {
    let modified = httpdate::fmt_http_date(faults.modified.unwrap_or(modified));
    let tag = faults.entity_tag.iter().map(|tag| (header::ETAG, tag.clone()));
    tag.chain([(header::LAST_MODIFIED, modified)]).collect()
}

/// As nginx does: the date has to be the same. One who lies about the date takes any that is not older.
fn is_unmodified(headers: &HeaderMap, modified: SystemTime, faults: &Faults) -> bool {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(named) = value(header::IF_NONE_MATCH) {
        return faults.entity_tag.as_deref() == Some(named);
    }
    let Some(since) = value(header::IF_MODIFIED_SINCE) else { return false };
    match faults.modified {
        None => since == httpdate::fmt_http_date(modified),
        Some(modified) => httpdate::parse_http_date(since).is_ok_and(|since| since >= modified),
    }
}

fn open(state: &State, path: &str) -> Option<(fs::File, u64, SystemTime)> {
    if path.contains("..") {
        return None;
    }
    let path: PathBuf = state.root.join(path.trim_start_matches('/'));
    let file = fs::File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some((file, metadata.len(), metadata.modified().ok()?))
}

/// `bytes=a-b` or `bytes=a-`; none where it lies outside of the file. Nobody here asks for several ranges.
fn range(asked: &str, length: u64) -> Option<Range<u64>> {
    let (start, end) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    let end = if end.is_empty() { length } else { end.parse::<u64>().ok()?.saturating_add(1).min(length) };
    (start < end).then_some(start..end)
}

/// A body on its way.
struct Transfer {
    state: Arc<State>,
    path: String,
    file: fs::File,
    faults: Faults,
    offset: u64,
    end: u64,
    served: Arc<AtomicU64>,
}

impl Transfer {
    fn body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut transfer| async {
            match transfer.chunk().await {
                Ok(None) => None,
                Ok(Some(chunk)) => Some((Ok(chunk), transfer)),
                Err(error) => {
                    // The error ends the connection; there is no next chunk after it.
                    transfer.offset = transfer.end;
                    Some((Err(error), transfer))
                }
            }
        }))
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let stalls = self.faults.stall_at.is_some_and(|at| self.offset >= at);
        if stalls && self.offset < self.end {
            self.wait_until_healed().await;
        }
        let left = self.end - self.offset;
        if left == 0 {
            return Ok(None);
        }
        if self.faults.cut_at.is_some_and(|at| self.offset >= at) {
            // hyper drops what it has not written when a body fails, and writes while a body has nothing at hand.
            tokio::task::yield_now().await;
            return Err(io::Error::other("cut, as the test asked"));
        }
        let stops = [self.faults.stall_at, self.faults.cut_at];
        let until_stop = stops.into_iter().flatten().map(|at| at.saturating_sub(self.offset)).filter(|&left| left > 0);
        let length = until_stop.fold(left.min(self.chunk_length()), u64::min);
        let bytes = self.read(length)?;
        self.state.pass(length).await;
        if let Some(rate) = self.faults.rate {
            // A slow line is the fault itself, as the delay above is.
            tokio::time::sleep(time_for(length, rate)).await;
        }
        self.offset += length;
        self.served.fetch_add(length, Ordering::Relaxed);
        Ok(Some(bytes))
    }

    /// Small where the rate is: so that a slow answer trickles.
    fn chunk_length(&self) -> u64 {
        self.faults.rate.map_or(CHUNK, |rate| (rate / 20).clamp(1, CHUNK))
    }

    fn read(&mut self, length: u64) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(length).expect("a chunk fits into memory")];
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.file.read_exact(&mut bytes)?;
        let corrupt = self.faults.corrupt_at.and_then(|at| at.checked_sub(self.offset));
        if let Some(byte) = corrupt.and_then(|at| bytes.get_mut(usize::try_from(at).ok()?)) {
            *byte ^= 0xff;
        }
        Ok(bytes.into())
    }

    async fn wait_until_healed(&mut self) {
        loop {
            let healed = Arc::clone(&self.state);
            let notified = healed.healed.notified();
            self.faults = self.state.faults(&self.path);
            if self.faults.stall_at.is_none_or(|at| self.offset < at) {
                return;
            }
            notified.await;
        }
    }
}
