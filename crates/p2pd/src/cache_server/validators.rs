//! What tells one content of a file from another, and the requests that ask for it (RFC 9110, section 13).

use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE};
use p2p_package::Sha256;

/// The first second, since 1970, that HTTP's dates cannot write.
const YEAR_10000: u64 = 253_402_300_800;

/// The validators of one content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// `ETag`, with its quotes; strong.
    pub(super) tag: Option<String>,
    /// `Last-Modified`, in seconds since 1970.
    pub(super) modified: Option<u64>,
}

impl Validators {
    /// For a package that a sync database knows: its id is the best tag that there is.
    pub(super) fn of_package(sha256: &Sha256, modified: Option<u64>) -> Self {
        Self { tag: Some(format!("\"{sha256}\"")), modified }
    }

    /// For what only its mirror vouches for.
    pub(super) fn of_file(modified: Option<u64>, size: u64) -> Self {
        Self { tag: modified.map(|modified| format!("\"{modified:x}-{size:x}\"")), modified }
    }

    /// `Last-Modified` as HTTP writes it.
    pub(super) fn last_modified(&self) -> Option<String> {
        let modified = self.modified.filter(|modified| *modified < YEAR_10000)?;
        Some(httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(modified)))
    }

    /// Whether the client says that it has this content already: 304.
    pub(super) fn are_known_to(&self, headers: &HeaderMap) -> bool {
        if let Some(field) = text(headers, &IF_NONE_MATCH) {
            let is_ours = |tag: &str| self.tag.as_deref() == Some(tag.trim().trim_start_matches("W/"));
            return field.trim() == "*" || field.split(',').any(is_ours);
        }
        let since = text(headers, &IF_MODIFIED_SINCE).and_then(seconds);
        since.zip(self.modified).is_some_and(|(since, modified)| modified <= since)
    }

    /// Whether a part of this content may follow what the client has: what `If-Range` says.
    pub(super) fn allow_range(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(IF_RANGE) {
            return true;
        }
        let Some(field) = text(headers, &IF_RANGE) else { return false };
        Some(field) == self.tag.as_deref() || seconds(field).is_some_and(|since| Some(since) == self.modified)
    }
}

/// A header field as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn seconds(date: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(date).ok()?;
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const LATER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";
    const EARLIER: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), value.parse().expect("a field"))).collect()
    }

    fn database() -> Validators {
        Validators::of_file(Some(1_700_000_000), 255)
    }

    #[test]
    fn a_database_that_has_not_changed_since_is_not_sent_again() {
        assert_eq!(database().last_modified().as_deref(), Some(DATE));
        let since = |date| database().are_known_to(&headers(&[(IF_MODIFIED_SINCE, date)]));
        assert!(since(DATE) && since(LATER) && !since(EARLIER) && !since("yesterday"));
        assert!(!database().are_known_to(&HeaderMap::new()));
        assert!(!Validators::default().are_known_to(&headers(&[(IF_MODIFIED_SINCE, DATE)])));
    }

    #[test]
    fn tags_come_before_dates() {
        let matches = |tags| database().are_known_to(&headers(&[(IF_NONE_MATCH, tags), (IF_MODIFIED_SINCE, DATE)]));
        assert!(matches("\"6553f100-ff\"") && matches("\"a\", W/\"6553f100-ff\"") && matches("*"));
        assert!(!matches("\"a\""));
        let package = Validators::of_package(&Sha256::of(b"a"), None);
        let tag = package.tag.clone().expect("every package has one");
        assert!(package.are_known_to(&headers(&[(IF_NONE_MATCH, &tag)])));
    }

    #[test]
    fn a_part_is_sent_only_where_the_rest_is_of_the_same_content() {
        let allows = |field| database().allow_range(&headers(&[(IF_RANGE, field)]));
        assert!(allows("\"6553f100-ff\"") && allows(DATE));
        assert!(!allows("\"a\"") && !allows(LATER) && !allows("W/\"6553f100-ff\""));
        assert!(database().allow_range(&HeaderMap::new()));
    }

    #[test]
    fn a_date_beyond_all_calendars_is_not_stated() {
        assert_eq!(Validators::of_file(Some(u64::MAX), 1).last_modified(), None);
        assert_eq!(Validators::of_file(Some(YEAR_10000), 1).last_modified(), None);
    }
}
