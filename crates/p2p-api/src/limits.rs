//! How much and how long each side waits for the other; `docs/api.md` promises these numbers.

use std::time::Duration;

/// The largest body of a request, in bytes. A URL is a few hundred.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// The largest body of a request that names many files, in bytes.
pub const MAX_TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// Files of a transaction or a prefetch that the daemon looks at; Arch has some 15,000.
pub const MAX_TRANSACTION_FILES: usize = 20_000;

/// The longest record and the longest error body, in bytes, with its line feed.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;

/// The first record of a fetch comes within this time: a client that waits longer makes an upgrade slower.
pub const FIRST_RECORD_WITHIN: Duration = Duration::from_millis(300);

/// The daemon sends a record at least this often, even when nothing has moved.
pub const RECORD_INTERVAL: Duration = Duration::from_secs(2);

/// A daemon that says nothing for this long hangs.
pub const MAX_SILENCE: Duration = Duration::from_secs(5);

/// The daemon touches its heartbeat file this often.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// A heartbeat file older than this belongs to a daemon that hangs or has died.
pub const HEARTBEAT_MAX_AGE: Duration = Duration::from_secs(3);
