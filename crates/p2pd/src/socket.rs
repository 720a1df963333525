//! The daemon's socket: open to everybody, but nobody may take all of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use fs_err as fs;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};

/// Connections of one user at one time: pacman needs one, a person a few.
const CONNECTIONS_PER_USER: usize = 128;

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("the socket {0} cannot be opened")]
    Unusable(PathBuf, #[source] io::Error),
    #[error("another p2pd answers at {0}")]
    InUse(PathBuf),
}

/// Accepts clients; who has too many connections already is hung up on.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    users: Arc<Users>,
}

/// How many connections each user has.
#[derive(Debug, Default)]
struct Users(Mutex<BTreeMap<u32, usize>>);

/// One client's connection.
#[derive(Debug)]
pub(crate) struct ClientStream {
    stream: UnixStream,
    user: u32,
    users: Arc<Users>,
}

impl Socket {
    /// Opens the socket for everybody: who may do what is decided by the kernel's word on who called.
    pub(crate) fn open(path: &Path) -> Result<Self, SocketError> {
        let failed = |error| SocketError::Unusable(path.to_owned(), error);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(SocketError::InUse(path.to_owned()));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        // Before anybody can connect: a client tells by the file's age that we hang, should we never come to touch it.
        fs::write(p2p_api::heartbeat_path(path), b"").map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(path, everybody).map_err(failed)?;
        Ok(Self { listener, users: Arc::default() })
    }

    async fn next(&mut self) -> (ClientStream, tokio::net::unix::SocketAddr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            let Ok(user) = stream.peer_cred().map(|credentials| credentials.uid()) else { continue };
            if self.users.enter(user) {
                return (ClientStream { stream, user, users: Arc::clone(&self.users) }, address);
            }
            tracing::debug!(user, "a user has too many connections");
        }
    }
}

impl axum::serve::Listener for Socket {
    type Io = ClientStream;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Users {
    /// Counts one more connection, if that is not too many.
    fn enter(&self, user: u32) -> bool {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = users.entry(user).or_default();
        let welcome = *connections < CONNECTIONS_PER_USER;
        *connections += usize::from(welcome);
        welcome
    }

    fn leave(&self, user: u32) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = users.get_mut(&user) {
            *connections -= 1;
            if *connections == 0 {
                users.remove(&user);
            }
        }
    }
}

impl ClientStream {
    /// The connection itself, for its credentials.
    pub(crate) fn stream(&self) -> &UnixStream {
        &self.stream
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.users.leave(self.user);
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_too_many_connections_does_not_keep_others_out() {
        let users = Users::default();
        assert!((0..CONNECTIONS_PER_USER).all(|_| users.enter(1000)));
        assert!(!users.enter(1000));
        assert!(users.enter(0));
        users.leave(1000);
        assert!(users.enter(1000));
    }
}
