//! What the path of a request asks for.

use p2p_pacman::{Kind, Request};
use percent_encoding::percent_decode_str;
use url::Url;

/// The longest path that is looked at, in bytes, percent-encoding included.
const MAX_PATH_BYTES: usize = 2 * 1024;

/// A file of a repository: `/<repository>/os/<architecture>/<file>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) repository: String,
    pub(super) architecture: String,
    pub(super) file_name: String,
    pub(super) kind: Kind,
}

impl Asked {
    /// Reads a path, raw or percent-encoded; none where it can name no file of a repository.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut segments = path.get(..MAX_PATH_BYTES.min(path.len()))?.strip_prefix('/')?.split('/').map(decoded);
        let mut next = || segments.next().flatten();
        let (repository, os, architecture, file_name) = (next()?, next()?, next()?, next()?);
        if os != "os" || path.len() > MAX_PATH_BYTES || segments.next().is_some() {
            return None;
        }
        let kind = Request::from_url(&format!("http://mirror/{file_name}")).ok()?.kind;
        let is_file = match &kind {
            Kind::Package(_) | Kind::Signature(_) => true,
            Kind::Database | Kind::Files | Kind::DatabaseSignature => is_database_of(&repository, &file_name),
            Kind::Other => false,
        };
        is_file.then_some(Self { repository, architecture, file_name, kind })
    }

    /// Where the file is below a `Server`.
    pub(super) fn below(&self, server: &str) -> Option<Url> {
        Url::parse(&format!("{server}/{}", self.file_name)).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    }
}

/// One segment without percent-encoding; none where it could mean anything else than a plain name in another URL.
fn decoded(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"/\\?#%".contains(c);
    (!name.is_empty() && name != "." && name != ".." && name.chars().all(is_plain)).then(|| name.into_owned())
}

fn is_database_of(repository: &str, file_name: &str) -> bool {
    let name = file_name.strip_suffix(".sig").unwrap_or(file_name);
    name.strip_prefix(repository).is_some_and(|suffix| matches!(suffix, ".db" | ".files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_name(path: &str) -> Option<String> {
        Asked::parse(path).map(|asked| asked.file_name)
    }

    #[test]
    fn a_path_is_read_raw_and_percent_encoded() {
        let name = "libz2-1:2.0+r5-1-x86_64.pkg.tar.zst";
        for path in
            [format!("/core/os/x86_64/{name}"), "/core/os/x86_64/libz2-1%3A2.0%2Br5-1-x86_64.pkg.tar.zst".into()]
        {
            let asked = Asked::parse(&path).expect("a package");
            assert_eq!((asked.repository.as_str(), asked.architecture.as_str()), ("core", "x86_64"));
            assert_eq!(asked.file_name, name);
            assert_eq!(asked.kind, Kind::Package(name.parse().expect("a package's name")));
            let url = asked.below("http://mirror/core").expect("a URL");
            assert_eq!(url.as_str(), format!("http://mirror/core/{name}"));
        }
    }

    #[test]
    fn packages_databases_and_their_signatures_are_files_of_a_repository_and_nothing_else_is() {
        for name in ["core.db", "core.files", "core.db.sig", "core.files.sig", "a-1-1-any.pkg.tar.zst.sig"] {
            assert_eq!(file_name(&format!("/core/os/x86_64/{name}")).as_deref(), Some(name));
        }
        for path in [
            "/",
            "/core/os/x86_64/",
            "/core/os/x86_64/extra.db",
            "/core/os/x86_64/core.db.tar.gz",
            "/core/os/x86_64/index.html",
            "/core/x86_64/core.db",
            "/core/os/x86_64/more/core.db",
            "core/os/x86_64/core.db",
            "/core/os/x86_64/%2e%2e",
            "/core/os/x86_64/..%2f..%2fcore.db",
            "/core/os/x86_64/a%3Fb-1-1-any.pkg.tar.zst",
            "/core/os/x86_64/a%00-1-1-any.pkg.tar.zst",
            "/core/os/x86_64/a%ff-1-1-any.pkg.tar.zst",
        ] {
            assert_eq!(file_name(path), None, "{path}");
        }
        assert_eq!(file_name(&format!("/core/os/x86_64/{}.pkg.tar", "a".repeat(3000))), None);
    }

    #[test]
    fn only_http_servers_are_for_us() {
        let asked = Asked::parse("/core/os/x86_64/core.db").expect("a database");
        assert_eq!(asked.below("file:///srv/core"), None);
        assert_eq!(
            asked.below("https://mirror/core/").map(String::from).as_deref(),
            Some("https://mirror/core//core.db")
        );
    }
}
