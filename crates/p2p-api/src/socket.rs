//! Where the daemon is found.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The socket when nobody names another.
pub const DEFAULT_SOCKET: &str = "/run/p2pd/p2pd.sock";

/// The environment variable that names the socket for both clients.
pub const SOCKET_VARIABLE: &str = "P2PD_SOCKET";

/// The heartbeat file of the daemon at `socket`: the same path with `.heartbeat` appended.
#[must_use]
pub fn heartbeat_path(socket: &Path) -> PathBuf {
    let mut path = OsString::from(socket);
    path.push(".heartbeat");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heartbeat_lies_beside_the_socket() {
        assert_eq!(heartbeat_path(Path::new(DEFAULT_SOCKET)), Path::new("/run/p2pd/p2pd.sock.heartbeat"));
    }
}
