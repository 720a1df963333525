//! The handshakes: BitTorrent's own, and the extended one that names `p2p_packages`.

use std::net::IpAddr;

use p2p_package::InfoHash;
use p2p_wire::{ExtendedHandshake, Handshake, HandshakeError, OUR_VERSION, P2P_PACKAGES, PeerId, UT_PEX};

use super::NeighbourFault;

/// The number under which we take messages of `p2p_packages`.
pub(super) const OUR_PACKAGES_ID: u8 = 1;
/// The number under which we take messages of `ut_pex`.
pub(super) const OUR_PEX_ID: u8 = 2;

/// What a conversation is told about ourselves at its start.
#[derive(Debug, Clone)]
pub struct ConversationOptions {
    /// Who we are.
    pub peer_id: PeerId,
    /// Where we accept connections, told to the other side (`p`); 0 to say nothing.
    pub listen_port: u16,
    /// The other side's address, told to it (`yourip`).
    pub your_ip: Option<IpAddr>,
}

impl ConversationOptions {
    pub(super) fn extended_handshake(&self) -> ExtendedHandshake {
        ExtendedHandshake {
            extensions: vec![(P2P_PACKAGES.to_owned(), OUR_PACKAGES_ID), (UT_PEX.to_owned(), OUR_PEX_ID)],
            port: Some(self.listen_port).filter(|port| *port != 0),
            version: Some(OUR_VERSION.to_owned()),
            your_ip: self.your_ip,
            ..ExtendedHandshake::default()
        }
    }

    /// Whether `theirs` may belong to a neighbour in `club`.
    pub(super) fn judge(&self, theirs: &Handshake, club: InfoHash) -> Result<(), NeighbourFault> {
        if theirs.info_hash != club {
            Err(NeighbourFault::OtherClub(theirs.info_hash))
        } else if theirs.peer_id == self.peer_id {
            Err(NeighbourFault::Ourselves)
        } else if !theirs.knows_extensions() {
            Err(NeighbourFault::NoPackages)
        } else {
            Ok(())
        }
    }
}

/// The part of their handshake that has arrived.
#[derive(Debug, Default)]
pub(super) struct Arriving(Vec<u8>);

impl Arriving {
    /// Takes bytes in; the handshake once it is whole, and the bytes that follow it.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Handshake, &'a [u8])>, NeighbourFault> {
        let (theirs, rest) = bytes.split_at(bytes.len().min(Handshake::BYTES - self.0.len()));
        self.0.extend_from_slice(theirs);
        if !Handshake::may_start_with(&self.0) {
            return Err(NeighbourFault::Handshake(HandshakeError));
        }
        let Ok(whole) = self.0.as_slice().try_into() else {
            return Ok(None);
        };
        let theirs = Handshake::decode(whole).map_err(NeighbourFault::Handshake)?;
        Ok(Some((theirs, rest)))
    }
}

/// The numbers under which the other side takes our messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) packages: u8,
    pub(super) pex: Option<u8>,
}

impl Numbers {
    pub(super) fn of(theirs: &ExtendedHandshake) -> Result<Self, NeighbourFault> {
        let packages = theirs.id_of(P2P_PACKAGES).ok_or(NeighbourFault::NoPackages)?;
        Ok(Self { packages, pex: theirs.id_of(UT_PEX) })
    }
}
