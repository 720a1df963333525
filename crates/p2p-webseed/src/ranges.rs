//! From the blocks that a peer wants to few HTTP ranges.

use std::collections::VecDeque;
use std::ops::Range;

use p2p_wire::PieceSet;

/// The first request of a file: enough that a small package needs no second.
const FIRST_WINDOW: u64 = 1024 * 1024;
/// No request is for more, so that a peer that turns away never leaves a mirror sending a whole file into the void.
const LARGEST_WINDOW: u64 = 32 * 1024 * 1024;
/// Ends of earlier ranges that are remembered. The engine begins with the first piece, the last, and then the second.
const RUNS: usize = 4;

/// Decides how much to ask for at once. Where the peer goes on where an earlier range ended, having wanted all of it, the
/// next is twice as long. Otherwise a range is what is left of one piece, since another peer may well get the next.
#[derive(Debug)]
pub(crate) struct RangePlanner {
    length: u64,
    piece_length: u64,
    runs: VecDeque<Run>,
    served: PieceSet,
}

/// A range that was asked for.
#[derive(Debug)]
struct Run {
    range: Range<u64>,
    /// How many of its bytes were wanted so far.
    wanted: u64,
}

impl RangePlanner {
    /// A planner for a file of `length` bytes.
    pub(crate) fn new(length: u64, piece_length: u64) -> Self {
        let pieces = u32::try_from(length.div_ceil(piece_length)).expect("a package has fewer than 2^32 pieces");
        Self { length, piece_length, runs: VecDeque::new(), served: PieceSet::none(pieces) }
    }

    pub(crate) fn piece_length(&self) -> u64 {
        self.piece_length
    }

    /// Notes that these bytes are wanted; false where no range that was asked for lately has them.
    pub(crate) fn handle_wanted(&mut self, wanted: &Range<u64>) -> bool {
        let run = self.runs.iter_mut().find(|run| run.range.contains(&wanted.start));
        run.map(|run| run.wanted += wanted.end - wanted.start).is_some()
    }

    /// Notes that these bytes, which end no later than their piece, have been given out.
    pub(crate) fn handle_served(&mut self, served: &Range<u64>) {
        if served.end == self.length || served.end.is_multiple_of(self.piece_length) {
            self.served.insert(self.piece_of(served.start));
        }
    }

    /// The range to ask for, when the byte at `offset` is wanted. It ends where a piece ends, before the byte `until`, if any, at the
    /// latest, and before what nobody will ask for a second time.
    pub(crate) fn plan(&mut self, offset: u64, until: Option<u64>) -> Range<u64> {
        let end = self.plan_end(offset).min(until.unwrap_or(u64::MAX));
        let served = (self.piece_of(offset) + 1..=self.piece_of(end - 1)).find(|piece| self.served.contains(*piece));
        let range = offset..served.map_or(end, |piece| u64::from(piece) * self.piece_length);
        if self.runs.len() == RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(Run { range: range.clone(), wanted: 0 });
        range
    }

    fn piece_of(&self, offset: u64) -> u32 {
        u32::try_from(offset / self.piece_length).expect("a package has fewer than 2^32 pieces")
    }

