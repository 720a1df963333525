//! What the daemon's answers lead to.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use p2p_api::{FailureCode, FetchRecord, Progress, Ready, SignatureFile, heartbeat_path};
use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::{failed, growing, ready};
use crate::mirror::MODIFIED;
use crate::scene::{NAME, Scene, modified, noise, said, succeeded, wait_until};

const STORE: &str = "store";

#[test]
fn a_ready_file_is_copied_with_its_time_and_as_a_file_of_its_own() {
    let bytes = noise(300_000, 1);
    let scene = serving(bytes.clone());
    let output = scene.get(NAME);
    succeeded(&output);
    assert_eq!((said(&output).as_str(), output.stdout.len()), ("", 0));
    let out = scene.out(NAME);
    assert_eq!(fs_err::read(&out).unwrap(), bytes);
    let metadata = fs_err::symlink_metadata(&out).unwrap();
    assert_eq!((metadata.mtime(), metadata.nlink(), metadata.mode() & 0o7777), (MODIFIED, 1, 0o644));
    assert_eq!(scene.cache(), [format!("{NAME}.part")]);
    assert_eq!(scene.mirror.log(), [""; 0]);
}

#[test]
fn a_growing_file_is_followed_to_its_end() {
    let bytes = noise(900_000, 2);
    let expected = bytes.clone();
    let scene = daemon_with_store(move |conversation, store| {
        let source = store.join("growing");
        conversation.ok();
        let mut file = fs_err::File::create(&source).unwrap();
        for range in [0..0, 0..100_000, 100_000..250_001, 250_001..900_000] {
            file.write_all(&bytes[range.clone()]).unwrap();
            conversation.say(&growing(&source, range.end as u64, 900_000));
        }
        conversation.say(&FetchRecord::Ready(ready(&source)));
    });
    succeeded(&scene.get(NAME));
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), expected);
}

#[test]
fn another_source_begins_again_at_byte_0() {
    let bytes = noise(400_000, 3);
    let expected = bytes.clone();
    let scene = daemon_with_store(move |conversation, store| {
        let (wrong, right) = (store.join("wrong"), store.join("right"));
        fs_err::write(&wrong, noise(350_000, 99)).unwrap();
        fs_err::write(&right, &bytes).unwrap();
        conversation.ok();
        conversation.say(&growing(&wrong, 350_000, 400_000));
        conversation.say(&growing(&right, 10_000, 400_000));
        conversation.say(&FetchRecord::Ready(ready(&right)));
    });
    succeeded(&scene.get(NAME));
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), expected);
}

