//! The peer, tracker and local-discovery protocols as values, without any I/O.
//!
//! Nothing here opens a socket or reads a clock: bytes and the time go in, bytes and wishes come out. So every rule of
//! a conversation with strangers can be tested without one.

mod club;
pub mod compact;
mod extension;
mod framing;
mod global;
mod handshake;
mod limits;
mod lsd;
mod message;
mod metadata;
mod packages;
mod peer_id;
mod pex;
mod piece_set;
mod pointer;
mod rate;
mod seed;
mod tracker;

pub use club::club_id;
pub use extension::{ExtendedHandshake, ExtensionFault, OUR_VERSION, UT_METADATA, UT_PEX};
pub use framing::{Framer, FramingFault};
pub use global::is_global;
pub use handshake::{Handshake, HandshakeError};
pub use limits::{
    DATA_BLOCK_BYTES, MAX_BLOCK_BYTES, MAX_DATABASE_BYTES, MAX_GET_BYTES, MAX_HAS_BYTES, MAX_INFO_BYTES,
    MAX_MESSAGE_BYTES, MAX_NEWEST, MAX_PACKAGES_MESSAGE_BYTES, MAX_PEX_PEERS, MAX_POINTER_BYTES, MAX_QUESTION_IDS,
    MAX_SIGNATURE_BYTES, METADATA_BLOCK_BYTES,
};
pub use lsd::{
    LOCAL_SEARCH_V4, LOCAL_SEARCH_V6, LocalSearch, LocalSearchFault, MAX_LOCAL_SEARCH_BYTES, MAX_LOCAL_SEARCH_HASHES,
};
pub use message::{Block, Message};
pub use metadata::MetadataMessage;
pub use packages::{
    Answer, DatabaseClaim, Holding, Kind, P2P_PACKAGES, PackagesFault, PackagesMessage, Refusal, What, Wishes,
};
pub use peer_id::PeerId;
pub use pex::{PexMessage, PexSchedule};
pub use piece_set::PieceSet;
pub use pointer::{Pointer, PointerFault, PublishedFile, PublisherKey, PublisherKeyError, PublisherSecret, Statement};
pub use rate::{Grant, TokenBucket};
pub use seed::{CloseReason, Interest, PeerFault, Role, SeedConnection, SeedEvent, SeedOptions, SeedTorrent, Upload};
pub use tracker::{
    AddressFamily, Announce, AnnounceAnswer, AnnounceEvent, ConnectionId, HttpAnnounceFault, MAX_TRACKER_PEERS,
    MAX_UDP_TRACKER_BYTES, UdpAnswer, UdpTrackerFault, http_announce_query, read_http_announce, udp_announce_request,
    udp_connect_request,
};
