//! Who is at the other end of the Unix socket, as the kernel says.

use std::os::fd::AsRawFd;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixStream;

use crate::socket::Socket;

/// Groups that are asked for; Linux allows 65,536, people have a few.
const MAX_GROUPS: usize = 1024;

/// A client's credentials when it connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// None where the kernel did not say.
    pub(crate) user: Option<u32>,
    /// The main group and all supplementary ones.
    pub(crate) groups: Vec<u32>,
}

impl Caller {
    fn of(stream: &UnixStream) -> Self {
        let Ok(credentials) = stream.peer_cred() else { return Self::default() };
        let mut groups = supplementary_groups(stream);
        groups.push(credentials.gid());
        Self { user: Some(credentials.uid()), groups }
    }
}

impl Connected<IncomingStream<'_, Socket>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        Self::of(stream.io().stream())
    }
}

/// The peer's supplementary groups (`SO_PEERGROUPS`, unix(7)); none where the kernel does not tell.
#[expect(unsafe_code, reason = "no library at hand wraps SO_PEERGROUPS")]
fn supplementary_groups(stream: &UnixStream) -> Vec<u32> {
    let mut groups = vec![0_u32; MAX_GROUPS];
    let mut bytes = libc::socklen_t::try_from(MAX_GROUPS * size_of::<u32>()).expect("4 KiB");
    // SAFETY: the kernel writes at most `bytes` bytes, which is the size of the buffer, and says how many.
    let result = unsafe {
        let buffer = groups.as_mut_ptr().cast();
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERGROUPS, buffer, &raw mut bytes)
    };
    groups.truncate(if result == 0 { bytes as usize / size_of::<u32>() } else { 0 });
    groups
}
