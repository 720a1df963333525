//! From the raw URL that pacman was configured with to the one that a mirror sees.

use url::Url;

/// Why a text is no mirror's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It has a control character, or is no URL at all.
    #[error("this is no URL")]
    Malformed,
    /// It is neither HTTP nor HTTPS.
    #[error("only http and https mirrors can be asked")]
    Scheme,
}

/// Reads a URL as curl reads it for pacman, which puts file names into it as they are: `:`, `+` and what is percent-encoded
/// already stay, user name and password count, `#` and what follows is not sent.
///
/// # Errors
///
/// See [`UrlFault`].
pub fn mirror_url(text: &str) -> Result<Url, UrlFault> {
    // The URL standard would drop tabs and line ends silently, and read a backslash as a slash.
    if text.contains(char::is_control) {
        return Err(UrlFault::Malformed);
    }
    let url = Url::parse(&text.replace('\\', "%5C")).map_err(|_| UrlFault::Malformed)?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(UrlFault::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_reach_the_mirror_as_they_are() {
        for (text, path) in [
            (
                "http://m/core/libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst",
                "/core/libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst",
            ),
            ("http://m/a%3A1%2b.pkg.tar.zst", "/a%3A1%2b.pkg.tar.zst"),
            ("http://m/x~y@1!$&'()*,;=.pkg.tar", "/x~y@1!$&'()*,;=.pkg.tar"),
            ("http://m/a#1.pkg.tar.zst", "/a"),
            ("http://m/a b.pkg.tar", "/a%20b.pkg.tar"),
            ("http://m/ä.pkg.tar", "/%C3%A4.pkg.tar"),
            ("http://m/a\\b.pkg.tar", "/a%5Cb.pkg.tar"),
        ] {
            assert_eq!(mirror_url(text).expect(text).path(), path, "{text}");
        }
    }

    #[test]
    fn user_name_password_port_and_query_are_kept() {
        let url = mirror_url("https://me:p%40ss@m.example:8443/a?x=1+2").expect("a URL");
        assert_eq!((url.username(), url.password()), ("me", Some("p%40ss")));
        assert_eq!((url.port(), url.query()), (Some(8443), Some("x=1+2")));
    }

    #[test]
    fn what_is_no_mirror_is_refused() {
        for (text, fault) in [
            ("", UrlFault::Malformed),
            ("core.db", UrlFault::Malformed),
            ("http://m/a\nb", UrlFault::Malformed),
            ("http://", UrlFault::Malformed),
            ("ftp://m/a", UrlFault::Scheme),
            ("file:///a", UrlFault::Scheme),
        ] {
            assert_eq!(mirror_url(text), Err(fault), "{text:?}");
        }
    }
}
