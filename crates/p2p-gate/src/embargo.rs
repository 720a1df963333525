//! Keeps blocks from a peer while nothing may be uploaded, though the engine sends them.
//!
//! The engine knows no pause, and its conversation has to go on: we still ask the peer for blocks of our own. So the blocks
//! are taken out of what it says, and the peer is told that it is choked, which ends its requests (BEP 3).

const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const PIECE: u8 = 7;
/// Both messages whole, with their length.
const CHOKES: [u8; 5] = [0, 0, 0, 1, CHOKE];
const UNCHOKES: [u8; 5] = [0, 0, 0, 1, UNCHOKE];

/// Whether blocks may go to peers outside of the local networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    Open,
    Closed,
}

/// One direction of one conversation: what the engine says, on its way to the peer.
#[derive(Debug)]
pub(crate) struct Embargo {
    /// Length and id of the message that begins.
    head: [u8; 5],
    filled: usize,
    /// Bytes of the current message, or of the handshake, that are still to come.
    rest: u64,
    /// What becomes of them.
    is_dropped: bool,
    /// Whether the engine has unchoked the peer.
    engine_unchokes: bool,
    /// Whether we have choked it on our own account.
    we_choke: bool,
}

impl Embargo {
    /// Begins so many bytes, those of a handshake, before the first message.
    pub(crate) fn after(handshake: u64) -> Self {
        Self { head: [0; 5], filled: 0, rest: handshake, is_dropped: false, engine_unchokes: false, we_choke: false }
    }

