//! What a person sees.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use p2p_api::{FetchRecord, Progress, Ready, TransactionProgress};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::daemon::{growing, ready};
use crate::scene::{NAME, Scene, noise};

#[test]
fn a_terminal_gets_pacmans_bar_as_wide_as_it_is() {
    let scene = slow_daemon();
    for columns in [40, 80, 132] {
        let screen = show(scene.program().env("TERM", "xterm").arg(scene.url(NAME)).arg(scene.out(NAME)), columns);
        let bars: Vec<&str> = screen.trim_end().split(['\r', '\n']).filter(|bar| !bar.is_empty()).collect();
        assert!(bars.len() >= 2, "{screen:?}");
        for bar in &bars {
            assert_eq!(bar.chars().count(), usize::from(columns), "{bar:?}");
        }
        assert!(bars[0].starts_with(" a-1:2.0+r5-1-any ") && bars.last().unwrap().contains("100%"), "{bars:?}");
        if columns >= 80 {
            assert!(bars[0].ends_with(" 50% p2p  50%") && bars[0].contains("[###"), "{bars:?}");
        }
        assert!(screen.ends_with("\r\n"), "{screen:?}");
    }
}

#[test]
fn the_whole_run_stands_beside_the_file() {
    let scene = daemon_in_a_run(12, 13);
    for (columns, half, whole) in [
        (50, " 50%  12/87  --:--", "100%  13/87  --:--"),
        (80, " 50%  12/87  340/900 MiB  p2p 41%  --:--", "100%  13/87  340/900 MiB  p2p 41%  --:--"),
        (
            132,
            "12/87 files, 340 of 900 MiB, 41 % from peers, --:-- left",
            "13/87 files, 340 of 900 MiB, 41 % from peers, --:-- left",
        ),
    ] {
        let screen = show(scene.program().env("TERM", "xterm").arg(scene.url(NAME)).arg(scene.out(NAME)), columns);
        let bars: Vec<&str> = screen.trim_end().split(['\r', '\n']).filter(|bar| !bar.is_empty()).collect();
        assert!(bars[0].ends_with(half) && bars.last().unwrap().ends_with(whole), "{bars:#?}");
        assert!(bars.iter().all(|bar| bar.len() == usize::from(columns)), "{bars:#?}");
    }
}

#[test]
fn a_log_gets_one_plain_line_with_the_last_file_of_a_run() {
    for (files_done, line) in [(13, ""), (87, "87 files, 340.0 MiB, 41 % from peers\n")] {
        let scene = daemon_in_a_run(12, files_done);
        let output = scene.get(NAME);
        assert_eq!((String::from_utf8(output.stdout).unwrap().as_str(), output.stderr.len()), (line, 0));
        let screen = show(scene.program().env("TERM", "dumb").arg(scene.url(NAME)).arg(scene.out(NAME)), 80);
        assert_eq!(screen.replace("\r\n", "\n"), line);
    }
}

