//! The URLs that a user puts into torrents, checked before anything is written.

use std::str::FromStr;

use p2p_package::FileName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// All but the unreserved characters of RFC 3986: some servers decode a raw `+` to a blank.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A tracker's announce URL, as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackerUrl(String);

/// The URL of a directory of packages, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebseedBase(String);

/// Why a URL cannot stand in a torrent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("not a URL: {0}")]
    Url(url::ParseError),
    #[error("a tracker has a URL of http, https or udp")]
    TrackerScheme,
    #[error("a udp tracker needs a host and a port: udp://host:port/announce")]
    TrackerPort,
    #[error("a webseed has a URL of http or https")]
    WebseedScheme,
    #[error("a webseed is the URL of a directory: no query, no fragment")]
    WebseedExtra,
}

impl TrackerUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrackerUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(AddressError::Url)?;
        match url.scheme() {
            "http" | "https" => Ok(Self(text.to_owned())),
            "udp" if url.port().is_some() && url.host_str().is_some_and(|host| !host.is_empty()) => {
                Ok(Self(text.to_owned()))
            }
            "udp" => Err(AddressError::TrackerPort),
            _ => Err(AddressError::TrackerScheme),
        }
    }
}

impl WebseedBase {
    /// The URL of one package below it (BEP 19).
    pub(crate) fn url_of(&self, file_name: &FileName) -> String {
        format!("{}/{}", self.0, utf8_percent_encode(file_name.as_str(), RESERVED))
    }
}

impl FromStr for WebseedBase {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(AddressError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::WebseedScheme);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::WebseedExtra);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_are_http_https_or_udp_with_a_port() {
        for text in ["http://t/announce", "https://t:8080/a?key=1", "udp://t:6969", "udp://[::1]:6969/announce"] {
            assert_eq!(text.parse::<TrackerUrl>().map(|url| url.0), Ok(text.to_owned()));
        }
        for (text, error) in [
            ("udp://t/announce", AddressError::TrackerPort),
            ("wss://t/", AddressError::TrackerScheme),
            ("t:6969", AddressError::TrackerScheme),
            ("tracker", AddressError::Url(url::ParseError::RelativeUrlWithoutBase)),
        ] {
            assert_eq!(text.parse::<TrackerUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_webseed_is_its_directory_and_the_encoded_name() {
        let name = "libz2-1:2.0+r5~a_b-1-x86_64.pkg.tar.zst".parse().expect("a package name");
        for text in ["https://m/core/os/x86_64", "https://m/core/os/x86_64/", "https://m/core/os/x86_64//"] {
            let url = text.parse::<WebseedBase>().expect("a webseed").url_of(&name);
            assert_eq!(url, "https://m/core/os/x86_64/libz2-1%3A2.0%2Br5~a_b-1-x86_64.pkg.tar.zst");
        }
        for (text, error) in [
            ("ftp://m/", AddressError::WebseedScheme),
            ("http://m/?a", AddressError::WebseedExtra),
            ("http://m/#a", AddressError::WebseedExtra),
            ("http://", AddressError::Url(url::ParseError::EmptyHost)),
        ] {
            assert_eq!(text.parse::<WebseedBase>(), Err(error), "{text}");
        }
    }
}
