//! What happens without a daemon.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};

use crate::mirror::MODIFIED;
use crate::scene::{NAME, Scene, modified, noise, said, succeeded, wait_until};

const NOTICE: &str = "p2pd is not running; trying the URL itself\n";

#[test]
fn it_downloads_by_itself_and_says_so_in_one_line() {
    let scene = Scene::without_daemon();
    let bytes = noise(100_000, 1);
    scene.offer(NAME, &bytes);
    let output = scene.get(NAME);
    succeeded(&output);
    assert_eq!((said(&output).as_str(), output.stdout.len()), (NOTICE, 0));
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), bytes);
    assert_eq!(modified(&scene.out(NAME)), MODIFIED);
}

#[test]
fn a_part_of_a_package_is_continued_whatever_its_length() {
    let bytes = noise(100_000, 2);
    for (there, log) in [
        (&bytes[..1], vec![NAME.to_owned()]),
        (&bytes[..40_000], vec![format!("{NAME} bytes=39999-")]),
        (&bytes[..], vec![format!("{NAME} bytes=99999-")]),
        (&[&bytes[..], b"more than there is"].concat(), vec![format!("{NAME} bytes=100017-"), NAME.to_owned()]),
    ] {
        let scene = Scene::without_daemon();
        scene.offer(NAME, &bytes);
        fs_err::write(scene.out(NAME), there).unwrap();
        succeeded(&scene.get(NAME));
        assert!(fs_err::read(scene.out(NAME)).unwrap() == bytes, "from {} bytes", there.len());
        assert_eq!(scene.mirror.log(), log, "from {} bytes", there.len());
    }
}

#[test]
fn a_mirror_that_can_not_continue_sends_it_all() {
    let scene = Scene::without_daemon();
    scene.mirror.ignore_ranges();
    scene.offer(NAME, b"the whole package");
    fs_err::write(scene.out(NAME), "the whole").unwrap();
    succeeded(&scene.get(NAME));
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), b"the whole package");
}

#[test]
fn a_link_in_place_of_a_part_is_replaced_and_not_followed() {
    let scene = Scene::without_daemon();
    scene.offer(NAME, b"package");
    fs_err::write(scene.path("precious"), "precious").unwrap();
    symlink(scene.path("precious"), scene.out(NAME)).unwrap();
    succeeded(&scene.get(NAME));
    assert!(fs_err::symlink_metadata(scene.out(NAME)).unwrap().is_file());
    assert_eq!(fs_err::read(scene.path("precious")).unwrap(), b"precious");
}

#[test]
fn a_database_is_never_continued() {
    let scene = Scene::without_daemon();
    scene.offer("core.db", b"the new database");
    fs_err::write(scene.out("core.db"), "the old").unwrap();
    succeeded(&scene.get("core.db"));
    assert_eq!(fs_err::read(scene.out("core.db")).unwrap(), b"the new database");
    assert_eq!(scene.mirror.log(), ["core.db"]);
}

#[test]
fn an_unchanged_database_is_copied_from_the_installed_one() {
    let scene = Scene::without_daemon();
    scene.offer("core.db", b"must not be sent");
    install_database(&scene, &scene.path("cache/core.db"));
    succeeded(&scene.get("core.db"));
    assert_eq!(fs_err::read(scene.out("core.db")).unwrap(), b"installed");
    assert_eq!(modified(&scene.out("core.db")), MODIFIED);

    let temporary = scene.path("cache/download-aB3xYz");
    fs_err::create_dir(&temporary).unwrap();
    let out = temporary.join("core.db.part");
    succeeded(&scene.program().arg(scene.url("core.db")).arg(&out).output().unwrap());
    assert_eq!(fs_err::read(&out).unwrap(), b"installed");

    succeeded(&scene.program().arg(scene.url("core.db")).output().unwrap());
    assert_eq!(fs_err::read(scene.path("cache/core.db")).unwrap(), b"installed");
    let condition = "core.db Tue, 14 Nov 2023 22:13:20 GMT";
    assert_eq!(scene.mirror.log(), [condition; 3]);
}

#[test]
fn a_user_who_refreshes_twice_gets_the_database_anew() {
    let scene = Scene::without_daemon();
    scene.offer("core.db", b"anew");
    install_database(&scene, &scene.path("cache/core.db"));
    let program = env!("CARGO_BIN_EXE_pacman2pacman-get");
    let script = scene.path("pacman");
    fs_err::write(
        &script,
        format!("#!/bin/sh\n{program} {} {}\ntrue\n", scene.url("core.db"), scene.out("core.db").display()),
    )
    .unwrap();
    fs_err::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let pacman = std::process::Command::new(&script).arg("-Syy").env("P2PD_SOCKET", scene.socket()).status().unwrap();
    assert!(pacman.success());
    assert_eq!(fs_err::read(scene.out("core.db")).unwrap(), b"anew");
}

#[test]
fn what_is_nowhere_fails_and_leaves_nothing() {
    let scene = Scene::without_daemon();
    let output = scene.get(NAME);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("404"), "{}", said(&output));
    assert_eq!(said(&scene.get("core.db.sig")), NOTICE);
    assert_eq!(scene.program().arg(scene.url(NAME)).output().unwrap().status.code(), Some(1));
    assert_eq!(scene.cache(), [""; 0]);
}

#[test]
fn a_web_page_is_not_taken_for_what_pacman_wants() {
    let scene = Scene::without_daemon();
    for name in [NAME, "core.db", "core.db.sig"] {
        scene.offer(name, b"<!DOCTYPE html><title>Log in</title>");
        assert_eq!(scene.get(name).status.code(), Some(1), "{name}");
    }
    assert!(said(&scene.get(NAME)).contains("login"));
    assert_eq!(scene.cache(), [""; 0]);
}

