//! From the blocks that a peer wants to few HTTP ranges.

use std::collections::VecDeque;
use std::ops::Range;

/// The first request of a file: enough that a small package needs no second.
const FIRST_WINDOW: u64 = 1024 * 1024;
/// No request is for more, so that a peer that turns away never leaves a mirror sending a whole file into the void.
const LARGEST_WINDOW: u64 = 32 * 1024 * 1024;
/// Ends of earlier ranges that are remembered. The engine begins with the first piece, the last, and then the second.
const RUNS: usize = 4;

/// Decides how much to ask for at once. Where the peer goes on where an earlier range ended, the next is twice as long;
/// after a jump, a range is what is left of one piece, since another peer may well get the next.
#[derive(Debug)]
pub(crate) struct RangePlanner {
    length: u64,
    piece_length: u64,
    /// Ranges that were asked for.
    runs: VecDeque<Range<u64>>,
}

impl RangePlanner {
    /// A planner for a file of `length` bytes.
    pub(crate) fn new(length: u64, piece_length: u64) -> Self {
        Self { length, piece_length, runs: VecDeque::new() }
    }

    /// The range to ask for, when the byte at `offset` is wanted. It ends where a piece ends.
    pub(crate) fn plan(&mut self, offset: u64) -> Range<u64> {
        let begun_before = !self.runs.is_empty();
        let run = self.runs.iter().position(|run| run.end == offset).and_then(|index| self.runs.remove(index));
        let window = match run {
            Some(run) => (2 * (run.end - run.start)).min(LARGEST_WINDOW),
            None if begun_before => 1,
            None => FIRST_WINDOW,
        };
        let end = (offset + window).next_multiple_of(self.piece_length).min(self.length);
        // What was asked for once has been served, or soon will be.
        let known = self.runs.iter().map(|run| run.start).filter(|start| *start > offset).min();
        let range = offset..known.map_or(end, |known| end.min(known));
        if self.runs.len() == RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(range.clone());
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    #[test]
    fn a_sequential_reader_soon_asks_for_long_ranges() {
        let mut planner = RangePlanner::new(1024 * MIB, 256 * KIB);
        let (mut offset, mut requests) = (0, 0);
        while offset < 1024 * MIB {
            let range = planner.plan(offset);
            assert!(range.start == offset && range.end > offset && range.end - offset <= 32 * MIB);
            (offset, requests) = (range.end, requests + 1);
        }
        assert_eq!(requests, 37);
    }

    #[test]
    fn the_engines_order_of_first_last_second_continues_the_first_run() {
        let mut planner = RangePlanner::new(100 * MIB, 256 * KIB);
        assert_eq!(planner.plan(0), 0..MIB);
        assert_eq!(planner.plan(100 * MIB - 256 * KIB), 100 * MIB - 256 * KIB..100 * MIB);
        assert_eq!(planner.plan(MIB), MIB..3 * MIB);
        assert_eq!(planner.plan(3 * MIB), 3 * MIB..7 * MIB);
        let mut offset = 7 * MIB;
        while offset < 100 * MIB - 256 * KIB {
            offset = planner.plan(offset).end;
        }
        assert_eq!(offset, 100 * MIB - 256 * KIB, "the last piece is not asked for again");
    }

    #[test]
    fn a_jump_asks_for_the_rest_of_one_piece() {
        let mut planner = RangePlanner::new(100 * MIB, MIB);
        planner.plan(0);
        assert_eq!(planner.plan(50 * MIB + 16 * KIB), 50 * MIB + 16 * KIB..51 * MIB);
        assert_eq!(planner.plan(51 * MIB).end, 53 * MIB);
    }

    #[test]
    fn a_file_shorter_than_a_piece_is_one_range() {
        assert_eq!(RangePlanner::new(100, 256 * KIB).plan(0), 0..100);
    }
}