    /// Appends to `out` what the peer shall hear of what the engine says.
    pub(crate) fn handle_bytes(&mut self, mut bytes: &[u8], upload: Upload, out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let part = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
                if !self.is_dropped {
                    out.extend_from_slice(&bytes[..part]);
                }
                self.rest -= part as u64;
                bytes = &bytes[part..];
                continue;
            }
            let part = (self.wanted() - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + part].copy_from_slice(&bytes[..part]);
            self.filled += part;
            bytes = &bytes[part..];
            if self.filled == self.wanted() {
                self.begin_message(upload, out);
            }
        }
        self.handle_change(upload, out);
    }

    /// Appends what the peer shall hear now that the upload was opened or closed. In the midst of a message it hears of it
    /// when that is over.
    pub(crate) fn handle_change(&mut self, upload: Upload, out: &mut Vec<u8>) {
        if self.filled == 0 && self.rest == 0 {
            self.tell_of_the_embargo(upload, out);
        }
    }

    fn begin_message(&mut self, upload: Upload, out: &mut Vec<u8>) {
        self.tell_of_the_embargo(upload, out);
        let length = self.length();
        self.rest = u64::from(length.saturating_sub(1));
        let id = (length > 0).then_some(self.head[4]);
        match id {
            Some(UNCHOKE) => self.engine_unchokes = true,
            Some(CHOKE) => self.engine_unchokes = false,
            _ => (),
        }
        self.is_dropped = match id {
            Some(PIECE) => upload == Upload::Closed,
            // The peer hears of it when the embargo ends.
            Some(UNCHOKE) if upload == Upload::Closed => {
                self.we_choke = true;
                true
            }
            _ => false,
        };
        if !self.is_dropped {
            out.extend_from_slice(&self.head[..self.filled]);
        }
        self.filled = 0;
    }

    fn tell_of_the_embargo(&mut self, upload: Upload, out: &mut Vec<u8>) {
        match upload {
            Upload::Closed if self.engine_unchokes && !self.we_choke => {
                out.extend_from_slice(&CHOKES);
                self.we_choke = true;
            }
            Upload::Open if self.we_choke => {
                self.we_choke = false;
                if self.engine_unchokes {
                    out.extend_from_slice(&UNCHOKES);
                }
            }
            Upload::Closed | Upload::Open => (),
        }
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([self.head[0], self.head[1], self.head[2], self.head[3]])
    }

    /// How many bytes the head of this message has, as far as is known: a keep-alive has no id.
    fn wanted(&self) -> usize {
        if self.filled < 4 || self.length() == 0 { 4 } else { 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: [u8; 4] = [0; 4];

    fn message(id: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(1 + payload).expect("a small message");
        [&length.to_be_bytes()[..], &[id], &vec![0xee; payload]].concat()
    }

    fn heard(embargo: &mut Embargo, said: &[&[u8]], upload: Upload, cut: usize) -> Vec<u8> {
        let mut out = Vec::new();
        said.concat().chunks(cut).for_each(|part| embargo.handle_bytes(part, upload, &mut out));
        out
    }

    #[test]
    fn without_an_embargo_not_a_byte_is_changed() {
        let (handshake, piece, request) = (vec![0x13; 68], message(PIECE, 16_392), message(6, 12));
        let said: [&[u8]; 6] = [&handshake, &UNCHOKES, &KEEP_ALIVE, &piece, &request, &piece];
        for cut in [1, 3, 7, 1000, 100_000] {
            assert_eq!(heard(&mut Embargo::after(68), &said, Upload::Open, cut), said.concat(), "{cut}");
        }
    }

    #[test]
    fn under_an_embargo_blocks_vanish_the_peer_is_choked_and_our_requests_go_on() {
        let (piece, request) = (message(PIECE, 16_392), message(6, 12));
        for cut in [1, 2, 5, 1000, 100_000] {
            let mut embargo = Embargo::after(0);
            assert_eq!(heard(&mut embargo, &[&UNCHOKES, &piece], Upload::Open, cut), [&UNCHOKES[..], &piece].concat());
            let said: [&[u8]; 5] = [&piece, &request, &KEEP_ALIVE, &piece, &request];
            let expected = [&CHOKES[..], &request, &KEEP_ALIVE, &request].concat();
            assert_eq!(heard(&mut embargo, &said, Upload::Closed, cut), expected, "{cut}");
            let expected = [&UNCHOKES[..], &request, &piece].concat();
            assert_eq!(heard(&mut embargo, &[&request, &piece], Upload::Open, cut), expected, "{cut}");
        }
    }

    #[test]
    fn a_block_that_is_on_its_way_already_is_not_cut_in_two() {
        let (mut embargo, piece, mut out) = (Embargo::after(0), message(PIECE, 100), Vec::new());
        embargo.handle_bytes(&piece[..50], Upload::Open, &mut out);
        embargo.handle_bytes(&piece[50..], Upload::Closed, &mut out);
        assert_eq!(out, piece);
    }

    #[test]
    fn who_is_unchoked_under_an_embargo_hears_of_it_afterwards() {
        let mut embargo = Embargo::after(0);
        assert_eq!(heard(&mut embargo, &[&UNCHOKES], Upload::Closed, 2), Vec::<u8>::new());
        assert_eq!(heard(&mut embargo, &[&KEEP_ALIVE], Upload::Open, 2), [&UNCHOKES[..], &KEEP_ALIVE].concat());
        assert_eq!(heard(&mut embargo, &[&CHOKES, &KEEP_ALIVE], Upload::Closed, 2).len(), 14);
        assert_eq!(heard(&mut embargo, &[&KEEP_ALIVE], Upload::Open, 2), KEEP_ALIVE, "the engine chokes by itself");
    }

    #[test]
    fn a_change_is_told_at_once_but_not_in_the_midst_of_a_message() {
        let (mut embargo, mut out) = (Embargo::after(0), Vec::new());
        embargo.handle_bytes(&[&UNCHOKES[..], &[0, 0]].concat(), Upload::Open, &mut out);
        embargo.handle_change(Upload::Closed, &mut out);
        assert_eq!(out, UNCHOKES);
        out.clear();
        embargo.handle_bytes(&[0, 0], Upload::Closed, &mut out);
        assert_eq!(out, [&CHOKES[..], &KEEP_ALIVE].concat());
        out.clear();
        embargo.handle_change(Upload::Open, &mut out);
        assert_eq!(out, UNCHOKES);
    }
}
