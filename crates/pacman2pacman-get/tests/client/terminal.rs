//! What a person sees.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use p2p_api::FetchRecord;
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
        conversation.say(&FetchRecord::Progress(p2p_api::Progress { done: 1, total: Some(2), ..Default::default() }));
    });
    scene.offer(NAME, b"package");
    let screen = show(scene.program().env("TERM", "xterm").arg(scene.url(NAME)).arg(scene.out(NAME)), 80);
    assert!(screen.contains("50%\r\r\np2pd broke off: it hung up half-way: downloading"), "{screen:?}");
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

/// Runs a command in a terminal; gives what it wrote there.
fn show(command: &mut Command, columns: u16) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end: OwnedFd = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let stream = || Stdio::from(end.try_clone().unwrap());
    let mut child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(end);
    let mut screen = Vec::new();
    // EIO: the last process has closed the terminal.
    let _ = File::from(terminal).read_to_end(&mut screen);
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&screen));
    String::from_utf8(screen).unwrap()
}