#[test]
fn a_daemon_that_refuses_or_talks_nonsense_is_done_without() {
    for (status, body, line) in [
        ("403 Forbidden", r#"{"code":"forbidden","message":"m","hint":null}"#, "p2pd does not serve this user"),
        ("503 Unavailable", r#"{"code":"unavailable","message":"it stops","hint":null}"#, "p2pd declined: it stops"),
        ("200 OK", "nonsense\n", "p2pd broke off: a record can't be read"),
        ("200 OK", "", "p2pd broke off: it hung up half-way"),
    ] {
        let scene = Scene::with_daemon(move |conversation| conversation.answer(status, body));
        falls_back(&scene, line);
    }
}

#[test]
fn a_mute_daemon_costs_300_milliseconds() {
    let scene = Scene::with_daemon(crate::daemon::Conversation::wait_for_the_end);
    let began = Instant::now();
    falls_back(&scene, "p2pd does not answer");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_stopped_daemon_costs_nothing_once_its_heartbeat_is_old() {
    let scene = Scene::with_daemon(crate::daemon::Conversation::wait_for_the_end);
    let heartbeat = fs_err::File::create(heartbeat_path(&scene.socket())).unwrap();
    heartbeat.set_modified(SystemTime::now() - Duration::from_secs(4)).unwrap();
    let began = Instant::now();
    for number in 0..20 {
        scene.offer(&format!("{number}.pkg.tar.zst"), b"package");
        assert_eq!(said(&scene.get(&format!("{number}.pkg.tar.zst"))), line("p2pd does not answer"));
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_daemon_that_dies_half_way_leaves_none_of_its_bytes() {
    let scene = daemon_with_store(|conversation, store| {
        fs_err::write(store.join("growing"), noise(600_000, 99)).unwrap();
        conversation.ok();
        conversation.say(&growing(&store.join("growing"), 600_000, 700_000));
    });
    falls_back(&scene, "p2pd broke off: it hung up half-way");
}

#[test]
fn a_file_that_is_not_the_daemons_own_is_refused() {
    type Make = fn(&Path) -> PathBuf;
    let makes: [Make; 4] = [
        |store| {
            symlink("/etc/passwd", store.join("link")).unwrap();
            store.join("link")
        },
        |store| {
            fs_err::write(store.join("one"), "x").unwrap();
            fs_err::hard_link(store.join("one"), store.join("two")).unwrap();
            store.join("one")
        },
        |store| {
            fs_err::write(store.join("foreign"), "x").unwrap();
            std::os::unix::fs::chown(store.join("foreign"), Some(65534), None).unwrap();
            store.join("foreign")
        },
        |_| PathBuf::from("/dev/zero"),
    ];
    for make in makes {
        let scene = daemon_with_store(move |conversation, store| {
            let path = make(store);
            conversation.ok();
            conversation.say(&FetchRecord::Ready(Ready { size: 1, ..ready_at(path) }));
        });
        falls_back(&scene, "p2pd named a file that is not its own");
    }
}

#[test]
fn a_file_of_another_size_than_promised_is_refused() {
    let scene = daemon_with_store(|conversation, store| {
        fs_err::write(store.join("short"), "short").unwrap();
        conversation.ok();
        conversation.say(&FetchRecord::Ready(Ready { size: 6, ..ready_at(store.join("short")) }));
    });
    falls_back(&scene, "p2pd's file is not what p2pd said");
}

#[test]
fn not_found_fails_without_asking_a_mirror_again() {
    let scene = failing(FailureCode::NotFound);
    let output = scene.get(NAME);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "pacman2pacman-get: it was not to be\n");
    assert_eq!((scene.cache(), scene.mirror.log()), (Vec::new(), Vec::new()));
}

#[test]
fn any_other_failure_leaves_the_last_word_to_the_mirror() {
    for code in [
        FailureCode::Unreachable,
        FailureCode::StillUnreachable,
        FailureCode::Mismatch,
        FailureCode::DiskFull,
        FailureCode::Internal,
    ] {
        falls_back(&failing(code), "p2pd failed: it was not to be");
    }
}

#[test]
fn without_out_the_file_is_written_under_its_name() {
    let bytes = noise(1000, 4);
    let scene = serving(bytes.clone());
    succeeded(&scene.program().arg(scene.url("core.db")).output().unwrap());
    let path = scene.path("cache").join("core.db");
    assert_eq!(fs_err::read(&path).unwrap(), bytes);
    let inode = fs_err::metadata(&path).unwrap().ino();
    succeeded(&scene.program().arg(scene.url("core.db")).output().unwrap());
    assert_eq!(fs_err::metadata(&path).unwrap().ino(), inode, "an unchanged database was written again");
    assert_eq!(scene.cache(), ["core.db"]);
}

#[test]
fn pacman_6_0_gets_signatures_beside_packages_and_databases() {
    let scene = daemon_with_store(|conversation, store| {
        let path = store.join(conversation.file_name());
        let signature = store.join("signature");
        fs_err::write(&path, "file").unwrap();
        fs_err::write(&signature, b"\x89signature").unwrap();
        let signature = conversation.request.with_signature.then_some(SignatureFile { path: signature, size: 10 });
        conversation.ok();
        conversation.say(&FetchRecord::Ready(Ready { signature, ..ready(&path) }));
    });
    for name in [NAME, "core.db"] {
        let mut program = scene.program();
        program.env("HTTP_USER_AGENT", "pacman/6.0.2 (Linux x86_64) libalpm/13.0.2");
        succeeded(&program.arg(scene.url(name)).arg(scene.out(name)).output().unwrap());
        let signature = scene.path("cache").join(format!("{name}.sig"));
        assert_eq!(fs_err::read(signature).unwrap(), b"\x89signature", "{name}");
    }
    let mut program = scene.program();
    program.env("HTTP_USER_AGENT", "pacman/7.0.0 (Linux x86_64) libalpm/15.0.0");
    succeeded(&program.arg(scene.url("extra.db")).arg(scene.out("extra.db")).output().unwrap());
    assert!(!scene.path("cache/extra.db.sig").exists());
}

#[test]
fn a_missing_signature_of_a_database_is_nothing_new_where_that_is_safe() {
    let scene = failing(FailureCode::NotFound);
    let temporary = scene.path("cache/download-aB3xYz");
    fs_err::create_dir(&temporary).unwrap();
    let out = temporary.join("core.db.sig.part");
    succeeded(&scene.program().arg(scene.url("core.db.sig")).arg(&out).output().unwrap());
    assert_eq!(fs_err::read(&out).unwrap(), b"");
    succeeded(&scene.program().arg(scene.url("core.db.sig")).output().unwrap());
    let elsewhere = scene.get("core.db.sig");
    assert_eq!((elsewhere.status.code(), said(&elsewhere).as_str()), (Some(1), ""));
    assert_eq!(scene.get(&format!("{NAME}.sig")).status.code(), Some(1));
    assert_eq!(scene.cache(), ["download-aB3xYz"]);
}

#[test]
fn an_empty_database_never_replaces_a_good_one() {
    let scene = daemon_with_store(|conversation, store| {
        fs_err::write(store.join("empty"), "").unwrap();
        conversation.ok();
        conversation.say(&FetchRecord::Ready(ready(&store.join("empty"))));
    });
    scene.offer("core.db", b"");
    let output = scene.get("core.db");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(scene.cache(), [""; 0]);
}

#[test]
fn a_signal_ends_it_at_once_and_an_earlier_part_stays_as_it_was() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scene = daemon_with_store(|conversation, store| {
            fs_err::write(store.join("growing"), noise(600_000, 99)).unwrap();
            conversation.ok();
            conversation.say(&growing(&store.join("growing"), 600_000, 600_000));
            fs_err::write(store.join("said"), "").unwrap();
            conversation.wait_for_the_end();
        });
        fs_err::write(scene.out(NAME), "a prefix").unwrap();
        let mut child = scene.program().arg(scene.url(NAME)).arg(scene.out(NAME)).spawn().unwrap();
        wait_until("the daemon spoke", || scene.path("store/said").exists());
        kill_process(Pid::from_child(&child), signal).unwrap();
        let began = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), b"a prefix");
        assert_eq!(scene.cache().len(), 1);
    }
}

