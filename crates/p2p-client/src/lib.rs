//! Asks the daemon, blocking, over its Unix socket.
//!
//! A client that pacman runs once per file must start in a millisecond and must never wait for a daemon that can't
//! help. So there is no async runtime here, and every wait has an end: a daemon that is down, stopped or stuck is told
//! apart from one that works within [`FIRST_RECORD_WITHIN`](p2p_api::FIRST_RECORD_WITHIN), and at once where its
//! heartbeat file is old.
//!
//! ```no_run
//! use p2p_client::{Client, Heard, socket_path};
//!
//! let client = Client::new(socket_path(None));
//! let url = "http://mirror/a-1-1-any.pkg.tar.zst".to_owned();
//! let request = p2p_api::FetchRequest { url, ..p2p_api::FetchRequest::default() };
//! for heard in client.fetch(&request)? {
//!     match heard? {
//!         Heard::Record(record) => { /* progress, and at last ready or failed */ }
//!         Heard::Nothing => { /* a moment to look at signals and at the window's size */ }
//!     }
//! }
//! # Ok::<(), p2p_client::ClientError>(())
//! ```

mod client;
mod connection;
mod error;
mod head;
mod heartbeat;
mod records;

pub use client::{Client, socket_path};
pub use error::ClientError;
pub use records::{Fetch, Heard, Prefetch, Record, Records};
