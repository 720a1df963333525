//! Which bytes of a file a request wants (RFC 9110, section 14).

use std::ops::Range;

/// A `Range` field, applied to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: 200.
    Whole,
    /// These bytes: 206.
    Part(Range<u64>),
    /// None that the file has: 416.
    Nothing,
}

impl Wanted {
    /// Applies a `Range` field to a file of `size` bytes. A field that is not understood, or that wants several ranges, is
    /// as good as none.
    pub(super) fn of(field: Option<&str>, size: u64) -> Self {
        let Some((first, last)) = field.and_then(bounds) else { return Self::Whole };
        let range = match (first, last) {
            (None, None) => return Self::Whole,
            (None, Some(suffix)) => size.saturating_sub(suffix)..size,
            (Some(first), None) => first..size,
            (Some(first), Some(last)) if first > last => return Self::Whole,
            (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        };
        if range.is_empty() { Self::Nothing } else { Self::Part(range) }
    }

    /// The bytes of a file of `size` bytes.
    pub(super) fn bytes(&self, size: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..size,
            Self::Part(range) => range.clone(),
            Self::Nothing => size..size,
        }
    }
}

/// `bytes=a-b`, each bound where it is stated.
fn bounds(field: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, ranges) = field.split_once('=')?;
    let (first, last) = ranges.trim().split_once('-')?;
    let bound = |text: &str| -> Option<Option<u64>> {
        if text.is_empty() {
            return Some(None);
        }
        // `parse` would take a sign.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX)).map(Some)
    };
    let bounds = (bound(first)?, bound(last)?);
    unit.trim().eq_ignore_ascii_case("bytes").then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_cut_to_the_file() {
        for (field, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=20-", 20..100),
            ("Bytes=20-29", 20..30),
            ("bytes=20-1000", 20..100),
            ("bytes=99-99999999999999999999999", 99..100),
            ("bytes=-1", 99..100),
            ("bytes=-1000", 0..100),
        ] {
            assert_eq!(Wanted::of(Some(field), 100), Wanted::Part(range), "{field}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_gets_nothing() {
        for field in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(Wanted::of(Some(field), 100), Wanted::Nothing, "{field}");
        }
        assert_eq!(Wanted::of(Some("bytes=0-"), 0), Wanted::Nothing);
    }

    #[test]
    fn what_is_not_understood_gets_everything() {
        for field in
            ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-1", "bytes=1-2,5-6", "lines=1-2", "bytes=+1-2"]
        {
            assert_eq!(Wanted::of(Some(field), 100), Wanted::Whole, "{field}");
        }
        assert_eq!(Wanted::of(None, 100), Wanted::Whole);
        assert_eq!(Wanted::Whole.bytes(100), 0..100);
    }
}
