//! A network namespace of a test: its name says whose it is, so that what a killed test left can be removed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fs_err as fs;

use crate::host::ip;
use crate::run;

/// Every namespace of ours begins so; then follow the test's process id and a number.
const PREFIX: &str = "p2pt-";
/// Where `ip-netns(8)` looks for files that stand in for those of `/etc`.
const ETC: &str = "/etc/netns";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A namespace, removed when dropped. Needs root.
#[derive(Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// A new one, after those of tests that were killed have been removed.
    ///
    /// # Panics
    ///
    /// Without root: then these tests cannot run, and must not look as if they had.
    #[track_caller]
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "network namespaces need root");
        sweep();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        ip(&["netns", "add", &name]);
        follow_the_common_congestion_control(&name);
        Self(name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

/// Linux' default, whatever this machine has: with BBR a mirror that has sent little stalls for 80 ms now and then, whoever asks it
/// again on the same connection, and a figure would say how this machine is set up. Where there is no cubic, it stays.
fn follow_the_common_congestion_control(namespace: &str) {
    let mut command = Command::new("ip");
    let set = "echo cubic > /proc/sys/net/ipv4/tcp_congestion_control";
    command.args(["netns", "exec", namespace, "sh", "-c", set]);
    let _ = run(command, Duration::from_secs(20));
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&self.0);
    }
}

/// The file that commands in this namespace find in the place of `/etc/<file>`.
pub(crate) fn file_in_etc(namespace: &str, file: &str) -> PathBuf {
    PathBuf::from(ETC).join(namespace).join(file)
}

fn delete(name: &str) {
    // Most have none.
    let _ = fs::remove_dir_all(PathBuf::from(ETC).join(name));
    let mut command = Command::new("ip");
    command.args(["netns", "delete", name]);
    // A failure is no reason to panic while dropping: the next test's sweep tries again.
    let ran = run(command, Duration::from_secs(20));
    if !ran.status.success() {
        eprintln!("{ran}");
    }
}

/// Removes what tests left that were killed: namespaces of processes that no longer exist.
fn sweep() {
    let Ok(entries) = fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let owner = owner.and_then(|(owner, number)| number.parse::<u32>().ok().and(owner.parse::<u32>().ok()));
        if owner.is_some_and(|owner| !std::path::Path::new(&format!("/proc/{owner}")).exists()) {
            delete(&name);
        }
    }
}