#[test]
fn a_window_that_becomes_narrower_keeps_nothing_of_the_longer_line() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::with_daemon(move |conversation| {
        let path = directory.path().join("package");
        fs_err::write(&path, "package").unwrap();
        conversation.ok();
        conversation.say(&in_a_run(growing(&path, 3, 7), 12));
        wait.recv().unwrap();
        conversation.say(&FetchRecord::Ready(ready(&path)));
    });
    let (mut terminal, end) = terminal(132);
    let mut command = scene.program();
    let mut child = start(command.env("TERM", "xterm").arg(scene.url(NAME)).arg(scene.out(NAME)), end);
    let mut screen = Vec::new();
    let mut read_until = |terminal: &mut File, what: &str| {
        while !String::from_utf8_lossy(&screen).contains(what) {
            let mut chunk = [0; 4096];
            let count = terminal.read(&mut chunk).unwrap();
            screen.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8(std::mem::take(&mut screen)).unwrap()
    };
    assert!(read_until(&mut terminal, "left\r").contains("12/87 files"));
    resize(&terminal, 80);
    let narrower = read_until(&mut terminal, "--:--\r");
    let line = narrower.rsplit_once("\x1b[J").unwrap().1.trim_end();
    assert_eq!((line.len(), line.ends_with("12/87  340/900 MiB  p2p 41%  --:--")), (80, true), "{narrower:?}");
    go_on.send(()).unwrap();
    let last = read_until(&mut terminal, "\n");
    assert!(!last.contains('\x1b'), "the width is the same: {last:?}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_dumb_terminal_gets_nothing() {
    let scene = slow_daemon();
    for terminal in ["dumb", ""] {
        let screen = show(scene.program().env("TERM", terminal).arg(scene.url(NAME)).arg(scene.out(NAME)), 80);
        assert_eq!(screen, "");
    }
}

#[test]
fn a_bar_that_is_given_up_does_not_run_into_the_next_line() {
    let scene = Scene::with_daemon(|conversation| {
        conversation.ok();
        conversation.say(&FetchRecord::Progress(Progress { done: 1, total: Some(2), ..Default::default() }));
    });
    scene.offer(NAME, b"package");
    let screen = show(scene.program().env("TERM", "xterm").arg(scene.url(NAME)).arg(scene.out(NAME)), 80);
    assert!(screen.contains("50%\r\r\np2pd broke off: it hung up half-way; trying the URL"), "{screen:?}");
}

/// A daemon that says that half is there, and then that all is.
fn slow_daemon() -> Scene {
    let directory = tempfile::tempdir().unwrap();
    Scene::with_daemon(move |conversation| {
        let path = directory.path().join("package");
        fs_err::write(&path, noise(100_000, 1)).unwrap();
        conversation.ok();
        conversation.say(&growing(&path, 50_000, 100_000));
        conversation.say(&FetchRecord::Ready(ready(&path)));
    })
}

/// The same in a run of 87 files, of which so many are done in the middle and in the end.
fn daemon_in_a_run(before: u64, after: u64) -> Scene {
    let directory = tempfile::tempdir().unwrap();
    Scene::with_daemon(move |conversation| {
        let path = directory.path().join("package");
        fs_err::write(&path, noise(100_000, 1)).unwrap();
        conversation.ok();
        conversation.say(&in_a_run(growing(&path, 50_000, 100_000), before));
        conversation.say(&in_a_run(FetchRecord::Ready(ready(&path)), after));
    })
}

fn in_a_run(record: FetchRecord, files_done: u64) -> FetchRecord {
    const MIB: u64 = 1 << 20;
    let whole = TransactionProgress { files_done, files: 87, done: 340 * MIB, total: 900 * MIB, from_peers: 140 * MIB };
    match record {
        FetchRecord::Progress(progress) => FetchRecord::Progress(Progress { transaction: Some(whole), ..progress }),
        FetchRecord::Ready(ready) => FetchRecord::Ready(Ready { transaction: Some(whole), ..ready }),
        FetchRecord::Learn | FetchRecord::Failed(_) => record,
    }
}

/// Runs a command in a terminal; gives what it wrote there.
fn show(command: &mut Command, columns: u16) -> String {
    let (mut terminal, end) = terminal(columns);
    let mut child = start(command, end);
    let mut screen = Vec::new();
    // EIO: the last process has closed the terminal.
    let _ = terminal.read_to_end(&mut screen);
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&screen));
    String::from_utf8(screen).unwrap()
}

/// Both ends of a terminal: ours, and the one for programs.
fn terminal(columns: u16) -> (File, OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let terminal = File::from(terminal);
    resize(&terminal, columns);
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (terminal, end)
}

fn resize(terminal: &File, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// Starts a command at that end of a terminal, and closes it here.
fn start(command: &mut Command, end: OwnedFd) -> Child {
    let stream = || Stdio::from(end.try_clone().unwrap());
    let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(end);
    child
}
