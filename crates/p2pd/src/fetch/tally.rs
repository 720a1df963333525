//! Where the bytes of one package came from.

/// Bytes of one package by source. Numbers only grow: what was counted once has been on the wire.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Verified or streamed so far.
    pub(crate) done: u64,
    pub(crate) from_peers: u64,
    pub(crate) from_mirrors: u64,
    /// Bytes that the file held when the swarm was joined.
    before_swarm: Option<u64>,
    /// Whether an earlier run left pieces, so that only the swarm can tell how much of the file there was.
    resumes_pieces: bool,
    /// Bytes that webseeds had brought.
    from_webseeds: u64,
    /// Bytes that peers had brought before.
    peers_before: u64,
}

impl Tally {
    /// The file has grown to `contiguous` bytes by a stream from a mirror.
    pub(crate) fn streamed(&mut self, contiguous: u64) {
        self.from_mirrors += contiguous.saturating_sub(self.done);
        self.done = contiguous;
    }

    /// A neighbour has sent all of it.
    pub(crate) fn lent(&mut self, size: u64) {
        self.from_peers += size.saturating_sub(self.done);
        self.done = size;
    }

    /// The swarm has verified this many bytes in all, of which webseeds brought `from_webseeds` since it was joined.
    pub(crate) fn verified(&mut self, verified: u64, from_webseeds: u64) {
        // A small package may be complete before anything was heard of its beginning.
        let most_before = if self.resumes_pieces { u64::MAX } else { self.done };
        let before = *self.before_swarm.get_or_insert(verified.min(most_before));
        let new_from_webseeds = from_webseeds.saturating_sub(self.from_webseeds);
        self.from_mirrors += new_from_webseeds;
        self.from_webseeds = self.from_webseeds.max(from_webseeds);
        let from_peers = verified.saturating_sub(before).saturating_sub(from_webseeds);
        self.from_peers = self.from_peers.max(self.peers_before + from_peers);
        self.done = verified;
    }

    /// An earlier run left pieces.
    pub(crate) fn resume_pieces(&mut self) {
        self.resumes_pieces = true;
    }

    /// The file is begun anew.
    pub(crate) fn begin_anew(&mut self, contiguous: u64) {
        self.resumes_pieces = false;
        (self.done, self.before_swarm, self.from_webseeds) = (contiguous, None, 0);
        self.peers_before = self.from_peers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_brought_what_no_mirror_brought() {
        let mut tally = Tally::default();
        tally.streamed(100);
        tally.verified(96, 0);
        tally.verified(300, 150);
        assert_eq!((tally.done, tally.from_mirrors, tally.from_peers), (300, 250, 54));
    }

    #[test]
    fn what_is_complete_at_once_came_from_peers_unless_an_earlier_run_left_it() {
        let mut tally = Tally::default();
        tally.verified(300, 0);
        assert_eq!((tally.done, tally.from_mirrors, tally.from_peers), (300, 0, 300));
        let mut tally = Tally::default();
        tally.resume_pieces();
        tally.verified(300, 0);
        assert_eq!((tally.done, tally.from_mirrors, tally.from_peers), (300, 0, 0));
    }

    #[test]
    fn what_a_restart_found_in_the_file_came_from_nobody() {
        let mut tally = Tally::default();
        tally.begin_anew(500);
        tally.streamed(600);
        assert_eq!((tally.done, tally.from_mirrors, tally.from_peers), (600, 100, 0));
        tally.verified(600, 0);
        tally.verified(700, 0);
        assert_eq!((tally.from_mirrors, tally.from_peers), (100, 100));
    }
}
