//! Our reading of `pacman.conf` against that of the real `pacman-conf`.

use std::path::Path;
use std::process::Command;

use p2p_pacman::PacmanConf;
use proptest::prelude::{ProptestConfig, proptest};
use proptest::{collection::vec, sample::select};

/// Configurations that pacman takes; `DIR` is the directory that they lie in.
const VALID: &[(&str, &str)] = &[
    ("an empty file", ""),
    ("comments and blanks only", "# a\n\n   # b\n\t\n"),
    ("a repository without servers", "[core]\n"),
    ("servers in order", "[core]\nServer = http://a\nServer = http://b/\nServer = http://c//\n"),
    ("$repo and $arch", "[options]\nArchitecture = x86_64\n[core]\nServer = http://m/$repo/os/$arch/\n"),
    ("$arch before its Architecture", "[core]\nServer = http://$arch\n[options]\nArchitecture = zz\n"),
    (
        "look-alikes of variables",
        "[options]\nArchitecture=a\n[r]\nServer=http://$architecture/$repository/$ARCH/${repo}\n",
    ),
    ("several variables", "[options]\nArchitecture=a\n[r]\nServer = $repo$repo$arch$$arch$\n"),
    ("architectures of several kinds", "[options]\nArchitecture = auto x86_64_v3 auto\nArchitecture = i686\n"),
    ("architecture auto in a server", "[options]\nArchitecture = auto\n[core]\nServer = http://m/$arch\n"),
    ("an Architecture without a word", "[options]\nArchitecture =\nArchitecture = \n"),
    ("cache directories in one line and several", "[options]\nCacheDir = /a   /b/\nCacheDir=/c\n"),
    ("quotes, backslashes and tabs in CacheDir", "[options]\nCacheDir = '/a b'/c\\ d \"x\\\"y\" \\\\z /p\t/q\n"),
    ("the first DBPath and RootDir count", "[options]\nDBPath = /x/\nDBPath = /y\nRootDir = /r\nRootDir = /s\n"),
    ("RootDir moves the default DBPath", "[options]\nRootDir = /r\n"),
    ("RootDir with a slash", "[options]\nRootDir = /r/\n"),
    ("RootDir leaves a set DBPath alone", "[options]\nDBPath = /d\nRootDir = /r/\n"),
    ("blanks inside a path", "[options]\nDBPath = /a b\n"),
    ("options without value", "[options]\nCacheDir\nDBPath\nArchitecture\nColor\n"),
    ("options again after a repository", "[core]\nServer = http://a\n[options]\nDBPath = /z\nCacheDir = /c\n"),
    ("options twice", "[options]\nCacheDir = /a\n[options]\nCacheDir = /b\nDBPath = /d\n"),
    ("blanks around everything", "  [core]  \n\t Server \t=\t http://a \t\n"),
    ("a value with = and #", "[core]\nServer = http://a/?b=c&d=#frag # no comment\n"),
    ("# behind a section", "[core]\n[extra] # no section\nServer = http://$repo\n"),
    ("unknown directives", "[options]\nNonsense = 1\ncachedir = /x\n[core]\nserver = x\nNonsense\nServer = y\n"),
    ("blanks inside a section's name", "[ core ]\nServer = http://$repo\n"),
    ("an open bracket is no section", "[core]\n[extra\nServer = http://$repo\n"),
    ("odd names", "[archlinuxcn.x]\nServer = a\n[home_a+b]\nServer = b\n[-]\n"),
    ("an empty server", "[core]\nServer =\nServer = \nServer = /\n"),
    ("CR LF", "[options]\r\nArchitecture = a\r\n[core]\r\nServer = http://a/$arch\r\n"),
    ("no newline at the end", "[core]\nServer = http://a"),
    ("vertical tab and form feed", "[core]\x0b\n\x0cServer = a\x0b\n"),
    ("included servers", "[core]\nInclude = DIR/mirrors\nServer = http://last\n[extra]\nInclude = DIR/mirrors\n"),
    ("included from options", "[options]\nInclude = DIR/options\n[core]\n"),
    ("an included file may begin with a section", "Include = DIR/repository\n"),
    ("a section in an included file goes on", "[core]\nInclude = DIR/repository\nServer = http://after\n"),
    ("a glob in order", "[core]\nInclude = DIR/*.list\n"),
    ("a glob of one character", "[core]\nInclude = DIR/?.list\n"),
    ("a glob with a set", "[core]\nInclude = DIR/[!b].list\n"),
    ("a glob with two stars", "[core]\nInclude = DIR/**.list\n"),
    ("a glob with a backslash", "[core]\nInclude = DIR/\\a.list\n"),
    ("a directory is an empty file", "[core]\nInclude = DIR/subdirectory\nServer = x\n"),
    ("a glob for directories", "[core]\nInclude = DIR/sub*/*.list\n"),
    ("ten levels", "Include = DIR/level1\n"),
];

