//! What happens in a club connection, and how it ends.

use std::net::SocketAddr;

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{
    Answer, DatabaseClaim, ExtensionFault, FramingFault, HandshakeError, PackagesFault, Pointer, Refusal, Wishes,
};

/// What the driver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The greetings are over: from now on either side may ask. Comes once, before all others.
    Ready {
        /// Where the other side accepts connections, where it says so.
        port: Option<u16>,
        /// Its program; at most 64 bytes that a stranger chose.
        version: Option<String>,
    },
    /// They ask which of these we have: to be answered with `answer_have` or `refuse`.
    Asked {
        /// Their question's number.
        number: u32,
        /// At least one package.
        ids: Vec<Sha256>,
        /// What is to come with the answer.
        wishes: Wishes,
    },
    /// They ask for bytes, which [`wants_data`](super::Conversation::wants_data) hands out from now on: to be refused where it is
    /// too much.
    Wanted {
        /// Their get's number.
        number: u32,
        /// How many bytes.
        length: u64,
    },
    /// They ask what we know of a club's repository: to be answered with `answer_recent` or `refuse`.
    AskedRecent {
        /// Their question's number.
        number: u32,
        /// The club; any.
        club: InfoHash,
    },
    /// They ask to be dialled: to be answered with `answer_call` or `refuse`, within 5 s.
    AskedCall {
        /// Their question's number.
        number: u32,
        /// Where, at their address; not 0.
        port: u16,
    },
    /// The answer to our question.
    Answered {
        /// Our question's number.
        number: u32,
        /// What they claim to have, one answer for each id, in the order of the question.
        answers: Vec<Answer>,
    },
    /// The answer to our question about a club's repository. Claims.
    Newest {
        /// Our question's number.
        number: u32,
        /// At most 4.
        databases: Vec<DatabaseClaim>,
        /// At most 4; nothing has been verified.
        pointers: Vec<Pointer>,
    },
    /// The answer to our wish to be dialled.
    Called {
        /// Our question's number.
        number: u32,
        /// Whether they say that they reached us.
        reached: bool,
    },
    /// The next bytes of what we asked for.
    Got {
        /// Our get's number.
        number: u32,
        /// Where in the file they begin: always where the last ones ended.
        offset: u64,
        /// At most 16 KiB.
        bytes: Bytes,
        /// All that was asked for has come.
        is_last: bool,
    },
    /// A question or get of ours is not answered, or not to the end.
    Refused {
        /// Its number.
        number: u32,
        /// What they say; too busy where they said nothing in time.
        why: Refusal,
    },
    /// They have these now. A claim, and maybe one that nobody asked for.
    Arrived {
        /// At least one package.
        ids: Vec<Sha256>,
    },
    /// Addresses of others in the club, as they say (BEP 11).
    Peers(Vec<SocketAddr>),
}

/// The other side does not keep to the protocol, to what is bearable, or to its place: hang up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeighbourFault {
    /// Another protocol.
    #[error("the peer sent no handshake")]
    Handshake(#[source] HandshakeError),
    /// It spoke for another club, or a swarm.
    #[error("the peer's handshake is for {0}")]
    OtherClub(InfoHash),
    /// It has our own peer id.
    #[error("the peer is ourselves")]
    Ourselves,
    /// It is no daemon like us, and does nothing wrong.
    #[error("the peer knows no p2p_packages")]
    NoPackages,
    /// The greetings took too long.
    #[error("the peer did not greet in time")]
    NoGreeting,
    /// No message came for minutes.
    #[error("the neighbour is silent")]
    Silent,
    /// One question after another was not answered.
    #[error("the neighbour does not answer")]
    Unanswering,
    /// It has said that it has one file after another, and sent none.
    #[error("the neighbour does not send what it says it has")]
    Unkept,
    /// Its bytes are no messages.
    #[error("the neighbour sent something that is no message")]
    Framing(#[source] FramingFault),
    /// Its extended handshake or its PEX is malformed.
    #[error("the neighbour sent a malformed extended message")]
    Extension(#[source] ExtensionFault),
    /// A message of `p2p_packages` is malformed.
    #[error("the neighbour sent a malformed message about packages")]
    Packages(#[source] PackagesFault),
    /// It speaks about pieces, which a club has none of.
    #[error("the neighbour takes the club for a torrent")]
    Pieces,
    /// It asked before its extended handshake, so that nothing can be answered.
    #[error("the neighbour asks before it has greeted")]
    Early,
    /// It asked twice under one number.
    #[error("the neighbour's question {0} is not answered yet")]
    SameNumber(u32),
    /// It asks for far more than it may.
    #[error("the neighbour asks too much")]
    Flood,
    /// It answers what was not asked, again and again.
    #[error("the neighbour sent too many answers unasked")]
    Unasked,
    /// Its answer is not one to this question: of another kind, for more or fewer packages, or bytes other than the next ones.
    #[error("the neighbour's answer does not fit question {0}")]
    WrongAnswer(u32),
}

/// Why nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskFault {
    /// As many questions, or gets, as there may be have no answer yet.
    #[error("the neighbour has enough to answer")]
    Busy,
    /// The greetings are not over, or the connection is.
    #[error("the neighbour cannot be asked now")]
    NotReady,
    /// Nothing, or more than one message may ask for.
    #[error("the question is too small or too large")]
    Bounds,
}