    fn plan_end(&mut self, offset: u64) -> u64 {
        let is_first = self.runs.is_empty();
        let run = self.runs.iter().position(|run| run.range.end == offset).and_then(|index| self.runs.remove(index));
        let window = match run.map(|run| (run.range.end - run.range.start, run.wanted)) {
            Some((length, wanted)) if wanted >= length => (2 * length).min(LARGEST_WINDOW),
            None if is_first => FIRST_WINDOW,
            Some(_) | None => 1,
        };
        (offset + window).next_multiple_of(self.piece_length).min(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn plan_and_want(planner: &mut RangePlanner, offset: u64) -> Range<u64> {
        let range = planner.plan(offset, None);
        assert!(planner.handle_wanted(&range));
        range
    }

    #[test]
    fn a_sequential_reader_soon_asks_for_long_ranges() {
        let mut planner = RangePlanner::new(1024 * MIB, 256 * KIB);
        let (mut offset, mut requests) = (0, 0);
        while offset < 1024 * MIB {
            let range = plan_and_want(&mut planner, offset);
            assert!(range.start == offset && range.end > offset && range.end - offset <= 32 * MIB);
            (offset, requests) = (range.end, requests + 1);
        }
        assert_eq!(requests, 37);
    }

    #[test]
    fn the_engines_order_of_first_last_second_continues_the_first_run() {
        let mut planner = RangePlanner::new(100 * MIB, 256 * KIB);
        assert_eq!(plan_and_want(&mut planner, 0), 0..MIB);
        let last = planner.plan(100 * MIB - 256 * KIB, None);
        assert_eq!(last, 100 * MIB - 256 * KIB..100 * MIB);
        planner.handle_served(&last);
        assert_eq!(plan_and_want(&mut planner, MIB), MIB..3 * MIB);
        assert_eq!(plan_and_want(&mut planner, 3 * MIB), 3 * MIB..7 * MIB);
        let mut offset = 7 * MIB;
        while offset < 100 * MIB - 256 * KIB {
            offset = plan_and_want(&mut planner, offset).end;
        }
        assert_eq!(offset, 100 * MIB - 256 * KIB, "the last piece is not asked for again");
    }

    #[test]
    fn a_jump_asks_for_the_rest_of_one_piece() {
        let mut planner = RangePlanner::new(100 * MIB, MIB);
        planner.plan(0, None);
        assert_eq!(plan_and_want(&mut planner, 50 * MIB + 16 * KIB), 50 * MIB + 16 * KIB..51 * MIB);
        assert_eq!(planner.plan(51 * MIB, None).end, 53 * MIB);
    }

    #[test]
    fn a_run_in_which_pieces_were_left_to_others_does_not_grow() {
        let mut planner = RangePlanner::new(100 * MIB, MIB / 4);
        let range = planner.plan(0, None);
        assert!(planner.handle_wanted(&(0..MIB / 2)));
        assert_eq!(planner.plan(range.end, None), MIB..MIB + MIB / 4);
    }

    #[test]
    fn what_was_given_out_long_ago_is_not_read_over_again() {
        let mut planner = RangePlanner::new(100 * MIB, 256 * KIB);
        let long_ago = plan_and_want(&mut planner, MIB);
        long_ago.step_by(64 * 1024).for_each(|start| planner.handle_served(&(start..start + 64 * KIB)));
        for jump in 1..=20 {
            planner.plan(2 * jump * MIB, None);
        }
        planner.handle_served(&(0..64 * KIB));
        assert_eq!(
            plan_and_want(&mut planner, 0),
            0..256 * KIB,
            "a piece of which one block was given out may be wanted again"
        );
        assert_eq!(plan_and_want(&mut planner, 256 * KIB).end, 768 * KIB);
        assert_eq!(plan_and_want(&mut planner, 768 * KIB).end, MIB, "the rest of the run was served long ago");
    }

    #[test]
    fn a_file_shorter_than_a_piece_is_one_range() {
        assert_eq!(RangePlanner::new(100, 256 * KIB).plan(0, None), 0..100);
    }

    #[test]
    fn nothing_is_asked_for_beyond_where_it_may_be() {
        let mut planner = RangePlanner::new(100 * MIB, 256 * KIB);
        assert_eq!(planner.plan(3 * MIB, Some(3 * MIB + 512 * KIB)), 3 * MIB..3 * MIB + 512 * KIB);
        assert!(planner.handle_wanted(&(3 * MIB..3 * MIB + 512 * KIB)));
        assert_eq!(planner.plan(3 * MIB + 512 * KIB, Some(8 * MIB)), 3 * MIB + 512 * KIB..4 * MIB + 512 * KIB);
    }
}