#[test]
fn it_ends_when_the_pacman_that_waits_for_it_is_gone() {
    let scene = daemon_with_store(|conversation, store| {
        conversation.ok();
        conversation.say(&FetchRecord::Progress(Progress::default()));
        fs_err::write(store.join("said"), "").unwrap();
        conversation.wait_for_the_end();
        fs_err::write(store.join("hung up"), "").unwrap();
    });
    let program = env!("CARGO_BIN_EXE_pacman2pacman-get");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "\"$0\" \"$1\" \"$2\"; true", program, &scene.url(NAME)]).arg(scene.out(NAME));
    let mut pacman = shell.env("P2PD_SOCKET", scene.socket()).spawn().unwrap();
    wait_until("the daemon spoke", || scene.path("store/said").exists());
    pacman.kill().unwrap();
    pacman.wait().unwrap();
    wait_until("the client hung up", || scene.path("store/hung up").exists());
    assert_eq!(scene.cache(), [""; 0]);
}

#[test]
fn closed_streams_and_a_strict_umask_are_no_obstacle() {
    let scene = serving(b"package".to_vec());
    let script = "umask 077; exec \"$0\" \"$1\" \"$2\" <&- >&- 2>&-";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_pacman2pacman-get"), &scene.url(NAME)]).arg(scene.out(NAME));
    assert!(shell.env("P2PD_SOCKET", scene.socket()).status().unwrap().success());
    assert_eq!(fs_err::read(scene.out(NAME)).unwrap(), b"package");
    assert_eq!(fs_err::metadata(scene.out(NAME)).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_target_that_can_not_be_written_fails_without_a_second_download() {
    let scene = serving(b"package".to_vec());
    let output = scene.program().args([&scene.url(NAME), "/nonexistent/a.part"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "pacman2pacman-get: can't write /nonexistent/a.part: No such file or directory (os error 2)\n"
    );
    assert_eq!(scene.mirror.log(), [""; 0]);
}

/// A daemon that has everything, and it is always the same.
fn serving(bytes: Vec<u8>) -> Scene {
    daemon_with_store(move |conversation, store| {
        let path = store.join(conversation.file_name());
        fs_err::write(&path, &bytes).unwrap();
        conversation.ok();
        conversation.say(&FetchRecord::Ready(ready(&path)));
    })
}

fn failing(code: FailureCode) -> Scene {
    Scene::with_daemon(move |conversation| {
        conversation.ok();
        conversation.say(&failed(code));
    })
}

/// A daemon that knows the scene's store: it lies beside the cache of the client that asks.
fn daemon_with_store(converse: impl Fn(&mut crate::daemon::Conversation, &Path) + Send + 'static) -> Scene {
    let (say, hear) = std::sync::mpsc::channel::<PathBuf>();
    let store = std::cell::OnceCell::new();
    let scene = Scene::with_daemon(move |conversation| {
        converse(conversation, store.get_or_init(|| hear.recv().unwrap()));
    });
    say.send(scene.path(STORE)).unwrap();
    scene
}

fn ready_at(path: PathBuf) -> Ready {
    Ready {
        path,
        size: 0,
        modified: None,
        verified: true,
        from_peers: 0,
        from_mirrors: 0,
        signature: None,
        transaction: None,
    }
}

/// The right file comes from the mirror, and one line says why.
#[track_caller]
fn falls_back(scene: &Scene, reason: &str) {
    let bytes = noise(700_000, 7);
    scene.offer(NAME, &bytes);
    let output = scene.get(NAME);
    succeeded(&output);
    assert_eq!(said(&output), line(reason));
    assert!(fs_err::read(scene.out(NAME)).unwrap() == bytes, "other bytes than the mirror's");
    assert_eq!(modified(&scene.out(NAME)), MODIFIED);
    assert_eq!((scene.cache().len(), scene.mirror.log()), (1, vec![NAME.to_owned()]));
}

fn line(reason: &str) -> String {
    format!("{reason}; trying the URL itself\n")
}
