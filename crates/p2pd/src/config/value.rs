//! What one value of the configuration means; each error says what would be right.

use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use glob::{Pattern, PatternError};
use toml::de::DeValue;
use url::Url;

pub(crate) fn text(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("a string is needed, not a {}", value.type_str()))?;
    if text.contains('\0') { Err("a string without NUL is needed".to_owned()) } else { Ok(text.to_owned()) }
}

pub(crate) fn switch(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("true or false is needed, not a {}", value.type_str()))
}

pub(crate) fn absolute_path(value: &DeValue<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err(format!("{} is not an absolute path", path.display())) }
}

pub(crate) fn listen_address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("{text:?} is not \"address:port\", for example \"[::]:6881\""))
}

pub(crate) fn optional_listen_address(value: &DeValue<'_>) -> Result<Option<SocketAddr>, String> {
    if text(value)?.is_empty() { Ok(None) } else { listen_address(value).map(Some) }
}

pub(crate) fn listen_address_v4(value: &DeValue<'_>) -> Result<SocketAddrV4, String> {
    match listen_address(value)? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(address) => Err(format!("{address} is IPv6; the DHT needs an IPv4 address")),
    }
}

/// A rate as in `"2MiB/s"`; `"0"` is no limit.
pub(crate) fn rate(value: &DeValue<'_>) -> Result<Option<NonZeroU64>, String> {
    let text = text(value)?;
    let rate = bytes_a_second(&text).map(NonZeroU64::new);
    rate.ok_or_else(|| format!("{text:?} is not a rate, for example \"2MiB/s\"; \"0\" is no limit"))
}

/// A rate as in `"200KiB/s"`; `"0"` is nothing at all.
pub(crate) fn rate_or_nothing(value: &DeValue<'_>) -> Result<Option<NonZeroU64>, String> {
    let text = text(value)?;
    let rate = bytes_a_second(&text).map(NonZeroU64::new);
    rate.ok_or_else(|| format!("{text:?} is not a rate, for example \"200KiB/s\"; \"0\" is no upload"))
}

fn bytes_a_second(text: &str) -> Option<u64> {
    text.strip_suffix("/s").unwrap_or(text).trim().parse::<ByteSize>().ok().map(|bytes| bytes.as_u64())
}

pub(crate) fn size(value: &DeValue<'_>) -> Result<u64, String> {
    let text = text(value)?;
    let size = text.parse::<ByteSize>();
    size.map(|size| size.as_u64()).map_err(|_| format!("{text:?} is not a size, for example \"10GiB\""))
}

/// A size; `"0"` is no cap.
pub(crate) fn cap(value: &DeValue<'_>) -> Result<Option<NonZeroU64>, String> {
    let text = text(value)?;
    let size = text.parse::<ByteSize>();
    let size = size.map_err(|_| format!("{text:?} is not a size, for example \"100GiB\"; \"0\" is no cap"))?;
    Ok(NonZeroU64::new(size.as_u64()))
}

/// A glob pattern of package names, or of `repository/name`.
pub(crate) fn package_pattern(value: &DeValue<'_>) -> Result<Pattern, String> {
    let text = text(value)?;
    if text.is_empty() {
        return Err("an empty pattern matches nothing".to_owned());
    }
    if text.matches('/').count() > 1 {
        return Err(format!("{text:?} has more than one slash; a pattern is \"name\" or \"repository/name\""));
    }
    let explain =
        |error: PatternError| format!("{text:?} is not a pattern: {} (at character {})", error.msg, error.pos + 1);
    Pattern::new(&text).map_err(explain)
}

pub(crate) fn duration_up_to(most: Duration) -> impl FnOnce(&DeValue<'_>) -> Result<Duration, String> {
    move |value| {
        let text = text(value)?;
        let duration = humantime::parse_duration(&text);
        let duration = duration.map_err(|_| format!("{text:?} is not a time, for example \"6s\" or \"500ms\""))?;
        let least = Duration::from_millis(100);
        if (least..=most).contains(&duration) {
            return Ok(duration);
        }
        let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
        Err(format!("{text:?} is outside {least} to {most}"))
    }
}

pub(crate) fn count(range: std::ops::RangeInclusive<usize>) -> impl FnOnce(&DeValue<'_>) -> Result<usize, String> {
    move |value| {
        let number = value.as_integer().and_then(|integer| {
            usize::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number))
        });
        number.ok_or_else(|| format!("a whole number from {} to {} is needed", range.start(), range.end()))
    }
}

/// `"host:port"`, the host a name or an address, IPv6 in brackets.
pub(crate) fn host_and_port(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    let parts = text.rsplit_once(':').filter(|(host, port)| {
        let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        let clean = !host.contains(|c: char| c.is_whitespace() || c == '/');
        !host.is_empty() && !bare_ipv6 && clean && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if parts.is_some() { Ok(text) } else { Err(format!("{text:?} is not \"host:port\"; IPv6 needs brackets")) }
}

pub(crate) fn tracker(value: &DeValue<'_>) -> Result<Url, String> {
    let text = text(value)?;
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "udp" | "http" | "https") && url.has_host());
    url.ok_or_else(|| format!("{text:?} is not a tracker's udp:// or http(s):// URL"))
}

/// A URL with `{filename}` where the package's file name belongs.
pub(crate) fn metainfo_template(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    let example = text.replace("{filename}", "a");
    let valid = Url::parse(&example).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if valid && example != text {
        return Ok(text);
    }
    Err(format!("{text:?} is not an http(s) URL with {{filename}} in it"))
}
