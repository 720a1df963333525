use super::*;

fn kind(url: &str) -> Result<(String, Kind), RequestError> {
    Request::from_url(url).map(|request| (request.file_name, request.kind))
}

fn repository(name: &str, servers: &[&str]) -> Repository {
    let servers = servers.iter().map(|server| (*server).to_owned()).collect();
    Repository { name: name.to_owned(), servers, cache_servers: Vec::new(), checks_packages: true }
}

#[test]
fn the_name_says_what_pacman_wants() {
    let package = || "a-1-1-any.pkg.tar.zst".parse::<FileName>().expect("a package name");
    for (name, expected) in [
        ("a-1-1-any.pkg.tar.zst", Kind::Package(package())),
        ("a-1-1-any.pkg.tar.zst.sig", Kind::Signature(package())),
        ("core.db", Kind::Database),
        ("a.b.c.db", Kind::Database),
        ("core.db.sig", Kind::DatabaseSignature),
        ("core.files", Kind::Files),
        ("core.files.sig", Kind::DatabaseSignature),
        ("core.db.tar.gz", Kind::Other),
        ("a-1-1-any.pkg.tar.zst.torrent", Kind::Other),
        ("a-1-1-any.pkg.tar.zst.sig.sig", Kind::Other),
        ("x.sig", Kind::Other),
        (".db", Kind::Other),
        ("index.html", Kind::Other),
    ] {
        let url = format!("http://mirror/core/os/x86_64/{name}");
        assert_eq!(kind(&url), Ok((name.to_owned(), expected)), "{url}");
    }
}

#[test]
fn epochs_are_read_raw_and_percent_encoded() {
    let name = "libz2-1:2.0+r5.gabc-1-x86_64.pkg.tar.zst";
    let package = name.parse::<FileName>().expect("a package name");
    for written in [name, "libz2-1%3A2.0%2Br5.gabc-1-x86_64.pkg.tar.zst", "libz2-1%3a2.0+r5.gabc-1-x86_64.pkg.tar.zst"]
    {
        let request = Request::from_url(&format!("http://u:pw@mirror:8080/x/{written}")).expect("a URL");
        assert_eq!(request.kind, Kind::Package(package.clone()), "{written}");
        assert_eq!(request.file_name, name);
        assert!(request.url.as_str().ends_with(written), "{}", request.url);
    }
}

#[test]
fn queries_and_fragments_are_not_part_of_the_name() {
    let package = || "a-1-1-any.pkg.tar.zst".parse::<FileName>().expect("a package name");
    for (url, expected) in [
        ("http://h/a-1-1-any.pkg.tar.zst?token=b", Kind::Package(package())),
        ("http://h/a-1-1-any.pkg.tar.zst#part", Kind::Package(package())),
        ("http://h/a-1-1-any.pkg.tar.zst?token=b.sig", Kind::Signature(package())),
        ("http://h/a-1-1-any.pkg.tar.zst.sig?token=b", Kind::Signature(package())),
        ("http://h/get?repository=core/a-1-1-any.pkg.tar.zst", Kind::Package(package())),
        ("http://h/#frag/core.db", Kind::Database),
        ("http://h/get.php?file=a-1-1-any.pkg.tar.zst", Kind::Other),
    ] {
        assert_eq!(kind(url).map(|(_, kind)| kind), Ok(expected), "{url}");
    }
}

#[test]
fn what_is_no_download_is_refused() {
    let long = format!("http://h/{}", "a".repeat(MAX_URL_BYTES));
    for (url, expected) in [
        ("ftp://h/core.db", RequestError::Scheme),
        ("file:///srv/core.db", RequestError::Scheme),
        ("core.db", RequestError::Url(url::ParseError::RelativeUrlWithoutBase)),
        ("", RequestError::Url(url::ParseError::RelativeUrlWithoutBase)),
        ("http://", RequestError::Url(url::ParseError::EmptyHost)),
        ("http://core.db", RequestError::NoFile),
        ("http://core.db?x", RequestError::NoFile),
        ("http://h/core/", RequestError::NoFile),
        (&long, RequestError::TooLong),
    ] {
        assert_eq!(kind(url), Err(expected), "{url}");
    }
}

#[test]
fn names_that_leave_the_directory_are_no_packages() {
    for name in ["..%2fa-1-1-any.pkg.tar.zst", "a%00.pkg.tar.zst", "%2e%2e%2fcore.db", "x%2Fcore.db"] {
        assert_eq!(kind(&format!("http://h/x/{name}")).map(|(_, kind)| kind), Ok(Kind::Other), "{name}");
    }
}

#[test]
fn the_directory_names_the_repository() {
    let repositories = [
        repository("all", &["http://m"]),
        repository("core", &["http://m/core/os/x86_64", "https://two/archlinux/core"]),
        repository("extra", &["http://m/extra/os/x86_64"]),
    ];
    for (url, expected) in [
        ("http://m/core/os/x86_64/a-1-1-any.pkg.tar.zst", Some(("core", "http://m/core/os/x86_64"))),
        ("http://m:80/extra/os/x86_64/extra.db", Some(("extra", "http://m/extra/os/x86_64"))),
        ("https://two/archlinux/core/core.db", Some(("core", "https://two/archlinux/core"))),
        ("http://m/core/os/x86_64/../../../evil.db", Some(("all", "http://m"))),
        ("http://m/core/os/x86_64/%2e%2e/a.db", None),
        ("http://m/core/os/x86_64/old/a-1-1-any.pkg.tar.zst", None),
        ("http://m/core/os/x86_64/a.db?of=/a/path", Some(("core", "http://m/core/os/x86_64"))),
        ("http://mevil/core/os/x86_64/core.db", None),
        ("https://m/core/os/x86_64/core.db", None),
        ("http://two/archlinux/core/core.db", None),
    ] {
        let request = Request::from_url(url).expect("a URL");
        assert_eq!(request.below(&repositories), expected, "{url}");
    }
}

#[test]
fn repositories_that_share_a_server_are_told_apart_by_their_databases() {
    let repositories = [repository("one", &["http://m/x"]), repository("two.b", &["http://m/x"])];
    for (name, expected) in [
        ("one.db", "one"),
        ("two.b.db", "two.b"),
        ("two.b.files", "two.b"),
        ("two.b.db.sig", "two.b"),
        ("a-1-1-any.pkg.tar", "one"),
    ] {
        let request = Request::from_url(&format!("http://m/x/{name}")).expect("a URL");
        assert_eq!(request.below(&repositories).map(|(name, _)| name), Some(expected), "{name}");
    }
}

#[test]
fn a_cache_server_belongs_to_its_repository() {
    let mut core = repository("core", &["http://m/core"]);
    core.cache_servers.push("http://127.0.0.1:9717/core/os/x86_64".to_owned());
    let request = Request::from_url("http://127.0.0.1:9717/core/os/x86_64/a-1-1-any.pkg.tar.zst").expect("a URL");
    assert_eq!(request.below(&[core]), Some(("core", "http://127.0.0.1:9717/core/os/x86_64")));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", path in ".*") {
        let repositories = [repository("core", &["http://m/core", &text])];
        for url in [text, format!("http://m/core/{path}")] {
            if let Ok(request) = Request::from_url(&url) {
                let _ = request.below(&repositories);
            }
        }
    }
}
