//! What the head of a mirror's answer says.

use std::time::{Duration, SystemTime};

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
    RETRY_AFTER,
};

use crate::fault::MirrorFault;

/// The longest wish to be left alone that is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// What a successful answer promises of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The offset in the file of the first byte of the body.
    pub(crate) begins_at: u64,
    /// The offset in the file after the last byte of the body; none where the mirror does not say.
    pub(crate) ends_at: Option<u64>,
    /// The size of the whole file.
    pub(crate) total: Option<u64>,
    /// Last-Modified.
    pub(crate) modified: Option<SystemTime>,
    /// The entity tag, as it is written.
    pub(crate) etag: Option<String>,
}

/// Judges the head of an answer to a request for the bytes from `from` to `until`, or to the end.
pub(crate) fn judge(
    status: u16,
    headers: &HeaderMap,
    from: u64,
    until: Option<u64>,
    now: SystemTime,
) -> Result<Promise, MirrorFault> {
    match status {
        200 | 206 => {}
        403 | 404 | 410 | 451 => return Err(MirrorFault::Lacks(status)),
        429 | 503 => return Err(MirrorFault::Busy { status, retry_after: retry_after(headers, now) }),
        416 => return Err(MirrorFault::WrongRange),
        _ => return Err(MirrorFault::Refused(status)),
    }
    check_type(headers)?;
    let (begins_at, ends_at, total) = if status == 206 {
        let (range, total) = content_range(headers).ok_or(MirrorFault::WrongRange)?;
        let asked_for =
            (from > 0 || until.is_some()) && range.start == from && until.is_none_or(|end| range.end == end);
        let reaches_the_end = until.is_some() || total.is_none_or(|total| total == range.end);
        if !asked_for || !reaches_the_end {
            return Err(MirrorFault::WrongRange);
        }
        (range.start, Some(range.end), total)
    } else {
        let length = text(headers, CONTENT_LENGTH).and_then(|text| text.parse().ok());
        (0, length, length)
    };
    let modified = text(headers, LAST_MODIFIED).and_then(|text| httpdate::parse_http_date(text).ok());
    Ok(Promise { begins_at, ends_at, total, modified, etag: text(headers, ETAG).map(str::to_owned) })
}

/// A captive portal answers everything with a page; no package, database, signature or torrent is one.
fn check_type(headers: &HeaderMap) -> Result<(), MirrorFault> {
    let content_type = text(headers, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    if content_type.starts_with("text/html") || content_type.starts_with("application/xhtml") {
        return Err(MirrorFault::NotThisFile("a web page"));
    }
    if content_type.starts_with("multipart/byteranges") {
        return Err(MirrorFault::WrongRange);
    }
    match text(headers, CONTENT_ENCODING) {
        None | Some("" | "identity") => Ok(()),
        Some(_) => Err(MirrorFault::NotThisFile("an encoded body")),
    }
}

/// `bytes first-last/total`, as a half-open range.
fn content_range(headers: &HeaderMap) -> Option<(std::ops::Range<u64>, Option<u64>)> {
    let (unit, rest) = text(headers, CONTENT_RANGE)?.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1).filter(|end| first < *end && unit.eq_ignore_ascii_case("bytes"))?;
    match total {
        "*" => Some((first..end, None)),
        total => total.parse().ok().filter(|total| end <= *total).map(|total| (first..end, Some(total))),
    }
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let wish = text(headers, RETRY_AFTER)?;
    let seconds = wish.parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(wish).ok()?.duration_since(now).ok();
    seconds.or_else(until).map(|wish| wish.min(LONGEST_RETRY_AFTER))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[cfg(test)]
mod tests;
