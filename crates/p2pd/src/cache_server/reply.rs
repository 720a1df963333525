//! The head of an answer: status and header fields.

use std::ops::Range;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
};
use axum::http::response::Builder;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use url::Url;

use super::validators::{Validators, text};
use super::wanted::Wanted;

/// The answer to a request for a file that is there.
#[derive(Debug)]
pub(super) enum Reply {
    /// Complete: 304 or 416.
    Finished(Response<Body>),
    /// These bytes of the file are to follow: 200 or 206.
    Follows(Head, Range<u64>),
}

/// Status and header fields of an answer whose body is still to come.
#[derive(Debug)]
pub(super) struct Head(Builder);

impl Head {
    /// Completes the answer.
    pub(super) fn with(self, body: Body) -> Response<Body> {
        self.0.body(body).expect("all fields were checked when they were made")
    }
}

/// Answers a request with these header fields, where the file has `size` bytes and these validators.
pub(super) fn reply(headers: &HeaderMap, validators: &Validators, size: u64) -> Reply {
    if validators.are_known_to(headers) {
        return Reply::Finished(finish(stated(StatusCode::NOT_MODIFIED, validators), Body::empty()));
    }
    let range = wanted_range(headers).filter(|_| validators.allow_range(headers));
    let wanted = Wanted::of(range, size);
    let bytes = wanted.bytes(size);
    let builder = match wanted {
        Wanted::Whole => stated(StatusCode::OK, validators),
        Wanted::Part(Range { start, end }) => stated(StatusCode::PARTIAL_CONTENT, validators)
            .header(CONTENT_RANGE, format!("bytes {start}-{}/{size}", end.saturating_sub(1))),
        Wanted::Nothing => return Reply::Finished(beyond_the_end(size)),
    };
    let builder = builder
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, bytes.end.saturating_sub(bytes.start));
    Reply::Follows(Head(builder), bytes)
}

/// The `Range` field of a request.
pub(super) fn wanted_range(headers: &HeaderMap) -> Option<&str> {
    text(headers, &RANGE)
}

/// Whether the request says that its range is of a certain content.
pub(super) fn has_condition(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_RANGE)
}

/// 416: the file has `size` bytes, and none of those that were asked for.
pub(super) fn beyond_the_end(size: u64) -> Response<Body> {
    let builder = Response::builder().status(StatusCode::RANGE_NOT_SATISFIABLE);
    finish(builder.header(CONTENT_RANGE, format!("bytes */{size}")).header(ACCEPT_RANGES, "bytes"), Body::empty())
}

/// 302: a mirror may do it.
pub(super) fn redirect(mirror: &Url) -> Response<Body> {
    let location = HeaderValue::from_str(mirror.as_str()).expect("a parsed URL is ASCII without control characters");
    finish(Response::builder().status(StatusCode::FOUND).header(LOCATION, location), Body::empty())
}

/// An answer without a file, and why, for people.
pub(super) fn refuse(status: StatusCode, reason: &'static str) -> Response<Body> {
    let builder = Response::builder().status(status).header(CONTENT_TYPE, "text/plain");
    let builder = if status == StatusCode::METHOD_NOT_ALLOWED { builder.header(ALLOW, "GET, HEAD") } else { builder };
    finish(builder, Body::from(reason))
}

fn stated(status: StatusCode, validators: &Validators) -> Builder {
    let mut builder = Response::builder().status(status).header(ACCEPT_RANGES, "bytes");
    if let Some(tag) = &validators.tag {
        builder = builder.header(ETAG, tag);
    }
    if let Some(modified) = validators.last_modified() {
        builder = builder.header(LAST_MODIFIED, modified);
    }
    builder
}

fn finish(builder: Builder, body: Body) -> Response<Body> {
    builder.body(body).expect("all fields were checked when they were made")
}

#[cfg(test)]
mod tests {
    use axum::http::header::{HeaderName, IF_MODIFIED_SINCE};

    use super::*;

    fn field<'a>(response: &'a Response<Body>, name: &HeaderName) -> &'a str {
        text(response.headers(), name).unwrap_or_default()
    }

    fn answer(fields: &[(HeaderName, &str)]) -> (Response<Body>, Range<u64>) {
        let headers = fields.iter().map(|(name, value)| (name.clone(), value.parse().expect("a field"))).collect();
        match reply(&headers, &Validators::of_file(Some(1_700_000_000), 100), 100) {
            Reply::Finished(response) => (response, 0..0),
            Reply::Follows(head, range) => (head.with(Body::empty()), range),
        }
    }

    #[test]
    fn a_whole_file_states_its_length_and_validators() {
        let (response, range) = answer(&[]);
        assert_eq!((response.status(), range), (StatusCode::OK, 0..100));
        assert_eq!(field(&response, &CONTENT_LENGTH), "100");
        assert_eq!(field(&response, &LAST_MODIFIED), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(field(&response, &ACCEPT_RANGES), "bytes");
        assert_eq!(field(&response, &ETAG), "\"6553f100-64\"");
    }

    #[test]
    fn a_part_states_which_one_it_is() {
        let (response, range) = answer(&[(RANGE, "bytes=20-")]);
        assert_eq!((response.status(), range), (StatusCode::PARTIAL_CONTENT, 20..100));
        assert_eq!((field(&response, &CONTENT_RANGE), field(&response, &CONTENT_LENGTH)), ("bytes 20-99/100", "80"));
        let (response, range) = answer(&[(RANGE, "bytes=20-"), (IF_RANGE, "\"other\"")]);
        assert_eq!((response.status(), range), (StatusCode::OK, 0..100));
    }

    #[test]
    fn what_is_not_there_and_what_has_not_changed_is_not_sent() {
        let (response, _) = answer(&[(RANGE, "bytes=100-")]);
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(field(&response, &CONTENT_RANGE), "bytes */100");
        let (response, _) = answer(&[(IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:20 GMT"), (RANGE, "bytes=100-")]);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn a_redirect_names_the_mirror_and_a_refusal_says_why() {
        let mirror = Url::parse("http://mirror/core/a-1:2+3-1-any.pkg.tar.zst").expect("a URL");
        let response = redirect(&mirror);
        assert_eq!((response.status(), field(&response, &LOCATION)), (StatusCode::FOUND, mirror.as_str()));
        let response = refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        assert_eq!(field(&response, &ALLOW), "GET, HEAD");
    }
}
