//! Every bound of a club connection, and where its number comes from.

use std::time::Duration;

/// Questions that one side may have unanswered: a thousand packages.
pub(super) const MAX_QUESTIONS: usize = 8;

/// Gets that one side may have unanswered. They are answered one after another, so that more would only wait.
pub(super) const MAX_GETS: usize = 4;

/// Questions and gets together, those that are refused for their number included, that the other side may have unanswered
/// before it counts as an attacker.
pub(super) const MAX_UNANSWERED: usize = 32;

/// Bytes that may wait to be sent before no more are read from the disk, and before infos and signatures are left out of
/// answers; as much as a seed lets wait for a peer.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

/// Answers to what we never asked, or so long ago that we have forgotten it, before the other side counts as an attacker.
pub(super) const MAX_STRAYS: usize = 64;

/// Questions that were given up and are remembered, so that their late answers do no harm.
pub(super) const MAX_LATE: usize = 64;

/// Packages that the other side was told we do not have; as many as it may ask for at one time.
pub(super) const MAX_DENIALS: usize = 1_024;

/// How long we remember that the other side asked for a package: what is wanted is fetched elsewhere by then.
pub(super) const DENIAL_AGE: Duration = Duration::from_mins(10);

/// Bytes that are taken in at once, so that what has arrived is at most one message and this.
pub(super) const PART_BYTES: usize = 32 * 1024;

/// How long both handshakes, the extended one included, may take: what other clients grant.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer, or the next bytes of one, may take: a fetch that waits longer is better off with a mirror.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take however steadily bytes come: the largest get at 14 KB/s. Else one byte every four seconds would
/// keep us waiting for half a year.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);

/// Questions and gets without an answer, one after another, after which a neighbour is none.
pub(super) const MAX_SILENT: u32 = 3;

/// Gets of what they had said to have and did not send, one after another, after which a neighbour is none. One is a file that
/// went in between; each costs who waits for it a second.
pub(super) const MAX_UNKEPT: u32 = 4;

/// How long the other side may say nothing; BEP 3 asks for a keep-alive every two minutes.
pub(super) const SILENCE_TIMEOUT: Duration = Duration::from_secs(150);

/// Our keep-alive: two may be lost before we are taken for dead.
pub(super) const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// PEX messages that follow sooner than this are ignored. BEP 11 allows one a minute; clocks and queues are not exact.
pub(super) const PEX_GAP: Duration = Duration::from_secs(30);
