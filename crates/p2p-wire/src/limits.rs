//! Every bound of the peer protocol, and where its number comes from.

use std::time::Duration;

/// Bytes of the largest message that a [`Framer`](crate::Framer) is ever built for, without its length prefix.
///
/// A bitfield of a million pieces.
pub const MAX_MESSAGE_BYTES: usize = 128 * 1024 + 64;

/// Bytes of one block that a peer may ask for. BEP 3 says 16 KiB, and that clients close connections which ask for more;
/// the oldest asked for 32 KiB.
pub const MAX_BLOCK_BYTES: u32 = 32 * 1024;

/// Bytes of one piece of metadata (BEP 9).
pub const METADATA_BLOCK_BYTES: usize = 16 * 1024;

/// Peers that one PEX message may name as added, and as dropped (BEP 11).
pub const MAX_PEX_PEERS: usize = 50;

/// Packages that one question of `p2p_packages` may name: 4 KiB of ids, a whole upgrade in a few questions.
pub const MAX_QUESTION_IDS: usize = 128;

/// Bytes that one `get` of `p2p_packages` may ask for. Above that a swarm pays.
pub const MAX_GET_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of a file that one message of `p2p_packages` carries: a block, as in BEP 3, so that others have their turn.
pub const DATA_BLOCK_BYTES: usize = 16 * 1024;

/// Bytes of a detached signature: libalpm downloads no longer `.sig` file.
pub const MAX_SIGNATURE_BYTES: usize = 16 * 1024;

/// Bytes of an encoded `info` dictionary: 2,048 pieces, the most of a canonical torrent, take 41 KiB.
pub const MAX_INFO_BYTES: usize = 64 * 1024;

/// Bytes of infos and signatures together in one `has`: the largest of both, and room for what surrounds them within
/// [`MAX_PACKAGES_MESSAGE_BYTES`].
pub const MAX_HAS_BYTES: usize = 96 * 1024;

/// Databases, and pointers, that one `newest` may name: more than one only while a new one spreads, or where distributions
/// share a name.
pub const MAX_NEWEST: usize = 4;

/// Bytes of a sync database or an index: eight times the largest database of a distribution.
pub const MAX_DATABASE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of the value of a mutable item (BEP 44).
pub const MAX_POINTER_BYTES: usize = 1_000;

/// Bytes of the largest message between neighbours, without its length prefix.
pub const MAX_PACKAGES_MESSAGE_BYTES: usize = 128 * 1024;

/// Bytes of the largest message that a downloader has reason to send to a seed: its extended handshake or its PEX.
pub(crate) const MAX_DOWNLOADER_MESSAGE_BYTES: usize = 32 * 1024;

/// Requests that we remember for one peer; twelve bytes each. libtorrent has as many on their way as it is told to, up to
/// 2,000: with 250 it downloads over loopback at half the speed.
pub(crate) const MAX_QUEUED_REQUESTS: usize = 2_048;

/// Requests beyond [`MAX_QUEUED_REQUESTS`], or while choked, that a peer may make before it counts as an attacker. One that has
/// just been choked may have all of its queue on the way.
pub(crate) const MAX_EXCESS_REQUESTS: usize = 2 * MAX_QUEUED_REQUESTS;

/// Metadata requests that we remember for one peer; canonical metadata has at most three blocks.
pub(crate) const MAX_QUEUED_METADATA: usize = 16;
/// How often one connection may ask for the whole of the metadata: it needs no upload slot, and so must have an end.
pub(crate) const METADATA_ROUNDS: usize = 16;

/// Bytes of small answers (reject, keep-alive) that may wait for a peer that does not read: a whole queue that is refused
/// when its owner is choked takes 34 KiB.
pub(crate) const MAX_SMALL_ANSWER_BYTES: usize = 64 * 1024;

/// Peers that wait to be told by PEX.
pub(crate) const MAX_PEX_PENDING: usize = 4 * MAX_PEX_PEERS;

/// How long the other side may take for its handshake: what other clients grant.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the other side may be silent; BEP 3 asks for a keep-alive every two minutes.
pub(crate) const SILENCE_TIMEOUT: Duration = Duration::from_secs(150);

/// How long a peer may say that it wants nothing before its place goes to another: it has what it needs, or is paused.
pub(crate) const DISINTEREST_TIMEOUT: Duration = Duration::from_mins(2);

/// How long an unchoked peer may ask for nothing before its place goes to another.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// How long a peer may wait for us: until we read a block or unchoke it. A thousand peers have their turn in that time.
pub(crate) const WAITING_TIMEOUT: Duration = Duration::from_hours(1);

/// Our keep-alive: librqbit hangs up after 10 s of silence.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// When the first PEX message is sent, counted from the extended handshake.
pub(crate) const FIRST_PEX: Duration = Duration::from_secs(3);

/// How far PEX messages are apart (BEP 11: not more than one a minute).
pub(crate) const PEX_INTERVAL: Duration = Duration::from_mins(1);
