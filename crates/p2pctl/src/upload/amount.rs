//! Durations and rates as people write them.

use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;
use p2p_api::MAX_PAUSE_SECONDS;

/// What `p2pctl limit` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    /// So many bytes a second.
    Bytes(NonZeroU64),
    /// No limit.
    Unlimited,
    /// What the configuration says.
    Default,
}

/// A second to a year.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let example = "say \"90m\", \"2h 30m\" or \"1day\", for example";
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; {example}"))?;
    if (Duration::from_secs(1)..=Duration::from_secs(MAX_PAUSE_SECONDS)).contains(&duration) {
        return Ok(duration);
    }
    Err("a pause lasts from a second to a year; without DURATION it has no end".to_owned())
}

/// A rate, `none` or `default`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "none" => return Ok(Rate::Unlimited),
        "default" => return Ok(Rate::Default),
        _ => (),
    }
    let bytes = text.strip_suffix("/s").unwrap_or(text).trim().parse::<ByteSize>();
    let bytes = bytes.map_err(|_| "say \"200KiB/s\" for example, \"none\" or \"default\"".to_owned())?;
    let nothing = || "for no limit say \"none\"; for no upload at all, p2pctl pause".to_owned();
    NonZeroU64::new(bytes.as_u64()).map(Rate::Bytes).ok_or_else(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_configuration_but_nothing_is_ambiguous() {
        let bytes = |number| Ok(Rate::Bytes(NonZeroU64::new(number).unwrap()));
        assert_eq!(rate("200KiB/s"), bytes(204_800));
        assert_eq!(rate("1MB"), bytes(1_000_000));
        assert_eq!((rate("none"), rate("default")), (Ok(Rate::Unlimited), Ok(Rate::Default)));
        assert!(rate("0").unwrap_err().contains("p2pctl pause"));
        assert!(rate("fast").is_err() && rate("").is_err() && rate("-1").is_err());
    }

    #[test]
    fn a_pause_lasts_a_second_to_a_year() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for wrong in ["0s", "10ms", "2years", "90", "soon", "-1h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
