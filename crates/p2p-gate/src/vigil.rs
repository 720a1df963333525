//! What a peer and the engine owe each other.
//!
//! The engine hangs up on whoever is silent, whether it waits for that peer or not, and queues whatever a peer asks for. So
//! the gate keeps peers alive that owe us nothing, and cuts off those that flood.

use std::collections::HashSet;

use p2p_wire::Handshake;

/// Requests that a peer may have unanswered. The engine queues without bound (measured: a gigabyte in 8 s); the clients in
/// use keep at most 500.
const MAX_OWED_TO_PEER: u32 = 1024;
/// Requests of ours that are remembered; the engine has at most 128 on their way to one peer.
const MAX_OWED_BY_PEER: usize = 1024;
const HAVE: u8 = 4;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;
const CANCEL: u8 = 8;

/// Whether the engine's handshake is part of what the peer will hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineHandshake {
    /// The peer called: the engine's answer is passed on.
    Follows,
    /// The peer has heard it, or the gate's.
    Done,
}

impl EngineHandshake {
    /// Bytes of the engine's before its first message.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Follows => Handshake::BYTES as u64,
            Self::Done => 0,
        }
    }
}

/// The peer has far more requests unanswered than any honest client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer floods the engine with requests")]
pub(crate) struct Flood;

/// Follows both directions of one conversation, without changing a byte of it.
#[derive(Debug)]
pub(crate) struct Vigil {
    from_peer: FrameScan,
    from_engine: FrameScan,
    owed_by_peer: HashSet<(u32, u32)>,
    owed_to_peer: u32,
    /// Whether the peer has said that it has got a piece, since that was last asked.
    has_more: bool,
}

impl Vigil {
    /// Begins after the peer's handshake, and before or after the engine's.
    pub(crate) fn new(engine_handshake: EngineHandshake) -> Self {
        let (from_peer, from_engine) = (FrameScan::after(0), FrameScan::after(engine_handshake.bytes()));
        Self { from_peer, from_engine, owed_by_peer: HashSet::new(), owed_to_peer: 0, has_more: false }
    }

    /// Takes in what the peer sends.
    pub(crate) fn handle_peer_bytes(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let (by, to, has_more) = (&mut self.owed_by_peer, &mut self.owed_to_peer, &mut self.has_more);
        self.from_peer.feed(bytes, |id, block| match id {
            HAVE => *has_more = true,
            PIECE => {
                by.remove(&block);
            }
            // To cancel gives nothing back: the engine ignores it and sends the block all the same.
            REQUEST => *to = to.saturating_add(1),
            _ => {}
        });
        if self.owed_to_peer > MAX_OWED_TO_PEER { Err(Flood) } else { Ok(()) }
    }

    /// Takes in what the engine sends.
    pub(crate) fn handle_engine_bytes(&mut self, bytes: &[u8]) {
        let (by, to) = (&mut self.owed_by_peer, &mut self.owed_to_peer);
        self.from_engine.feed(bytes, |id, block| match id {
            REQUEST if by.len() < MAX_OWED_BY_PEER => {
                by.insert(block);
            }
            CANCEL => {
                by.remove(&block);
            }
            PIECE => *to = to.saturating_sub(1),
            _ => {}
        });
    }

    /// Whether the peer has got a piece, by its own word, since the last call.
    pub(crate) fn take_more(&mut self) -> bool {
        std::mem::take(&mut self.has_more)
    }

    /// Whether the peer may be silent, and a keep-alive may be put in here.
    pub(crate) fn may_be_silent(&self) -> bool {
        self.owed_by_peer.is_empty() && self.from_peer.is_between_messages()
    }
}

/// Finds the messages in one direction of a conversation.
#[derive(Debug)]
struct FrameScan {
    /// Length prefix, message id, and the first two numbers of its payload.
    head: [u8; 13],
    filled: usize,
    /// Bytes of the current message, or of the handshake, that do not matter.
    skip: u64,
}

impl FrameScan {
    fn after(skip: u64) -> Self {
        Self { head: [0; 13], filled: 0, skip }
    }

