use super::*;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
}

fn answer(status: u16, pairs: &[(HeaderName, &str)], from: u64, until: Option<u64>) -> Result<Promise, MirrorFault> {
    judge(status, &headers(pairs), from, until, SystemTime::UNIX_EPOCH)
}

#[test]
fn a_whole_file_tells_its_size_date_and_tag() {
    let date = "Thu, 01 Jan 1970 00:01:40 GMT";
    let promise = answer(200, &[(CONTENT_LENGTH, "7"), (LAST_MODIFIED, date), (ETAG, "\"x\"")], 0, None);
    let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(100));
    let expected = Promise { begins_at: 0, ends_at: Some(7), total: Some(7), modified, etag: Some("\"x\"".to_owned()) };
    assert_eq!(promise.expect("a success"), expected);
}

#[test]
fn a_whole_file_in_answer_to_a_range_begins_at_the_beginning() {
    assert_eq!(answer(200, &[(CONTENT_LENGTH, "7")], 3, None).expect("a success").begins_at, 0);
}

#[test]
fn only_exactly_the_range_that_was_asked_for_is_taken() {
    let range = |text| answer(206, &[(CONTENT_RANGE, text)], 3, Some(7));
    assert_eq!(range("bytes 3-6/10").expect("the range").total, Some(10));
    assert_eq!(range("bytes 3-6/*").expect("the range").total, None);
    for text in [
        "bytes 2-6/10",
        "bytes 3-5/10",
        "bytes 3-7/10",
        "bytes 3-6/6",
        "bytes */10",
        "items 3-6/10",
        "",
        "3-6",
        "bytes 6-3/10",
        "bytes 3-18446744073709551615/*",
    ] {
        assert!(matches!(range(text), Err(MirrorFault::WrongRange)), "{text:?}");
    }
    assert!(matches!(answer(206, &[], 3, Some(7)), Err(MirrorFault::WrongRange)));
}

#[test]
fn a_tail_must_reach_the_end_and_an_unasked_part_is_refused() {
    assert!(answer(206, &[(CONTENT_RANGE, "bytes 3-9/10")], 3, None).is_ok());
    for (text, from) in [("bytes 3-8/10", 3), ("bytes 0-9/10", 0)] {
        assert!(matches!(answer(206, &[(CONTENT_RANGE, text)], from, None), Err(MirrorFault::WrongRange)), "{text}");
    }
}

#[test]
fn each_status_has_its_consequence() {
    for status in [403, 404, 410, 451] {
        assert!(matches!(answer(status, &[], 0, None), Err(MirrorFault::Lacks(code)) if code == status));
    }
    for status in [204, 304, 400, 401, 407, 500, 502] {
        assert!(matches!(answer(status, &[], 0, None), Err(MirrorFault::Refused(code)) if code == status));
    }
    assert!(matches!(answer(416, &[], 9, None), Err(MirrorFault::WrongRange)));
}

#[test]
fn a_busy_mirror_says_for_how_long_in_seconds_or_by_date() {
    for (text, expected) in [
        ("7", Some(7)),
        ("99999999", Some(3600)),
        ("Thu, 01 Jan 1970 00:01:40 GMT", Some(100)),
        ("-1", None),
        ("soon", None),
    ] {
        for status in [429, 503] {
            let Err(MirrorFault::Busy { retry_after, .. }) = answer(status, &[(RETRY_AFTER, text)], 0, None) else {
                panic!("{status} {text}");
            };
            assert_eq!(retry_after, expected.map(Duration::from_secs), "{text}");
        }
    }
}

#[test]
fn pages_and_encoded_bodies_are_not_the_file() {
    for pair in [(CONTENT_TYPE, "text/HTML; charset=utf-8"), (CONTENT_ENCODING, "gzip")] {
        assert!(
            matches!(answer(200, std::slice::from_ref(&pair), 0, None), Err(MirrorFault::NotThisFile(_))),
            "{pair:?}"
        );
    }
    assert!(answer(200, &[(CONTENT_TYPE, "application/zstd"), (CONTENT_ENCODING, "identity")], 0, None).is_ok());
}
