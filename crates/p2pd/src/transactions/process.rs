//! Notices when the pacman of a transaction is gone.

use std::io;
use std::os::fd::OwnedFd;

use p2p_api::TransactionId;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Returns when the process has ended. Never, where it cannot be watched: it may live in another pid namespace.
pub(crate) async fn ended(id: TransactionId) {
    if let Err(error) = wait(id).await {
        tracing::debug!(pid = id.pid, %error, "a pacman cannot be watched");
        std::future::pending::<()>().await;
    }
}

/// Its id is not used again before its child, our client, has gone: so it is the process that the client means.
async fn wait(id: TransactionId) -> io::Result<()> {
    let pid = i32::try_from(id.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let process = watch(pidfd_open(pid, PidfdFlags::NONBLOCK)?)?;
    // It becomes readable when the process ends (pidfd_open(2)).
    process.readable().await.map(drop)
}

#[expect(unsafe_code, reason = "tokio has no safe way to wait for a descriptor of a kind that it does not know")]
fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is returned, and `OwnedFd` names the same one as long as it lives.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let ended = tokio::spawn(ended(TransactionId { pid: child.id(), started: 0 }));
        drop(child.stdin.take());
        let waited = tokio::time::timeout(std::time::Duration::from_secs(10), ended).await;
        waited.expect("it ends").expect("no panic");
        child.wait().expect("our child");
    }
}