    fn is_between_messages(&self) -> bool {
        self.skip == 0 && self.filled == 0
    }

    /// Calls `message` with the id, piece and offset of each message, as soon as they are known.
    fn feed(&mut self, mut bytes: &[u8], mut message: impl FnMut(u8, (u32, u32))) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
            let missing = self.wanted().saturating_sub(self.filled).min(bytes.len());
            self.head[self.filled..self.filled + missing].copy_from_slice(&bytes[..missing]);
            self.filled += missing;
            bytes = &bytes[missing..];
            if self.filled >= 4 && self.filled == self.wanted() {
                let length = u64::from(self.number(0));
                if length > 0 {
                    message(self.head[4], (self.number(5), self.number(9)));
                }
                (self.skip, self.filled) = (4 + length - self.filled as u64, 0);
                self.head = [0; 13];
            }
        }
    }

    /// How many bytes of the head this message has, as far as is known.
    fn wanted(&self) -> usize {
        if self.filled < 4 { 4 } else { usize::try_from(self.number(0)).unwrap_or(usize::MAX).min(9) + 4 }
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.head[at], self.head[at + 1], self.head[at + 2], self.head[at + 3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u8, piece: u32, offset: u32, rest: usize) -> Vec<u8> {
        let length = u32::try_from(9 + rest).expect("a small message");
        let rest = vec![0xff; rest];
        [&length.to_be_bytes()[..], &[id], &piece.to_be_bytes(), &offset.to_be_bytes(), &rest].concat()
    }

    #[test]
    fn a_peer_that_owes_nothing_may_be_silent_between_messages() {
        let mut vigil = Vigil::new(EngineHandshake::Done);
        assert!(vigil.may_be_silent());
        let unchoke_and_half_a_have = [&[0, 0, 0, 1, 1][..], &[0, 0, 0, 5, 4, 0]].concat();
        vigil.handle_peer_bytes(&unchoke_and_half_a_have).expect("no request");
        assert!(!vigil.may_be_silent() && !vigil.take_more());
        vigil.handle_peer_bytes(&[0, 0, 7, 0, 0, 0, 0]).expect("no request");
        assert!(vigil.may_be_silent(), "a keep-alive is a message");
        assert!(vigil.take_more() && !vigil.take_more(), "it has said once that it has a piece");
    }

    #[test]
    fn a_peer_that_owes_a_block_may_not_be_silent_until_it_came_or_was_cancelled() {
        for cut in 1..30 {
            let mut vigil = Vigil::new(EngineHandshake::Follows);
            vigil.handle_engine_bytes(&[0xff; Handshake::BYTES]);
            let requests = [message(REQUEST, 1, 0, 4), message(REQUEST, 1, 16384, 4)].concat();
            requests.chunks(cut).for_each(|part| vigil.handle_engine_bytes(part));
            for part in message(PIECE, 1, 0, 100).chunks(cut) {
                assert!(!vigil.may_be_silent());
                vigil.handle_peer_bytes(part).expect("no request");
            }
            assert!(!vigil.may_be_silent());
            vigil.handle_engine_bytes(&message(CANCEL, 1, 16384, 4));
            assert!(vigil.may_be_silent(), "{cut}");
        }
    }

    #[test]
    fn requests_beyond_bearing_are_a_flood_unless_they_are_answered() {
        let mut vigil = Vigil::new(EngineHandshake::Done);
        let request = message(REQUEST, 0, 0, 4);
        for _ in 0..10 * MAX_OWED_TO_PEER {
            vigil.handle_peer_bytes(&request).expect("it is answered");
            vigil.handle_engine_bytes(&message(PIECE, 0, 0, 16));
        }
        for _ in 0..MAX_OWED_TO_PEER {
            vigil.handle_peer_bytes(&request).expect("not yet too many");
            vigil.handle_peer_bytes(&message(CANCEL, 0, 0, 4)).expect("no request");
        }
        assert_eq!(vigil.handle_peer_bytes(&request), Err(Flood));
    }
}
