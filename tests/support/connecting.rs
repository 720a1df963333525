//! How a foreign client connects to peers.

/// What carries the connections that a client makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// What the client likes.
    #[default]
    Any,
    /// TCP alone.
    Tcp,
    /// uTP; transmission takes TCP where that does not get through (see [`Host::admit_only`](crate::Host::admit_only)).
    Utp,
}

/// Whether the connections are encrypted (message stream encryption).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// First tried with it, then without: what clients do unless told otherwise.
    #[default]
    Preferred,
    /// Without it.
    Avoided,
    /// Never without it.
    Required,
}

/// Both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connecting {
    /// What carries them.
    pub transport: Transport,
    /// Whether they are encrypted.
    pub encryption: Encryption,
}
