//! Which file of a transaction is fetched next: pure.
//!
//! pacman asks for one file after the other, so they are fetched in its order. A file that is larger than its fair share of
//! what is left begins earlier: else it would be the last one, alone on its way. What neighbours will bring is not begun before
//! it is there.

use crate::fetch::Turn;

/// From this size on a package is big, in bytes: it keeps a connection for long.
const BIG: u64 = 16 * 1024 * 1024;
/// Files that neighbours send at one time, beside those that mirrors do.
const LENT_AT_ONCE: usize = 3;

/// The files of one transaction, by their place in pacman's order.
#[derive(Debug)]
pub(crate) struct Line {
    files: Vec<File>,
    /// All files, the largest first.
    by_size: Vec<usize>,
    /// No file before this place waits.
    front: usize,
    /// No file of `by_size` before this place waits.
    largest: usize,
    lanes: usize,
    /// Bytes of the files that have not ended.
    left: u64,
}

#[derive(Debug)]
struct File {
    /// In bytes; 0 while nobody knows it.
    size: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    /// Begun in its turn, or because a client asked for it.
    Runs,
    /// Begun before its turn.
    RunsEarly,
    /// A neighbour sends it.
    Lent,
    Ended,
}

impl Line {
    /// All files wait; at most `lanes` are to be on their way at one time.
    pub(crate) fn new(sizes: impl IntoIterator<Item = Option<u64>>, lanes: usize) -> Self {
        let file = |size: Option<u64>| File { size: size.unwrap_or(0), state: State::Waits };
        let files: Vec<File> = sizes.into_iter().map(file).collect();
        let mut by_size: Vec<usize> = (0..files.len()).collect();
        by_size.sort_by_key(|at| std::cmp::Reverse(files[*at].size));
        let left = files.iter().map(|file| file.size).sum();
        Self { files, by_size, front: 0, largest: 0, lanes: lanes.max(1), left }
    }

    /// The next file to begin with, by whose turn it is with each; none while all lanes are taken, and at the end.
    pub(crate) fn next(&mut self, turn: impl Fn(usize) -> Turn) -> Option<usize> {
        if let Some(at) = self.lent(&turn) {
            self.files[at].state = State::Lent;
            return Some(at);
        }
        let running = self.files.iter().filter(|file| file.runs()).count();
        if running >= self.lanes {
            return None;
        }
        let (at, state) = match self.early(&turn) {
            Some(at) => (at, State::RunsEarly),
            None => (self.first(&turn)?, State::Runs),
        };
        self.files[at].state = state;
        Some(at)
    }

    /// A client has asked for a file: it is on its way, whether it was its turn or not. False where it was already.
    pub(crate) fn handle_begun(&mut self, at: usize) -> bool {
        let waited = self.files[at].state == State::Waits;
        if waited {
            self.files[at].state = State::Runs;
        }
        waited
    }

    /// A file has come, or cannot be had.
    pub(crate) fn handle_end(&mut self, at: usize) {
        if self.files[at].state != State::Ended {
            self.files[at].state = State::Ended;
            self.left -= self.files[at].size;
        }
    }

    /// Where each is that has not begun.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        (self.front..self.files.len()).filter(|at| self.files[*at].state == State::Waits)
    }

    /// The first one that a neighbour has, where one more may be sent.
    fn lent(&self, turn: impl Fn(usize) -> Turn) -> Option<usize> {
        let lent = self.files.iter().filter(|file| file.state == State::Lent).count();
        self.waiting().find(|at| lent < LENT_AT_ONCE && turn(*at) == Turn::Here)
    }

    /// The first one that waits for a mirror. A big one leaves the last lane to what pacman may ask for instead.
    fn first(&mut self, turn: impl Fn(usize) -> Turn) -> Option<usize> {
        while self.files.get(self.front).is_some_and(|file| file.state != State::Waits) {
            self.front += 1;
        }
        let room_for_big = self.has_room_for_big();
        let mut ours = self.waiting().filter(|at| turn(*at) == Turn::Ours);
        ours.find(|at| room_for_big || self.files[*at].size < BIG)
    }

    /// The largest one that waits, where it has to begin now; half of the lanes are for those whose turn it is.
    fn early(&mut self, turn: impl Fn(usize) -> Turn) -> Option<usize> {
        let early = self.files.iter().filter(|file| file.state == State::RunsEarly).count();
        while self.by_size.get(self.largest).is_some_and(|at| self.files[*at].state != State::Waits) {
            self.largest += 1;
        }
        let mut waiting = self.by_size[self.largest..].iter().filter(|at| self.files[**at].state == State::Waits);
        let at = *waiting.find(|at| turn(**at) == Turn::Ours)?;
        let size = self.files[at].size;
        let is_more_than_its_share = u128::from(size) * self.lanes as u128 > u128::from(self.left);
        let may = early < self.lanes / 2 && (size < BIG || self.has_room_for_big());
        (may && is_more_than_its_share).then_some(at)
    }

    fn has_room_for_big(&self) -> bool {
        let big = self.files.iter().filter(|file| file.runs() && file.size >= BIG).count();
        self.lanes == 1 || big < self.lanes - 1
    }
}

