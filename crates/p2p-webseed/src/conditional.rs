//! Requests that need no body where nothing has changed (RFC 9110, 13).

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use url::Url;

use crate::connections::Urgency;
use crate::download::Download;
use crate::fault::MirrorFault;
use crate::mirrors::{Head, Mirrors};

/// The longest entity tag that is sent back, in bytes.
const MAX_ETAG_BYTES: usize = 1024;

/// What a mirror said of the copy that we have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// Its entity tag, quotes included.
    pub etag: Option<String>,
    /// Its Last-Modified time.
    pub modified: Option<SystemTime>,
}

/// What a mirror answers to a conditional request.
#[derive(Debug)]
pub enum Answer {
    /// Our copy is still good, it says.
    Unmodified(Unmodified),
    /// Here is another one.
    Body(Box<Download>),
}

/// An answer *304 Not Modified*. What it says of the file should be what is known of our copy; see who answered, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmodified {
    /// Scheme, host and port of who answered: the mirror, or what it redirected to.
    pub origin: String,
    /// The Last-Modified time of the mirror's file, where it says it.
    pub modified: Option<SystemTime>,
    /// The size of the mirror's file in bytes, where it says it.
    pub length: Option<u64>,
    /// How long the answer took to come.
    pub first_byte: Duration,
}

impl Mirrors {
    /// Asks for a whole file unless it is the one that `validators` describe. Empty ones make the request unconditional.
    ///
    /// # Errors
    ///
    /// As [`Self::get`]; [`MirrorFault::Refused`] also where an unconditional request is answered with 304.
    pub async fn get_unless(&self, url: &Url, validators: &Validators) -> Result<Answer, MirrorFault> {
        let headers = validators.headers();
        let head = self.send(url, &headers, Urgency::Urgent).await?;
        if head.response.status().as_u16() == 304 && !headers.is_empty() {
            return Ok(Answer::Unmodified(unmodified(&head)));
        }
        Ok(Answer::Body(Box::new(self.body(head, 0, None)?)))
    }
}

impl Validators {
    fn headers(&self) -> HeaderMap {
        let etag = self.etag.as_ref().filter(|etag| etag.len() <= MAX_ETAG_BYTES);
        let etag = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        // The formatter of dates knows those from 1970 to 9999 only.
        let last = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 1000);
        let modified = self.modified.filter(|at| (SystemTime::UNIX_EPOCH..last).contains(at)).map(|modified| {
            HeaderValue::from_str(&httpdate::fmt_http_date(modified)).expect("a date makes a header value")
        });
        let named = [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)];
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn unmodified(head: &Head) -> Unmodified {
    let text = |name| head.response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    // RFC 9110, 8.6: it may say the length of the file, and servers that mean their empty answer say 0.
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok()).filter(|length| *length > 0);
    Unmodified {
        origin: head.response.url().origin().ascii_serialization(),
        modified: text(LAST_MODIFIED).and_then(|at| httpdate::parse_http_date(at).ok()),
        length,
        first_byte: head.waited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MirrorOptions;
    use crate::fake_mirror::{Behaviour, FakeMirror};

    const NOT_MODIFIED: &str = "304 Not Modified\r\netag: \"2\"\r\n";

    fn mirrors() -> Mirrors {
        Mirrors::new(MirrorOptions::default()).expect("an HTTP client")
    }

    fn validators() -> Validators {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        Validators { etag: Some("\"1\"".to_owned()), modified }
    }

    #[tokio::test]
    async fn both_validators_are_sent_and_an_unchanged_file_brings_no_body() {
        let mirror = FakeMirror::start(b"file".to_vec(), Behaviour::Answers(NOT_MODIFIED.to_owned())).await;
        let answer = mirrors().get_unless(&mirror.url(), &validators()).await;
        let Ok(Answer::Unmodified(unmodified)) = answer else { panic!("it is unchanged, not {answer:?}") };
        assert_eq!(unmodified.modified, validators().modified);
        assert_eq!(unmodified.length, None);
        assert!(mirror.url().as_str().starts_with(&unmodified.origin));
        let asked = &mirror.requests()[0];
        assert!(asked.contains("if-none-match: \"1\"\r\n"), "{asked}");
        assert!(asked.contains("if-modified-since: thu, 01 jan 1970 00:01:40 gmt\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_changed_file_comes() {
        let mirror = FakeMirror::start(b"file".to_vec(), Behaviour::Good).await;
        let answer = mirrors().get_unless(&mirror.url(), &validators()).await;
        let Ok(Answer::Body(mut download)) = answer else { panic!("it has changed, not {answer:?}") };
        assert_eq!(download.chunk().await.expect("a chunk").as_deref(), Some(b"file".as_slice()));
        assert!(download.first_byte() > Duration::ZERO);
    }

    #[tokio::test]
    async fn an_unconditional_request_is_not_answered_with_not_modified() {
        let mirror = FakeMirror::start(b"file".to_vec(), Behaviour::Answers(NOT_MODIFIED.to_owned())).await;
        let answer = mirrors().get_unless(&mirror.url(), &Validators::default()).await;
        assert!(matches!(answer, Err(MirrorFault::Refused(304))), "{answer:?}");
        let asked = &mirror.requests()[0];
        assert!(!asked.contains("if-"), "{asked}");
    }

    #[test]
    fn validators_that_are_no_headers_are_not_sent() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 20_000);
        for etag in ["\"\n\"".to_owned(), "x".repeat(MAX_ETAG_BYTES + 1)] {
            let odd = Validators { etag: Some(etag), modified: Some(far) };
            assert!(odd.headers().is_empty(), "{odd:?}");
        }
    }
}
