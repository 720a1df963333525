//! Learns what else a pacman run will ask for, and tells the daemon.
//!
//! It is done by a second process of this program, which nobody waits for: the first file must not come later because of
//! it. The list is a hint, so every failure is silent.

mod listing;

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use p2p_api::{TransactionId, TransactionRequest};
use p2p_client::Client;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::command_line::{Listing, urls};
use crate::parent;

/// The hidden option that begins a learner's command line.
pub(crate) const OPTION: &str = "--learn";

/// Set for the pacman that prints: whatever it runs must not learn in turn.
const GUARD: &str = "PACMAN2PACMAN_LEARNING";

/// What the largest upgrade takes is two or three seconds.
const LIST_WITHIN: Duration = Duration::from_secs(10);

/// What a learner is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Learner {
    pub(crate) transaction: TransactionId,
    pub(crate) socket: PathBuf,
}

/// Whether a learner has started the pacman that runs us.
pub(crate) fn is_under_way() -> bool {
    std::env::var_os(GUARD).is_some()
}

/// Starts a learner and lets it go.
pub(crate) fn begin(transaction: TransactionId, socket: &Path) {
    let Ok(socket) = std::path::absolute(socket) else { return };
    // This very program, even where an upgrade has just replaced it.
    let mut learner = Command::new("/proc/self/exe");
    learner
        .arg0("pacman2pacman-get")
        .args([OPTION, &transaction.pid.to_string(), &transaction.started.to_string(), "--socket"])
        .arg(socket);
    // A group of its own: ^C is meant for pacman, whose end the learner notices.
    learner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // We end soon, and whoever adopts it waits for it.
    let _ = learner.spawn();
}

impl Learner {
    /// Does it; None: it did not come to anything.
    pub(crate) fn run(&self) -> Option<()> {
        let TransactionId { pid, started } = self.transaction;
        let pacman = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        if parent::started(pid)? != started {
            return None;
        }
        let command_line = parent::command_line(pid)?;
        let urls = match command_line.listing() {
            Listing::Run(arguments) => print(pid, command_line.program(), &arguments, &pacman)?,
            Listing::Known(urls) => urls,
            Listing::None => return None,
        };
        let request = TransactionRequest { transaction: self.transaction, urls, with_signatures: true };
        Client::new(&self.socket).tell_transaction(&request).ok().map(drop)
    }
}

/// Has the same program that `pid` runs print what it would download.
fn print(pid: u32, program: &OsStr, arguments: &[impl AsRef<OsStr>], pacman: &OwnedFd) -> Option<Vec<String>> {
    let executable = PathBuf::from(format!("/proc/{pid}/exe"));
    // As user alpm we may not see root's.
    let is_visible = fs_err::read_link(&executable).is_ok();
    let mut command = Command::new(if is_visible { executable.as_os_str() } else { program });
    command.arg0(program).args(arguments).env(GUARD, "1").env("LC_ALL", "C");
    go_back();
    let output = listing::output(&mut command, pacman, LIST_WITHIN)?;
    Some(urls(String::from_utf8_lossy(&output).lines()))
}

/// Goes to where pacman was when its user called it: relative paths on its command line begin there. It changes into the
/// download directory before it runs us, and leaves the former one open (`cwdfd` in its conf.c). User alpm may not enter
/// root's home; then paths are absolute or lead nowhere.
fn go_back() {
    let from_shell = std::env::var_os("PWD").map(PathBuf::from);
    let _ =
        leaked_directories().into_iter().rev().chain(from_shell).any(|path| std::env::set_current_dir(path).is_ok());
}

/// The directories that are open in this process, other than by itself.
fn leaked_directories() -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir("/proc/self/fd") else { return Vec::new() };
    let mut descriptors: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    descriptors.sort_unstable();
    let paths = descriptors.into_iter().map(|descriptor| PathBuf::from(format!("/proc/self/fd/{descriptor}")));
    // To read this list is to have it open.
    let is_leaked =
        |path: &PathBuf| path.is_dir() && fs_err::read_link(path).is_ok_and(|target| !target.starts_with("/proc"));
    paths.filter(is_leaked).collect()
}