/// Configurations that pacman refuses.
const INVALID: &[(&str, &str)] = &[
    ("a directive without section", "Server = x\n"),
    ("an unknown directive without section", "Nonsense\n"),
    ("Include without value", "[core]\nInclude\n"),
    ("Include with an empty value", "[core]\nInclude =\n"),
    ("Server without value", "[core]\nServer\n"),
    ("a missing included file", "[core]\nInclude = DIR/none\n"),
    ("a glob that matches nothing", "[core]\nInclude = DIR/*.none\n"),
    ("braces are no glob", "[core]\nInclude = DIR/{a,b}.list\n"),
    ("$arch without Architecture", "[core]\nServer = http://m/$arch\n"),
    ("an included server without section", "Include = DIR/mirrors\n"),
    ("a file that includes itself", "[options]\nInclude = DIR/pacman.conf\n"),
    ("eleven levels", "Include = DIR/level0\n"),
];

/// Configurations that pacman-conf prints, but with which pacman cannot register the databases.
const UNREGISTRABLE: &[(&str, &str)] = &[
    ("a repository twice", "[core]\nServer = http://a\n[core]\nServer = http://b\n"),
    ("no name", "[]\nServer = http://a\n"),
    ("the name of the local database", "[local]\nServer = http://a\n"),
    ("a name with a slash", "[a/b]\nServer = http://a\n"),
];

#[derive(Debug, PartialEq, Default)]
struct Resolved {
    db_path: String,
    cache_dirs: Vec<String>,
    architectures: Vec<String>,
    repositories: Vec<(String, Vec<String>)>,
}

/// What `pacman-conf` prints; none where it refuses.
fn pacman_conf(path: &Path) -> Option<Resolved> {
    let output = Command::new("pacman-conf").arg("--config").arg(path).output();
    let output = output.expect("this test needs pacman-conf (package pacman, or pacman-package-manager)");
    if !output.status.success() {
        return None;
    }
    let mut resolved = Resolved::default();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            resolved.repositories.push((name.to_owned(), Vec::new()));
            continue;
        }
        let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
        match key {
            "DBPath" => value.clone_into(&mut resolved.db_path),
            "CacheDir" => resolved.cache_dirs.push(value.to_owned()),
            "Architecture" => resolved.architectures.push(value.to_owned()),
            "Server" => {
                let (_, servers) = resolved.repositories.last_mut().expect("servers follow a section");
                // pacman-conf prints the line; libalpm takes one slash away when it uses it.
                servers.push(value.strip_suffix('/').unwrap_or(value).to_owned());
            }
            _ => {}
        }
    }
    resolved.repositories.retain(|(name, _)| name != "options");
    Some(resolved)
}

fn ours(path: &Path) -> Option<Resolved> {
    let conf = PacmanConf::load(path).ok()?;
    Some(Resolved {
        db_path: conf.db_path.to_str()?.to_owned(),
        cache_dirs: conf.cache_dirs.iter().map(|path| path.to_str().map(str::to_owned)).collect::<Option<_>>()?,
        architectures: conf.architectures,
        repositories: conf.repositories.into_iter().map(|repository| (repository.name, repository.servers)).collect(),
    })
}

fn write_included_files(directory: &Path) {
    let write = |name: &str, text: &str| fs_err::write(directory.join(name), text).expect("a file");
    write("mirrors", "## Nowhere\n#Server = http://commented\nServer = http://one/$repo\nServer = http://two\n");
    write("options", "CacheDir = /included\nArchitecture = inc\n");
    write("repository", "[included]\nServer = http://inc/$repo\n");
    for name in ["a", "b", "c10", "c9", ".hidden"] {
        write(&format!("{name}.list"), &format!("Server = http://{name}\n"));
    }
    fs_err::create_dir(directory.join("subdirectory")).expect("a directory");
    write("subdirectory/x.list", "Server = http://x\n");
    for level in 0..10 {
        write(&format!("level{level}"), &format!("Include = {}/level{}\n", directory.display(), level + 1));
    }
    write("level10", "[deep]\nServer = http://deep\n");
}

