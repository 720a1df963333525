//! Real pacman, with us as its `XferCommand`, below a root of its own.

use std::path::Path;
use std::process::{Command, Output};

use p2p_api::FetchRecord;

use crate::daemon::ready;
use crate::scene::{Scene, noise, said, succeeded};

pub(crate) const PACKAGES: [&str; 2] = ["alpha-1:2.0+r5-1-any.pkg.tar.zst", "beta-1-1-any.pkg.tar.zst"];

#[test]
fn pacman_refreshes_and_installs_without_a_daemon() {
    let scene = Scene::without_daemon();
    let root = repository(&scene);
    refreshes_and_installs(&scene, &root, "%u %o");
    let log = scene.mirror.log();
    assert!(log.contains(&"core.db".to_owned()) && log.contains(&PACKAGES[0].to_owned()), "{log:?}");
}

#[test]
fn pacman_refreshes_and_installs_where_the_command_line_names_no_file() {
    let scene = Scene::without_daemon();
    let root = repository(&scene);
    refreshes_and_installs(&scene, &root, "%u");
}

#[test]
fn pacman_refreshes_and_installs_from_the_daemon_alone() {
    let (say, hear) = std::sync::mpsc::channel::<std::path::PathBuf>();
    let repository_of_daemon = std::cell::OnceCell::new();
    let scene = Scene::with_daemon(move |conversation| {
        let directory = repository_of_daemon.get_or_init(|| hear.recv().unwrap());
        let path = directory.join(conversation.file_name());
        // repo-add makes core.db a link.
        let path = fs_err::canonicalize(path).unwrap();
        conversation.ok();
        conversation.say(&FetchRecord::Ready(ready(&path)));
    });
    say.send(scene.path("mirror")).unwrap();
    let root = repository(&scene);
    refreshes_and_installs(&scene, &root, "%u %o");
    assert_eq!(scene.mirror.log(), [""; 0]);
}

fn refreshes_and_installs(scene: &Scene, root: &Path, arguments: &str) {
    configure(scene, root, arguments);
    let refresh = pacman(root, &["-Sy"]);
    succeeded(&refresh);
    assert!(!said(&refresh).contains("error"), "{}", said(&refresh));
    // A second time: nothing is new, and the database stays what it is.
    succeeded(&pacman(root, &["-Sy"]));
    let installed = pacman(root, &["-S", "alpha"]);
    assert!(installed.status.success(), "{}\n{}", String::from_utf8_lossy(&installed.stdout), said(&installed));
    for name in PACKAGES {
        let cached = fs_err::read(root.join("cache").join(name)).unwrap();
        assert!(cached == fs_err::read(scene.path("mirror").join(name)).unwrap(), "{name} differs");
    }
    assert!(root.join("usr/share/alpha").exists() && root.join("usr/share/beta").exists());
    let parts = |entry: &fs_err::DirEntry| entry.path().extension().is_some_and(|extension| extension == "part");
    assert!(!fs_err::read_dir(root.join("cache")).unwrap().any(|entry| parts(&entry.unwrap())));
}

/// Writes a `pacman.conf` that runs us with `arguments`.
pub(crate) fn configure(scene: &Scene, root: &Path, arguments: &str) {
    let program = env!("CARGO_BIN_EXE_pacman2pacman-get");
    let configuration = format!(
        "[options]\nArchitecture = x86_64\nSigLevel = Never\nDBPath = {root}/var/lib/pacman/\nCacheDir = {root}/cache/\n\
         LogFile = {root}/pacman.log\nXferCommand = {program} --socket {socket} {arguments}\n[core]\nServer = {server}\n",
        root = root.display(),
        socket = scene.socket().display(),
        server = scene.url("").trim_end_matches('/'),
    );
    fs_err::write(root.join("pacman.conf"), configuration).unwrap();
}

fn pacman(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("pacman");
    command.arg("--root").arg(root).arg("--config").arg(root.join("pacman.conf")).arg("--noconfirm");
    command.args(arguments).env("LC_ALL", "C").output().unwrap()
}

/// A repository of two packages on the mirror, and an empty root to install them in.
pub(crate) fn repository(scene: &Scene) -> std::path::PathBuf {
    for (name, version, depends) in [("alpha", "1:2.0+r5-1", "depend = beta\n"), ("beta", "1-1", "")] {
        let work = scene.path(name);
        fs_err::create_dir_all(work.join("usr/share")).unwrap();
        fs_err::write(work.join("usr/share").join(name), noise(100_000, 9)).unwrap();
        let description = format!(
            "pkgname = {name}\npkgbase = {name}\npkgver = {version}\npkgdesc = x\nurl = x\nbuilddate = 1700000000\n\
             packager = Me <me@example.org>\nsize = 100000\narch = any\nlicense = GPL\n{depends}"
        );
        fs_err::write(work.join(".PKGINFO"), description).unwrap();
        let package = scene.path("mirror").join(format!("{name}-{version}-any.pkg.tar.zst"));
        let mut pack = Command::new("bsdtar");
        pack.args(["--zstd", "-cf"]).arg(package).arg("-C").arg(&work).args([".PKGINFO", "usr"]);
        succeeded(&pack.output().unwrap());
    }
    let mut add = Command::new("repo-add");
    add.current_dir(scene.path("mirror")).arg("-q").arg("core.db.tar.gz").args(PACKAGES);
    succeeded(&add.output().unwrap());
    let root = scene.path("root");
    fs_err::create_dir_all(root.join("var/lib/pacman")).unwrap();
    fs_err::create_dir_all(root.join("cache")).unwrap();
    root
}
