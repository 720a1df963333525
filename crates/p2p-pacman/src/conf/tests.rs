use tempfile::TempDir;

use super::*;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let text = text.replace("DIR", directory.path().to_str().expect("a UTF-8 path"));
        fs_err::write(directory.path().join(name), text).expect("a file");
    }
    directory
}

fn load(text: &str) -> Result<PacmanConf, ConfError> {
    let directory = directory(&[("pacman.conf", text)]);
    PacmanConf::load(&directory.path().join("pacman.conf"))
}

fn message(files: &[(&str, &str)]) -> String {
    let directory = directory(files);
    let error = PacmanConf::load(&directory.path().join("pacman.conf")).expect_err("an unusable configuration");
    error.to_string().replace(directory.path().to_str().expect("a UTF-8 path"), "DIR")
}

#[test]
fn cache_servers_are_kept_apart_from_servers() {
    let conf =
        load("[options]\nArchitecture = x86_64\n[core]\nCacheServer = http://lan/$repo/$arch/\nServer = http://m\n");
    let core = &conf.expect("a valid configuration").repositories[0];
    assert_eq!(core.cache_servers, ["http://lan/core/x86_64"]);
    assert_eq!(core.servers, ["http://m"]);
}

#[test]
fn the_keyring_is_where_the_configuration_says_whatever_the_root() {
    let keyring = |text: &str| load(text).expect("a valid configuration").gpg_dir;
    assert_eq!(keyring("[options]\nRootDir = /mnt\n"), Path::new("/etc/pacman.d/gnupg/"));
    assert_eq!(keyring("[options]\nGPGDir = /keys\nGPGDir = /later\n"), Path::new("/keys"));
}

#[test]
fn who_downloads_in_pacmans_place_and_as_whom_is_told_last() {
    let conf = load("[options]\nXferCommand = /a %u\nXferCommand = /b -o %o %u\nDownloadUser = alpm\n");
    let conf = conf.expect("a valid configuration");
    assert_eq!(conf.xfer_command.as_deref(), Some("/b -o %o %u"));
    assert_eq!(conf.download_user.as_deref(), Some("alpm"));
}

#[test]
fn one_trailing_slash_is_taken_away_as_libalpm_does() {
    let conf = load("[core]\nServer = http://a/\nServer = http://b//\n").expect("a valid configuration");
    assert_eq!(conf.repositories[0].servers, ["http://a", "http://b/"]);
}

#[test]
fn errors_name_file_and_line() {
    for (text, expected) in [
        ("Server = x\n", "DIR/pacman.conf, line 1: Server must belong to a section"),
        ("#\n[core]\nServer\n", "DIR/pacman.conf, line 3: Server needs a value"),
        ("[core]\nInclude\n", "DIR/pacman.conf, line 2: Include needs a value"),
        ("[core]\nInclude = DIR/none\n", "DIR/pacman.conf, line 2: an included file cannot be read"),
        ("[core]\nInclude = DIR/*.none\n", "DIR/pacman.conf, line 2: an included file cannot be read"),
        ("[core]\nInclude = DIR/[\n", "DIR/pacman.conf, line 2: Include has a pattern that cannot be understood"),
        ("[core]\nServer = a\n[core]\n", "DIR/pacman.conf, line 3: the repository core has a section already"),
        ("[local]\n", "DIR/pacman.conf, line 1: \"local\" is no name for a repository"),
        ("[]\n", "DIR/pacman.conf, line 1: \"\" is no name for a repository"),
        ("[a/b]\n", "DIR/pacman.conf, line 1: \"a/b\" is no name for a repository"),
        (
            "[core]\nServer = http://m/$arch\n",
            "DIR/pacman.conf, line 2: the server http://m/$arch contains $arch, but no Architecture is set",
        ),
        ("[a]\nInclude = DIR/pacman.conf\n", "DIR/pacman.conf, line 1: the repository a has a section already"),
        ("[options]\nInclude = DIR/pacman.conf\n", "DIR/pacman.conf, line 2: Include is nested more than 10 deep"),
    ] {
        assert_eq!(message(&[("pacman.conf", text)]), expected, "{text}");
    }
    assert_eq!(
        message(&[("pacman.conf", "[core]\nInclude = DIR/list\n"), ("list", "\n\nServer\n")]),
        "DIR/list, line 3: Server needs a value"
    );
    let missing = PacmanConf::load(Path::new("/nonexistent/pacman.conf")).expect_err("no such file");
    let cause = std::error::Error::source(&missing).expect("a cause").to_string();
    assert!(cause.contains("/nonexistent/pacman.conf"), "{cause}");
}

#[test]
fn text_that_is_not_utf8_matters_only_where_it_is_used() {
    let directory = directory(&[]);
    let path = directory.path().join("pacman.conf");
    fs_err::write(&path, b"# \xff\n[options]\nIgnorePkg = \xff\n[core]\nServer = a\n").expect("a file");
    assert_eq!(PacmanConf::load(&path).expect("a valid configuration").repositories[0].servers, ["a"]);
    fs_err::write(&path, b"[options]\nDBPath = /\xff\n").expect("a file");
    assert!(matches!(PacmanConf::load(&path), Err(ConfError::NotText { .. })));
}

#[test]
fn included_files_and_glob_directories_are_sources() {
    let files = [("pacman.conf", "[a]\nInclude = DIR/list\n[b]\nInclude = DIR/list\nInclude = DIR/*.conf.more\n")];
    let directory = directory(&files);
    for name in ["list", "x.conf.more"] {
        fs_err::write(directory.path().join(name), "Server = http://m/$repo\n").expect("a file");
    }
    let conf = PacmanConf::load(&directory.path().join("pacman.conf")).expect("a valid configuration");
    let expected = ["pacman.conf", "list", "", "x.conf.more"].map(|name| directory.path().join(name));
    assert_eq!(conf.sources(), expected);
    assert_eq!(conf.repositories[1].servers, ["http://m/b", "http://m/b"]);
}

#[test]
fn an_include_of_everything_ends() {
    // Ten levels of a directory that includes itself would be 4^10 files.
    let loop_text = "Include = DIR/?.conf\n";
    let names = ["1.conf", "2.conf", "3.conf", "4.conf"];
    let directory = directory(&names.map(|name| (name, loop_text)));
    let error = PacmanConf::load(&directory.path().join("1.conf")).expect_err("endless");
    assert!(matches!(error, ConfError::TooDeep { .. } | ConfError::TooManyFiles { .. }), "{error}");
}
