//! Connections that share a limit, by who dialled.

use crate::doorman::Direction;

/// How many there are of each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    callers: usize,
    dials: usize,
}

impl Tally {
    pub(crate) fn total(self) -> usize {
        self.callers + self.dials
    }

    /// Whether one more fits. A quarter is kept for callers and one for our dials, and whoever comes has the rest: strangers
    /// who call can't take the places that a fetch of ours needs, and what we dial leaves room for those who want something.
    pub(crate) fn has_room(self, limit: usize, direction: Direction) -> bool {
        let alike = match direction {
            Direction::Incoming => self.callers,
            Direction::Outgoing => self.dials,
        };
        alike < limit - limit / 4 && self.total() < limit
    }

    pub(crate) fn add(&mut self, direction: Direction) {
        *self.of(direction) += 1;
    }

    pub(crate) fn subtract(&mut self, direction: Direction) {
        *self.of(direction) -= 1;
    }

    fn of(&mut self, direction: Direction) -> &mut usize {
        match direction {
            Direction::Incoming => &mut self.callers,
            Direction::Outgoing => &mut self.dials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of each direction fit, where those of the first one come first.
    fn filled(limit: usize, first: Direction, second: Direction) -> (usize, usize) {
        let mut tally = Tally::default();
        let mut fill = |direction| {
            let fits = |_: &usize| {
                let has_room = tally.has_room(limit, direction);
                if has_room {
                    tally.add(direction);
                }
                has_room
            };
            (0..1_000).take_while(fits).count()
        };
        (fill(first), fill(second))
    }

    #[test]
    fn neither_callers_nor_dials_take_the_quarter_that_is_the_others() {
        for (limit, expected) in [(1_000, (750, 250)), (60, (45, 15)), (8, (6, 2)), (5, (4, 1)), (1, (1, 0))] {
            assert_eq!(filled(limit, Direction::Incoming, Direction::Outgoing), expected);
            assert_eq!(filled(limit, Direction::Outgoing, Direction::Incoming), expected);
        }
    }
}