impl File {
    fn runs(&self) -> bool {
        matches!(self.state, State::Runs | State::RunsEarly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sizes: &[u64], lanes: usize) -> Line {
        Line::new(sizes.iter().copied().map(Some), lanes)
    }

    fn begun(line: &mut Line) -> Vec<usize> {
        std::iter::from_fn(|| line.next(|_| Turn::Ours)).collect()
    }

    #[test]
    fn equal_files_are_fetched_in_order_and_as_many_as_there_are_lanes() {
        let mut line = line(&[10; 9], 4);
        assert_eq!(begun(&mut line), [0, 1, 2, 3]);
        line.handle_end(2);
        line.handle_end(0);
        assert_eq!(begun(&mut line), [4, 5]);
        for at in [1, 3, 4, 5] {
            line.handle_end(at);
        }
        assert_eq!(begun(&mut line), [6, 7, 8]);
        for at in 6..9 {
            line.handle_end(at);
        }
        assert_eq!(begun(&mut line), [0; 0]);
    }

    #[test]
    fn a_file_that_would_be_last_alone_begins_early() {
        let mut line = line(&[10, 10, 10, 10, 10, 1000], 4);
        assert_eq!(begun(&mut line), [5, 0, 1, 2]);
    }

    #[test]
    fn half_of_the_lanes_are_for_those_whose_turn_it_is() {
        let mut line = line(&[10, 10, 900, 900, 900], 4);
        assert_eq!(begun(&mut line), [2, 3, 0, 1]);
    }

    #[test]
    fn big_files_leave_one_lane() {
        let mut line = line(&[BIG; 8], 3);
        assert_eq!(begun(&mut line).len(), 2);
        let mut line = self::line(&[BIG, BIG], 1);
        assert_eq!(line.next(|_| Turn::Ours), Some(0), "where there is one lane, it is for all");
    }

    #[test]
    fn what_a_client_has_asked_for_is_not_begun_again() {
        let mut line = line(&[10; 4], 2);
        line.handle_begun(1);
        assert_eq!(begun(&mut line), [0]);
        line.handle_end(1);
        line.handle_end(1);
        assert_eq!(begun(&mut line), [2]);
    }

    #[test]
    fn files_of_unknown_size_have_their_turn() {
        let mut line = Line::new([None, None, Some(5)], 2);
        assert_eq!(begun(&mut line), [2, 0]);
        line.handle_end(2);
        assert_eq!(begun(&mut line), [1]);
    }
    #[test]
    fn what_neighbours_bring_waits_until_it_is_there_and_takes_no_mirrors_lane() {
        let mut line = line(&[10; 8], 2);
        let turn = |at| if at < 6 { Turn::Theirs } else { Turn::Ours };
        assert_eq!(std::iter::from_fn(|| line.next(turn)).collect::<Vec<_>>(), [6, 7]);
        let here = |_| Turn::Here;
        assert_eq!(std::iter::from_fn(|| line.next(here)).collect::<Vec<_>>(), [0, 1, 2]);
        line.handle_end(1);
        assert_eq!(line.next(here), Some(3));
        assert_eq!(line.waiting().collect::<Vec<_>>(), [4, 5]);
    }
}
