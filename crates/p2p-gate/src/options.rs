//! What a gate is told when it is built.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;

use p2p_wire::PeerId;

use crate::admission::Limits;
use crate::filter::Scope;

/// Settings of a [`Gate`](crate::Gate).
#[derive(Debug, Clone)]
pub struct GateOptions {
    /// Where TCP and uTP are listened for; port 0 is any port that is free for both. `[::]` hears IPv4 too.
    pub listen: SocketAddr,
    /// Who we are, to everybody; the engine has to use the same.
    pub peer_id: PeerId,
    /// Whom we speak with.
    pub scope: Scope,
    /// How many connections there may be.
    pub limits: Limits,
    /// Bytes a second to strangers outside of the local networks; none for no limit.
    pub upload: Option<NonZeroU64>,
    /// Bytes a second from strangers outside of the local networks; none for no limit.
    pub download: Option<NonZeroU64>,
    /// The password of the engine's proxy: random, since every user of this host reaches its port.
    pub proxy_secret: Secret,
}

/// A password, at most 255 ASCII letters and digits long; it is not printed with the options.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// None where the text cannot stand in a URL as it is, or is empty or too long for SOCKS (RFC 1929).
    pub fn new(text: String) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ((1..=255).contains(&text.len()) && is_plain).then_some(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}
