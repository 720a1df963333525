//! Telling a peer of others in the swarm (BEP 11).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use p2p_package::{Value, Writer};

use crate::compact::{CompactPeers, read_v4, read_v6};
use crate::extension::ExtensionFault;
use crate::limits::{FIRST_PEX, MAX_PEX_PEERS, MAX_PEX_PENDING, PEX_INTERVAL};

/// One message of the extension `ut_pex`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PexMessage {
    /// Peers that the speaker is connected with since its last message; IPv4 before IPv6.
    pub added: Vec<SocketAddr>,
    /// Peers that it is no longer connected with.
    pub dropped: Vec<SocketAddr>,
}

impl PexMessage {
    /// The extension's payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let added = CompactPeers::of(self.added.iter().copied());
        let dropped = CompactPeers::of(self.dropped.iter().copied());
        // One byte of flags a peer: we claim nothing about others.
        let (flags, flags6) = (vec![0; added.v4.len() / 6], vec![0; added.v6.len() / 18]);
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            root.bytes("added").bytes(added.v4);
            root.bytes("added.f").bytes(flags);
            root.bytes("added6").bytes(added.v6);
            root.bytes("added6.f").bytes(flags6);
            root.bytes("dropped").bytes(dropped.v4);
            root.bytes("dropped6").bytes(dropped.v6);
        });
        writer.finish()
    }

    /// Reads the extension's payload; of added and dropped peers the first [`MAX_PEX_PEERS`] of each family count.
    ///
    /// # Errors
    ///
    /// Where it is not a bencoded dictionary.
    pub fn read(payload: &[u8]) -> Result<Self, ExtensionFault> {
        let (value, _) = Value::read_prefix(payload).map_err(ExtensionFault::Bencode)?;
        let root = value.as_dictionary().ok_or(ExtensionFault::Key("dictionary"))?;
        let bytes = |key| root.get(key).and_then(Value::as_bytes).unwrap_or_default();
        let both = |v4, v6| {
            let v4 = read_v4(bytes(v4)).take(MAX_PEX_PEERS);
            v4.chain(read_v6(bytes(v6)).take(MAX_PEX_PEERS)).collect()
        };
        Ok(Self { added: both("added", "added6"), dropped: both("dropped", "dropped6") })
    }
}

/// Peers that one connection is still to be told of, and when.
#[derive(Debug, Default)]
pub struct PexSchedule {
    added: VecDeque<SocketAddr>,
    dropped: VecDeque<SocketAddr>,
    due: Option<Instant>,
}

impl PexSchedule {
    /// The other side knows the extension since `now`.
    pub fn start(&mut self, now: Instant) {
        self.due.get_or_insert(now + FIRST_PEX);
    }

    /// Notes a peer; one that comes and goes between two messages is not mentioned.
    pub fn add(&mut self, peer: SocketAddr) {
        note(peer, &mut self.added, &mut self.dropped);
    }

    /// Notes that a peer has gone.
    pub fn drop(&mut self, peer: SocketAddr) {
        note(peer, &mut self.dropped, &mut self.added);
    }

    /// When [`Self::take`] has something to say; none while there is nothing, or nobody listens.
    pub fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.added.is_empty() || !self.dropped.is_empty())
    }

    /// The message that is due.
    pub fn take(&mut self, now: Instant) -> Option<PexMessage> {
        self.due().filter(|due| *due <= now)?;
        self.due = Some(now + PEX_INTERVAL);
        let added = self.added.drain(..self.added.len().min(MAX_PEX_PEERS)).collect();
        let dropped = self.dropped.drain(..self.dropped.len().min(MAX_PEX_PEERS)).collect();
        Some(PexMessage { added, dropped })
    }
}

fn note(peer: SocketAddr, into: &mut VecDeque<SocketAddr>, against: &mut VecDeque<SocketAddr>) {
    if let Some(at) = against.iter().position(|other| *other == peer) {
        against.remove(at);
    } else if into.len() < MAX_PEX_PENDING && !into.contains(&peer) {
        into.push_back(peer);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, proptest};

    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn a_pex_message_is_read_as_it_was_written() {
        let v6: SocketAddr = "[2001:db8::1]:6881".parse().expect("an address");
        let message = PexMessage { added: vec![peer(1), v6], dropped: vec![peer(2)] };
        assert_eq!(PexMessage::read(&message.encode()), Ok(message));
    }

    #[test]
    fn the_first_message_comes_after_seconds_and_the_next_after_a_minute() {
        let (mut schedule, start) = (PexSchedule::default(), Instant::now());
        schedule.add(peer(1));
        assert_eq!(schedule.due(), None, "nobody listens yet");
        schedule.start(start);
        assert_eq!(schedule.take(start), None);
        let first = schedule.take(start + FIRST_PEX).expect("the first message");
        assert_eq!(first.added, [peer(1)]);
        assert_eq!(schedule.due(), None, "nothing to say");
        schedule.add(peer(2));
        assert_eq!(schedule.due(), Some(start + FIRST_PEX + PEX_INTERVAL));
        assert_eq!(schedule.take(start + FIRST_PEX + Duration::from_secs(59)), None);
    }

    #[test]
    fn a_peer_that_comes_and_goes_is_not_mentioned_and_a_crowd_is_told_bit_by_bit() {
        let (mut schedule, now) = (PexSchedule::default(), Instant::now());
        schedule.start(now);
        schedule.add(peer(1));
        schedule.drop(peer(1));
        assert_eq!(schedule.due(), None);
        (1..=1_000).for_each(|port| schedule.add(peer(port)));
        let told = schedule.take(now + FIRST_PEX).expect("a message");
        assert_eq!(told.added.len(), MAX_PEX_PEERS);
        assert_eq!(schedule.added.len(), MAX_PEX_PENDING - MAX_PEX_PEERS);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = PexMessage::read(&bytes);
        }
    }
}