/// Calls `check` with every configuration's description, path, and what both readers make of it.
fn with_each(table: &[(&str, &str)], check: impl Fn(&str, &Path, Option<Resolved>, Option<Resolved>)) {
    let directory = tempfile::tempdir().expect("a directory");
    write_included_files(directory.path());
    let path = directory.path().join("pacman.conf");
    for (description, text) in table {
        fs_err::write(&path, text.replace("DIR", directory.path().to_str().expect("UTF-8"))).expect("a file");
        check(description, &path, pacman_conf(&path), ours(&path));
    }
}

/// Paths that differ in doubled or trailing slashes are the same.
fn same_path(one: &str, other: &str) -> bool {
    Path::new(one) == Path::new(other)
}

#[test]
fn what_pacman_takes_is_read_alike() {
    with_each(VALID, |description, _, theirs, ours| {
        let theirs = theirs.unwrap_or_else(|| panic!("{description}: pacman-conf refuses it"));
        let mut ours = ours.unwrap_or_else(|| panic!("{description}: we refuse it"));
        assert!(same_path(&ours.db_path, &theirs.db_path), "{description}: {} {}", ours.db_path, theirs.db_path);
        ours.db_path.clone_from(&theirs.db_path);
        assert_eq!(ours, theirs, "{description}");
    });
}

#[test]
fn what_pacman_refuses_is_refused() {
    with_each(INVALID, |description, _, theirs, ours| {
        assert_eq!(theirs, None, "{description}: pacman-conf takes it");
        assert_eq!(ours, None, "{description}");
    });
}

#[test]
fn what_pacman_cannot_register_is_refused() {
    with_each(UNREGISTRABLE, |description, path, _, ours| {
        let db_path = path.parent().expect("a file has a directory");
        let output = Command::new("pacman").arg("--config").arg(path).arg("--dbpath").arg(db_path).arg("-Sl").output();
        let output = output.expect("this test needs pacman");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("could not register"), "{description}: {errors}");
        assert_eq!(ours, None, "{description}");
    });
}

#[test]
fn the_configuration_of_this_machine_is_read_alike() {
    let path = Path::new("/etc/pacman.conf");
    let (theirs, ours) = (pacman_conf(path).expect("a valid file"), ours(path).expect("a valid file"));
    assert_eq!(ours, theirs);
}

/// Lines to put together at random.
const LINES: &[&str] = &[
    "[options]",
    "[one]",
    "[two]",
    "[three]",
    "# [four]",
    "",
    "Architecture = x86_64",
    "Architecture = auto i686",
    "CacheDir = /a /b",
    "CacheDir =/c/",
    "DBPath = /db",
    "RootDir = /root",
    "Server = http://$repo/$arch",
    "Server=http://$repo/os//",
    "Server",
    "Color",
    "Nonsense = x",
    "Include = DIR/mirrors",
    "Include = DIR/options",
    "Include = DIR/?.list",
    "Include = DIR/none",
];

/// Whether a repository has two sections, which pacman-conf alone tolerates.
fn has_duplicates(lines: &[&str]) -> bool {
    ["[one]", "[two]", "[three]"].iter().any(|name| lines.iter().filter(|line| *line == name).count() > 1)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn any_mixture_of_lines_is_read_alike(first in select(&LINES[..4]), rest in vec(select(LINES), 0..10)) {
        let lines: Vec<&str> = [vec![first], rest].concat();
        with_each(&[("a mixture", &lines.join("\n"))], |_, _, theirs, mut ours| {
            if has_duplicates(&lines) {
                assert_eq!(ours, None, "{lines:?}");
                return;
            }
            if let (Some(ours), Some(theirs)) = (&mut ours, &theirs) {
                assert!(same_path(&ours.db_path, &theirs.db_path), "{lines:?}");
                ours.db_path.clone_from(&theirs.db_path);
            }
            assert_eq!(ours, theirs, "{lines:?}");
        });
    }
}