#[test]
fn a_failure_leaves_a_part_that_is_a_prefix_and_not_complete() {
    let scene = Scene::without_daemon();
    let prefix = noise(1000, 3);
    fs_err::write(scene.out(NAME), &prefix).unwrap();
    assert_eq!(scene.get(NAME).status.code(), Some(1));
    let left = fs_err::read(scene.out(NAME)).unwrap();
    assert!(left.len() < 1000 && prefix.starts_with(&left));
}

#[test]
fn pacman_6_0_gets_the_signature_too_when_there_is_one_and_no_page_instead() {
    let scene = Scene::without_daemon();
    let get = |name: &str| {
        let mut program = scene.program();
        program.env("HTTP_USER_AGENT", "pacman/6.0.2 (Linux x86_64) libalpm/13.0.2");
        succeeded(&program.arg(scene.url(name)).arg(scene.out(name)).output().unwrap());
        fs_err::read(scene.path("cache").join(format!("{name}.sig"))).ok()
    };
    for name in [NAME, "core.db", "page.pkg.tar.zst", "none.pkg.tar.zst", "gone.db"] {
        scene.offer(name, b"file");
    }
    scene.offer(&format!("{NAME}.sig"), b"\x89package");
    scene.offer("core.db.sig", b"\x89database");
    scene.offer("page.pkg.tar.zst.sig", b"<!DOCTYPE html>");
    fs_err::write(scene.path("cache/gone.db.sig"), b"\x89of an older database").unwrap();
    assert_eq!(get(NAME).unwrap(), b"\x89package");
    assert_eq!(get("core.db").unwrap(), b"\x89database");
    assert_eq!(get("page.pkg.tar.zst"), None);
    assert_eq!(get("none.pkg.tar.zst"), None);
    assert_eq!(get("gone.db"), None);
    assert!(scene.cache().iter().all(|name| !name.starts_with('.')), "{:?}", scene.cache());
}

#[test]
fn wget_does_where_there_is_no_curl_and_neither_is_said() {
    let scene = Scene::without_daemon();
    scene.offer(NAME, b"package");
    let tools = scene.path("tools");
    fs_err::create_dir(&tools).unwrap();
    let get = || {
        let mut program = scene.program();
        program.env("PATH", &tools).arg(scene.url(NAME)).arg(scene.out(NAME)).output().unwrap()
    };
    let neither = get();
    assert_eq!(neither.status.code(), Some(1));
    assert_eq!(said(&neither), format!("{NOTICE}pacman2pacman-get: there is neither curl nor wget\n"));
    symlink("/usr/bin/wget", tools.join("wget")).unwrap();
    fs_err::write(scene.out(NAME), "pack").unwrap();
    succeeded(&get());
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), b"package");
    assert_eq!(modified(&scene.out(NAME)), MODIFIED);
    fs_err::write(scene.out(NAME), "package that is too long").unwrap();
    succeeded(&get());
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), b"package");
}

#[test]
fn a_signal_ends_curl_too_and_leaves_a_prefix() {
    let scene = Scene::without_daemon();
    let bytes = noise(200_000, 5);
    scene.offer(NAME, &bytes);
    scene.mirror.stall();
    let mut child = scene.program().arg(scene.url(NAME)).arg(scene.out(NAME)).spawn().unwrap();
    let length = || fs_err::metadata(scene.out(NAME)).map_or(0, |metadata| metadata.len());
    wait_until("curl writes", || length() > 0);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let left = fs_err::read(scene.out(NAME)).unwrap();
    assert!(!left.is_empty() && left.len() < bytes.len() && bytes.starts_with(&left));
}

#[test]
fn a_file_url_is_copied_without_anybodys_help() {
    let scene = Scene::without_daemon();
    scene.offer(NAME, b"package");
    scene.offer(&format!("{NAME}.sig"), b"\x89signature");
    let url = |name: &str| format!("file://{}", scene.path("mirror").join(name).display());
    let mut program = scene.program();
    program.env("HTTP_USER_AGENT", "pacman/6.0.2").env("PATH", "");
    let output = program.arg(url(NAME)).arg(scene.out(NAME)).output().unwrap();
    succeeded(&output);
    assert_eq!(said(&output), "");
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), b"package");
    assert_eq!(scene.cache(), [format!("{NAME}.part"), format!("{NAME}.sig")]);
    let missing = scene.program().arg(url("missing")).arg(scene.out("missing")).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn wrong_usage_is_exit_status_2_and_a_directory_is_left_alone() {
    let scene = Scene::without_daemon();
    assert_eq!(scene.program().output().unwrap().status.code(), Some(2));
    assert_eq!(scene.program().args(["--frobnicate", "u"]).output().unwrap().status.code(), Some(2));
    let nonsense = scene.program().args(["nonsense", "out"]).output().unwrap();
    assert_eq!(nonsense.status.code(), Some(2), "{}", said(&nonsense));
    assert_eq!(said(&nonsense), "pacman2pacman-get: nonsense is not a URL\n");
    let output = scene.program().arg(scene.url(NAME)).arg(scene.path("cache")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is not a regular file"), "{}", said(&output));
}

fn install_database(scene: &Scene, path: &Path) {
    assert!(path.starts_with(scene.path("cache")));
    fs_err::write(path, "installed").unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
    let seconds = MODIFIED.unsigned_abs();
    file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
}
