//! Asks the daemon, blocking, over its Unix socket.
