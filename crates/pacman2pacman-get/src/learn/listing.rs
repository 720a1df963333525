//! A program run for what it prints, bounded in time and size.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Arch has 15,000 packages, and a URL has about a hundred bytes.
const MAX_OUTPUT: usize = 4 << 20;

/// What `command` prints; None: it failed, took longer than `within`, printed more than 4 MiB, or `pacman` (a pidfd) has
/// ended meanwhile. In any case nothing of it is left.
pub(super) fn output(command: &mut Command, pacman: impl AsFd, within: Duration) -> Option<Vec<u8>> {
    let ends = Instant::now() + within;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().ok()?;
    let printed = gather(&mut child, pacman.as_fd(), ends);
    // Its number is not given to another before we have waited for it.
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let status = child.wait().ok()?;
    printed.filter(|_| status.success())
}

/// What the child has printed by its end.
fn gather(child: &mut Child, pacman: BorrowedFd<'_>, ends: Instant) -> Option<Vec<u8>> {
    let mut stdout = child.stdout.take()?;
    let mut printed = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        wait_for(stdout.as_fd(), pacman, ends)?;
        match stdout.read(&mut chunk).ok()? {
            0 => break,
            count if printed.len() + count > MAX_OUTPUT => return None,
            count => printed.extend_from_slice(&chunk[..count]),
        }
    }
    let descriptor = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()?;
    wait_for(descriptor.as_fd(), pacman, ends)?;
    Some(printed)
}

/// Waits until `awaited` has something to say; None: time is up, or pacman has ended.
fn wait_for(awaited: BorrowedFd<'_>, pacman: BorrowedFd<'_>, ends: Instant) -> Option<()> {
    loop {
        let left = ends.checked_duration_since(Instant::now())?.try_into().ok()?;
        let mut polled =
            [PollFd::from_borrowed_fd(awaited, PollFlags::IN), PollFd::from_borrowed_fd(pacman, PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Ok(0) => return None,
            Ok(_) if !polled[1].revents().is_empty() => return None,
            Ok(_) => return Some(()),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{getpid, test_kill_process};

    use super::*;

    /// Nobody sleeps this long in a test: it is killed before.
    const LONG: &str = "sleep 1000";

    fn of_shell(script: &str, within: Duration) -> Option<Vec<u8>> {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        output(Command::new("sh").args(["-c", script]), &own, within)
    }

    fn is_alive(pid: &str) -> bool {
        test_kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap()).is_ok()
    }

    #[test]
    fn what_a_program_prints_is_what_there_is_if_it_succeeds() {
        let within = Duration::from_mins(1);
        assert_eq!(of_shell("echo a; echo b; echo c >&2", within).unwrap(), b"a\nb\n");
        assert_eq!(of_shell("read line || echo none", within).unwrap(), b"none\n", "it reads nobody's input");
        assert_eq!(of_shell("echo a; exit 1", within), None);
        assert_eq!(of_shell("echo a; kill -9 $$", within), None);
        assert_eq!(output(&mut Command::new("/nonexistent"), std::io::stdin(), within), None);
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        for (number, ending) in [LONG, "exec >&-; sleep 1000"].into_iter().enumerate() {
            let file = directory.path().join(number.to_string());
            let script = format!("sleep 1000 & echo $! > {0}.child; echo $$ > {0}; echo a; {ending}", file.display());
            let began = Instant::now();
            assert_eq!(of_shell(&script, Duration::from_millis(500)), None);
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
            assert!(!is_alive(&fs_err::read_to_string(&file).unwrap()));
            let child = fs_err::read_to_string(file.with_extension("child")).unwrap();
            // Its adopter has to wait for it first.
            while is_alive(&child) {
                assert!(began.elapsed() < Duration::from_secs(20), "{child} is left");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_program_that_prints_without_end_is_killed() {
        assert_eq!(of_shell("exec yes", Duration::from_mins(1)), None);
    }

    #[test]
    fn nobody_waits_for_the_list_of_a_pacman_that_has_ended() {
        let mut pacman = Command::new("true").spawn().unwrap();
        let descriptor = pidfd_open(Pid::from_child(&pacman), PidfdFlags::empty()).unwrap();
        pacman.wait().unwrap();
        let began = Instant::now();
        assert_eq!(output(Command::new("sh").args(["-c", LONG]), &descriptor, Duration::from_mins(1)), None);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}
